"""Filling a store: from any driver to any other, only into an empty one, and never half."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oastfs.core.errors import AlreadyExists, StoreError, WrongStore
from oastfs.namenode.filesystem import format_store, load_info
from oastfs.namenode.fsck import check
from oastfs.store import open_store
from oastfs.store.export import (
    EXPORTED,
    DamagedExport,
    ExportReader,
    ExportWriter,
    Load,
    chunks,
    copy_store,
    read_once,
    summarize,
)
from oastfs.store.export.file import new_header
from oastfs.store.export.rows import CHUNK_ROWS_MAX, Rows, encode_rows
from oastfs.store.schema import CONTENT, NAMENODE, PLACE, SETTING, Content, NamenodeRow, Place, Setting
from oastfs.store.table import Column, Table
from oastfs.store.transaction import Store, Transaction
from tests.harness.postgresql import PostgresServer

TEXTS = ["", "a", "tab\t", "line\nbreak", "\r", "\\", "\\N", "\\.", "é", "\U0010ffff", "{1,2}", '"', "'"]
NUMBERS = [0, 1, 255, 1 << 32, (1 << 63) - 1]
TARGETS = ("lmdb", "postgresql", "psycopg3", "partitioned", "shards")


def random_rows(table: Table[Any], count: int, chance: random.Random) -> Rows:
    """Rows that a table may hold, with values that formats trip over."""

    def value(kind: Any) -> Any:
        if kind is int:
            return chance.choice([*NUMBERS, chance.getrandbits(62)])
        if kind is bool:
            return chance.random() < 0.5
        if kind is str:
            return chance.choice(TEXTS) + chance.choice(TEXTS)
        if kind is bytes:
            return chance.randbytes(chance.choice([0, 1, 10, 300]))
        if kind == bytes | None:
            return chance.choice([None, b"", b"\\x00\0\xff"])
        if kind == tuple[int, ...]:
            return tuple(chance.choices(NUMBERS, k=chance.randrange(4)))
        if kind == tuple[tuple[str, int], ...]:
            return tuple((chance.choice(TEXTS), chance.choice(NUMBERS)) for _ in range(chance.randrange(3)))
        raise AssertionError(f"{table.name} has a field of a kind that this test does not know: {kind}")

    rows = {}
    kinds = [field.type for field in msgspec.structs.fields(table.value)]
    for _ in range(count):
        key = tuple(value(int if column is Column.ID else str) for _, column in table.key)
        rows[key] = table.value(*map(value, kinds))
    return sorted(rows.items(), key=lambda row: row[0])


@pytest.fixture
def seed() -> int:
    found = random.SystemRandom().randrange(1 << 32)
    print(f"seed {found}")
    return found


@pytest.fixture
def full(tmp_path: Path, seed: int) -> Iterator[Store]:
    """A store with rows in every table."""
    store = open_store(f"lmdb://{tmp_path}/full", create=True)
    chance = random.Random(seed)
    for table in EXPORTED:
        store.load(table, random_rows(table, 60, chance))
    store.write(lambda tx: tx.put(NAMENODE, (1,), NamenodeRow("h", 1, 2, 3)))
    yield store
    store.close()


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "lmdb":
        store = open_store(f"lmdb://{tmp_path}/target", create=True)
    elif request.param == "shards":
        store = open_store(list(request.getfixturevalue("shards")), create=True)
    else:
        url = str(request.getfixturevalue("empty_database"))
        url = url.replace("+psycopg2", "+psycopg") if request.param == "psycopg3" else url
        options = {"partition_column": True} if request.param == "partitioned" else {}
        store = open_store(url, create=True, **options)
    yield store
    store.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"lmdb://{tmp_path}/empty", create=True)
    yield store
    store.close()


def exported(store: Store) -> io.BytesIO:
    stream = io.BytesIO()
    writer = ExportWriter(stream, new_header("f", 0))

    def run(tx: Transaction) -> None:
        for table in EXPORTED:
            for rows in chunks(tx, table):
                writer.add(table, encode_rows(rows), len(rows))

    read_once(store, run)
    writer.finish()
    stream.seek(0)
    return stream


def everything(store: Store) -> dict[str, Rows]:
    return store.read(lambda tx: {table.name: list(tx.scan(table)) for table in EXPORTED})


def test_every_row_comes_through_a_file_into_any_store_and_back(
    full: Store, target: Store, empty: Store
) -> None:
    load = Load(target)
    load.begin()
    load.add_export(ExportReader(exported(full)))
    tallies = load.finish()
    assert everything(target) == everything(full)
    assert tallies == full.read(summarize)
    assert target.read(lambda tx: list(tx.scan(NAMENODE))) == []
    assert copy_store(target, empty) == tallies
    assert everything(empty) == everything(full)


def put_content(store: Store, inode_id: int, data: bytes) -> None:
    store.write(lambda tx: tx.put(CONTENT, (inode_id,), Content(data)))


def test_progress_is_told_and_large_rows_are_cut_apart(full: Store, empty: Store) -> None:
    big = 3 << 20
    for number in range(5):
        put_content(full, number, bytes(big))
    places: Rows = [((n,), Place(n, "x")) for n in range(2, CHUNK_ROWS_MAX + 10)]
    full.write(lambda tx: [tx.put(PLACE, key, value) for key, value in places])
    told: list[tuple[str, int]] = []
    copy_store(full, empty, told=lambda table, rows: told.append((table, rows)))
    assert len([1 for table, rows in told if table == "content" and rows <= 2]) >= 2
    assert max(rows for _, rows in told) == CHUNK_ROWS_MAX
    assert everything(empty) == everything(full)


def test_only_empty_stores_are_filled(full: Store, empty: Store, store: Store) -> None:
    with pytest.raises(AlreadyExists, match="not empty"):
        copy_store(full, store)
    empty.write(lambda tx: tx.put(NAMENODE, (1,), NamenodeRow("h", 1, 2, 3)))
    before = everything(empty)
    with pytest.raises(AlreadyExists, match="not empty"):
        copy_store(full, empty)
    assert everything(empty) == before
    with pytest.raises(AlreadyExists, match="not empty"):
        copy_store(full, full, restart=True)
    assert check(store).clean


def test_a_store_that_is_being_filled_is_no_filesystem(store: Store, target: Store) -> None:
    load = Load(target)
    load.begin()
    load.add_all(PLACE, store.read(lambda tx: list(chunks(tx, PLACE))))
    load.add_all(SETTING, store.read(lambda tx: list(chunks(tx, SETTING))))
    with pytest.raises(WrongStore, match="not finished"):
        load_info(target)
    with pytest.raises(WrongStore, match="not finished"):
        format_store(target)
    with pytest.raises(AlreadyExists, match="--restart"):
        copy_store(store, target)
    copy_store(store, target, restart=True)
    assert load_info(target) == load_info(store)
    assert everything(target) == everything(store)
    assert check(target).clean


def test_a_damaged_export_leaves_no_filesystem(store: Store, empty: Store) -> None:
    content = bytearray(exported(store).getvalue())
    content[-40] ^= 1
    load = Load(empty)
    load.begin()
    with pytest.raises(DamagedExport):
        load.add_export(ExportReader(io.BytesIO(bytes(content))))
    with pytest.raises(WrongStore, match="not finished"):
        load_info(empty)
    assert check(store).clean


def test_rows_that_are_not_as_they_came_are_found(store: Store, empty: Store) -> None:
    load = Load(empty)
    load.begin()
    load.add_export(ExportReader(exported(store)))
    empty.write(lambda tx: tx.put(SETTING, ("block_size",), Setting("8")))
    with pytest.raises(StoreError, match="setting"):
        load.finish()
    with pytest.raises(WrongStore, match="not finished"):
        load_info(empty)
    assert check(store).clean


def test_a_snapshot_that_is_lost_is_not_begun_again_unseen(
    postgresql: PostgresServer, empty_database: str, empty: Store
) -> None:
    source = open_store(empty_database, create=True)
    source.load(PLACE, [((n,), Place(n, "x")) for n in range(3 * CHUNK_ROWS_MAX)])
    name = empty_database.rpartition("/")[2]

    def kill(table: str, rows: int) -> None:
        postgresql.kill_sessions(name)

    with pytest.raises(StoreError, match="begin again"):
        copy_store(source, empty, told=kill)
    with pytest.raises(WrongStore, match="not finished"):
        load_info(empty)
    source.close()
