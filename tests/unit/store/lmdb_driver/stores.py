"""Embedded stores for tests of what is beside the data file: opened, looked into, used by another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.lmdb_driver.checkpoint import Checkpoint, CheckpointFile
from oastfs.store.schema import COUNTER
from oastfs.store.transaction import Store


def opened(path: Path) -> LmdbStore:
    store = open_store(f"lmdb://{path}", create=True)
    assert isinstance(store, LmdbStore)
    return store


def value(store: Store) -> int:
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    return 0 if row is None else row.value


def newest(path: Path) -> Checkpoint | None:
    directory = os.open(path / "wal", os.O_RDONLY)
    file = CheckpointFile(directory, path / "wal")
    try:
        return file.read()
    finally:
        file.close()
        os.close(directory)


def in_another_process(path: Path, statements: str, status: int = 0) -> int:
    """Run statements on the open ``store``; the number they print."""
    program = f"""
import os
from oastfs.store import open_store
from tests.contract.rows import increment
store = open_store("lmdb://{path}")
{statements}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return int(done.stdout or 0)
