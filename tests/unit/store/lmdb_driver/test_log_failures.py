"""What fails between a record and its commit, or half way to a new segment or checkpoint, leaves nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oastfs.core.errors import StoreFull
from oastfs.store.lmdb_driver import journal
from oastfs.store.lmdb_driver.checkpoint import Checkpoint, CheckpointFile
from oastfs.store.lmdb_driver.journal import Journal
from oastfs.store.lmdb_driver.records import Position, encode_record
from oastfs.store.lmdb_driver.segments import Segments
from oastfs.store.schema import CONTENT, Content
from tests.contract.rows import increment
from tests.harness.waiting import wait_until
from tests.unit.store.lmdb_driver.stores import in_another_process, newest, opened, value

START = Position(salt=7, segment=1, offset=0, sequence=0, checksum=0)


def test_no_room_in_the_log_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    store.write(increment)

    def full(self: Segments, *arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "_begin", full)
        with pytest.raises(StoreFull):
            store.write(lambda tx: tx.put(CONTENT, (1,), Content(b"x" * (1 << 20))))
        assert store.write(increment) == 2
    store.write(lambda tx: tx.put(CONTENT, (1,), Content(b"x" * (1 << 20))))
    store.close()


REFUSED_COMMIT = """
from oastfs.store.lmdb_driver.journal import Journal
append = Journal.append
def failing(self, txn, changes):
    append(self, txn, changes)
    txn.abort()  # so that the commit is refused
Journal.append = failing
"""
REFUSED_POSITION = """
import lmdb
from oastfs.store.lmdb_driver.records import Position
def failing(self):
    raise lmdb.Error("no room for the log's position")
Position.to_bytes = failing
"""


@pytest.mark.parametrize("failure", [REFUSED_COMMIT, REFUSED_POSITION])
def test_a_commit_that_fails_after_its_record_was_written(tmp_path: Path, failure: str) -> None:
    """What was answered with an error is not there after a crash either."""
    program = f"""
import os
from oastfs.core.errors import StoreError
from oastfs.store import open_store
from tests.contract.rows import increment
store = open_store("lmdb://{tmp_path}", create=True)
store.write(increment)
{failure}
try:
    store.write(increment)
except StoreError:
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 9, done.stderr
    store = opened(tmp_path)
    assert value(store) == 1
    store.close()


def test_a_segment_whose_first_record_failed_is_begun_anew_by_another_process(tmp_path: Path) -> None:
    """It is another file then, and who failed must not go on with the one that it has open."""
    program = f"""
import os, sys
from oastfs.core.errors import StoreError
from oastfs.store import open_store
from oastfs.store.schema import CONTENT, Content
from tests.contract.rows import increment
store = open_store("lmdb://{tmp_path}", create=True)
store.write(increment)
{REFUSED_COMMIT}
try:
    store.write(lambda tx: tx.put(CONTENT, (1,), Content(bytes(1 << 20))))
except StoreError:
    print("failed", flush=True)
Journal.append = append
sys.stdin.read()
print(store.write(increment), flush=True)
os._exit(9)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdin is not None and first.stdout is not None
        assert first.stdout.readline() == "failed\n"
        large = "store.write(lambda tx: tx.put(CONTENT, (2,), Content(bytes(1 << 20))))\nos._exit(8)"
        in_another_process(tmp_path, f"from oastfs.store.schema import CONTENT, Content\n{large}", status=8)
        first.stdin.close()
        assert first.stdout.readline() == "2\n"
        assert first.wait(30) == 9
    store = opened(tmp_path)
    assert value(store) == 2
    assert store.read(lambda tx: [key for key, _ in tx.scan(CONTENT)]) == [(2,)]
    store.close()


def test_a_segment_that_a_dead_process_began_has_a_durable_name_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    record = encode_record(START, {"t": {b"k": b"acknowledged"}})
    fsync = os.fsync
    done: list[int] = []

    def dying(file: int) -> None:
        if file == directory:
            raise InterruptedError
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        with pytest.raises(InterruptedError):
            Segments(directory).write(START, (1, 0), record)
    assert (tmp_path / "000000000001.log").exists()
    segments = Segments(directory)

    def noted(file: int) -> None:
        done.append(file)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    segments.write(START, segments.place(START, record), record)
    assert directory in done
    segments.sync()
    assert [changes["t"][b"k"] for changes, _ in segments.read(START)] == [b"acknowledged"]
    segments.close()
    os.close(directory)


def test_no_room_for_the_first_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)

    def full(self: CheckpointFile, checkpoint: Checkpoint) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "_create", full)
        for _ in range(2):
            with pytest.raises(StoreFull):
                store.write(increment)
    assert store.write(increment) == 1
    store.close()


def test_what_a_dead_process_was_making_is_removed(tmp_path: Path) -> None:
    opened(tmp_path).close()
    for name in ("new-4711", "checkpoint-4711"):
        (tmp_path / "wal" / name).write_bytes(b"half")
    opened(tmp_path).close()
    assert not list((tmp_path / "wal").glob("*-4711"))


def test_a_checkpoint_that_was_given_up_does_not_stand_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread may be making one as the map grows, which ends its snapshot. The last that is on the disk
    must stay whole, so the process may hold nothing newer."""
    monkeypatch.setattr(journal, "CHECKPOINT_GROUPS", 3)
    store = opened(tmp_path)
    log = store.environment.journal
    complete, gates = Journal._complete, [threading.Event(), threading.Event()]
    made: list[Checkpoint] = []

    def held(self: Journal, checkpoint: Checkpoint) -> None:
        if threading.current_thread().name == "oastfs-checkpoint" and len(made) < len(gates):
            made.append(checkpoint)
            assert gates[len(made) - 1].wait(60), "a checkpoint was held up for a minute"
        complete(self, checkpoint)

    def write_until_made(count: int) -> None:
        wait_until(lambda: store.write(increment) > 0 and len(made) == count, "a checkpoint to be begun")

    monkeypatch.setattr(Journal, "_complete", held)
    write_until_made(1)
    store.environment._resize(store.environment.map_bytes)
    store.write(increment)  # a checkpoint by itself, which is newer than the one that is being made
    gates[0].set()
    write_until_made(2)
    for _ in range(5):
        store.write(increment)
    on_disk = newest(tmp_path)
    assert on_disk is not None and log._pin.id() <= on_disk.meta.transaction < made[1].meta.transaction
    gates[1].set()
    store.close()
