"""Indexes that do not agree with their tables: broken beneath the store, by LMDB's own means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

from oastfs.namenode.filesystem import format_store
from oastfs.namenode.fsck import check, repair
from oastfs.store import open_store
from oastfs.store.schema import LEASE, OPEN_FILE, Lease, OpenFile
from oastfs.store.transaction import Store, Transaction

INDEX = b"open_file_by_holder"


def _reopened(path: Path, break_it: Callable[[Any, Any], None]) -> Store:
    """A store whose index was broken while nobody had it open."""
    store = open_store(f"lmdb://{path}", create=True)
    format_store(store)
    store.write(_open_some)
    store.close()
    directory = next(found.parent for found in path.rglob("data.mdb"))
    with lmdb.open(str(directory), max_dbs=64, map_size=1 << 26) as environment:
        index = environment.open_db(INDEX, create=False)
        with environment.begin(write=True) as txn:
            break_it(txn, index)
    return open_store(f"lmdb://{path}")


def _open_some(tx: Transaction) -> None:
    # Of files that do not exist: what this is about is the index alone.
    for holder in ("one", "two"):
        tx.put(OPEN_FILE, (1 << 20, holder), OpenFile(False, 0))
        tx.put(LEASE, (holder,), Lease(0))


def test_a_row_that_the_index_lacks(tmp_path: Path) -> None:
    store = _reopened(tmp_path / "s", lambda txn, index: txn.drop(index, delete=False))
    report = check(store)
    assert report.counts["index"] == 2 and "open_file_by_holder" in report.problems[-1].where
    after = repair(store)
    after.raise_if_problems()
    assert store.read(lambda tx: list(tx.scan(OPEN_FILE, index=OPEN_FILE.indexes[0]))) == []
    store.close()


def test_an_entry_that_leads_to_no_row(tmp_path: Path) -> None:
    def add(txn: Any, index: Any) -> None:
        key, _ = next(iter(txn.cursor(index)))
        txn.put(key.replace(b"one", b"new"), b"", db=index)

    store = _reopened(tmp_path / "s", add)
    (problem,) = [one for one in check(store).problems if one.code == "index"]
    assert "has no row" in problem.text and not problem.repairable
    store.close()
