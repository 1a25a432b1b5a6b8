"""Programs that end, fork and fail around an open store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oastfs.core.errors import StoreError
from oastfs.store import open_store
from oastfs.store.lmdb_driver import LmdbStore
from oastfs.store.schema import COUNTER
from oastfs.store.transaction import Transaction
from tests.contract.rows import increment

PRELUDE = """
import os, sys, threading
from oastfs.store import open_store
from oastfs.store.schema import COUNTER
from tests.contract.rows import increment
store = open_store("lmdb://{directory}/store", create=True)
"""


def run_program(directory: Path, body: str) -> str:
    """The output of a program that has a store open and ends as programs do."""
    program = PRELUDE.format(directory=directory) + body
    quiet = "ignore:This process:DeprecationWarning"  # Python warns of forks beside threads from 3.12 on
    command = [sys.executable, "-W", quiet, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_program_that_does_not_close(tmp_path: Path) -> None:
    body = """
for _ in range(500):
    store.submit(increment, lambda result, error: None)
"""
    run_program(tmp_path, body)
    store = open_store(f"lmdb://{tmp_path}/store")
    row = store.read(lambda tx: tx.get(COUNTER, ("n",)))
    assert row is not None and row.value == 500
    store.close()


def test_a_program_that_ends_while_its_threads_use_the_store(tmp_path: Path) -> None:
    body = """
def work():
    while True:
        try:
            store.write(increment)
            store.read(lambda tx: tx.get(COUNTER, ("n",)))
        except Exception:
            return
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
while store.read(lambda tx: tx.get(COUNTER, ("n",))) is None:
    pass
"""
    run_program(tmp_path, body)


@pytest.mark.parametrize("used", [False, True])
def test_a_child_that_ends_like_any_program_leaves_its_parent_alone(tmp_path: Path, used: bool) -> None:
    """The child takes its interpreter down; the parent's snapshot and reader slot must survive it."""
    body = f"""
store.write(increment)
def parent(tx):
    before = tx.get(COUNTER, ("n",))
    pid = os.fork()
    if pid == 0:
        return None
    os.waitpid(pid, 0)
    for _ in range(50):
        threading.Thread(target=lambda: store.write(increment)).start()
    return before == tx.get(COUNTER, ("n",))
same = store.read(parent)
if same is None:
    if {used}:
        store.write(increment)
    sys.exit(0)
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        if {used}:
            store.write(increment)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    store.write(increment)
    assert store.read(lambda tx: tx.get(COUNTER, ("n",))) is not None
print(same)
"""
    assert run_program(tmp_path, body) == "True\n"


def test_a_child_forked_inside_a_write_changes_nothing(tmp_path: Path) -> None:
    body = """
from oastfs.core.errors import StoreError
def fork(tx):
    increment(tx)
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
    return pid
try:
    pid = store.write(fork)
except StoreError as error:
    assert "fork" in str(error)
    sys.exit(0)
assert pid
assert store.write(increment) == 2
print("parent")
"""
    assert run_program(tmp_path, body) == "parent\n"


def test_reopening_inside(tmp_path: Path) -> None:
    """What happens when LMDB declares an environment unusable until it is opened again."""
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    assert isinstance(store, LmdbStore)
    store.write(increment)
    before = store.environment.handle
    store.environment.need("reopen")
    store.settle()
    assert store.environment.handle is not before
    assert store.write(increment) == 2
    store.close()


def test_a_read_that_never_ends_does_not_stop_a_close_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oastfs.store.lmdb_driver.environment._DRAIN_SECONDS", 0.2)
    store = open_store(f"lmdb://{tmp_path}/store", create=True)

    def read(tx: Transaction) -> None:
        import threading

        failures: list[BaseException] = []

        def close() -> None:
            try:
                store.close()
            except StoreError as error:
                failures.append(error)

        thread = threading.Thread(target=close)
        thread.start()
        thread.join(30)
        assert "running" in str(failures[0])

    store.read(read)
