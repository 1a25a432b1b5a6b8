"""The write-ahead log beside the data file: formats, copies, failures, and its cost in files and pins."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from oastfs.core.errors import StoreError, WrongStore
from oastfs.store.lmdb_driver import LmdbStore, journal
from oastfs.store.lmdb_driver.checkpoint import read_metas
from oastfs.store.lmdb_driver.records import (
    HEADER_BYTES,
    Position,
    decode_record,
    encode_record,
    read_header,
)
from oastfs.store.lmdb_driver.segments import Segments
from oastfs.store.lmdb_driver.syncer import ThreadSyncer
from oastfs.store.schema import COUNTER, SCHEMA_VERSION, Counter
from tests.contract.rows import increment
from tests.harness.waiting import wait_until
from tests.unit.store.lmdb_driver.stores import in_another_process, newest, opened, value

MARKER = b"oastfs schema version"
START = Position(salt=7, segment=1, offset=0, sequence=0, checksum=0)


# --- records ------------------------------------------------------------------------------------------


def test_a_record_is_valid_in_its_place_only() -> None:
    first = encode_record(START, {"inode": {b"key": b"value", b"other": None}})
    after = START.after(1, 0, first)
    second = encode_record(after, {"inode": {b"key": None}})

    def read(position: Position, data: bytes) -> object:
        header = read_header(position, data)
        return header and decode_record(position, header, data[HEADER_BYTES:])

    assert read(START, first.data) == (first, {"inode": {b"key": b"value", b"other": None}})
    assert read(after, second.data) == (second, {"inode": {b"key": None}})
    assert read(after, first.data) is None
    assert read(START, second.data) is None
    assert read(START._replace(salt=8), first.data) is None
    assert read(after._replace(checksum=after.checksum ^ 1), second.data) is None
    for at in range(len(first.data)):
        torn = bytearray(first.data)
        torn[at] ^= 1
        assert read(START, bytes(torn)) is None
    for length in range(len(first.data)):
        assert read(START, first.data[:length]) is None


def test_a_record_that_a_dead_writer_left_before_a_new_segment(tmp_path: Path) -> None:
    """It would continue the log as well as the longer one that was acknowledged."""
    directory = os.open(tmp_path, os.O_RDONLY)
    segments = Segments(directory)
    filler = encode_record(START, {"t": {b"k": b"x" * (131_072 - 200)}})
    segments.write(START, segments.place(START, filler), filler)
    position = START.after(1, 0, filler)
    left = encode_record(position, {"t": {b"k": b"never acknowledged"}})
    segments.write(position, segments.place(position, left), left)
    longer = encode_record(position, {"t": {b"k": b"y" * 1000}})
    placed = segments.place(position, longer)
    assert placed == (2, 0)
    segments.write(position, placed, longer)
    segments.sync()
    assert [changes["t"][b"k"] for changes, _ in segments.read(START)][1:] == [b"y" * 1000]
    segments.close()
    os.close(directory)


# --- formats and copies ---------------------------------------------------------------------------------


def test_a_store_of_the_older_format_is_opened_and_marked(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.write(increment)
    store.close()
    shutil.rmtree(tmp_path / "wal")
    with lmdb.open(str(tmp_path), max_dbs=64) as environment, environment.begin(write=True) as txn:
        txn.put(MARKER, b"%d" % SCHEMA_VERSION)
    store = opened(tmp_path)
    assert store.write(increment) == 2
    store.close()
    with lmdb.open(str(tmp_path), max_dbs=64) as environment, environment.begin() as txn:
        marker = txn.get(MARKER)
        # What the older program asks of the marker, and refuses otherwise.
        assert marker is not None
        assert not (marker.isdigit() and int(marker) <= SCHEMA_VERSION)


def test_a_store_that_an_older_program_has_open_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with lmdb.open(str(tmp_path), max_dbs=64) as environment, environment.begin(write=True) as txn:
        txn.put(MARKER, b"%d" % SCHEMA_VERSION)
    program = f"""
import lmdb, sys
environment = lmdb.open({str(tmp_path)!r}, max_dbs=64)
print("open", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="older version, and in use"):
            opened(tmp_path)
        other.stdin.close()
        assert other.wait(30) == 0
    opened(tmp_path).close()


@pytest.mark.parametrize("compact", [True, False])
def test_a_copy_of_a_store_in_use_is_a_store(tmp_path: Path, compact: bool) -> None:
    store = opened(tmp_path / "store")
    for _ in range(20):
        store.write(increment)
    copy = tmp_path / "copy"
    command = [sys.executable, "-m", "lmdb", "-e", str(tmp_path / "store"), "copy"]
    done = subprocess.run([*command, *["--compact"] * compact, str(copy)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    store.write(increment)
    store.close()
    copied = opened(copy)
    assert copied.write(increment) == 21
    copied.close()

    # Back in the place of the store that was closed, with the log of the later time beside it.
    shutil.copyfile(copy / "data.mdb", tmp_path / "store" / "data.mdb")
    store = opened(tmp_path / "store")
    assert store.write(increment) == 22
    store.close()


def test_a_data_file_from_elsewhere_is_not_repaired(tmp_path: Path) -> None:
    crash(tmp_path / "store", writes=3)
    crash(tmp_path / "store", writes=3)
    opened(tmp_path / "other").close()
    shutil.copyfile(tmp_path / "other" / "data.mdb", tmp_path / "store" / "data.mdb")
    with pytest.raises(WrongStore, match="not of one store"):
        opened(tmp_path / "store")
    (tmp_path / "store" / "data.mdb").unlink()
    with pytest.raises(WrongStore):
        opened(tmp_path / "store")


def crash(path: Path, writes: int) -> None:
    program = f"""
import os
from oastfs.store import open_store
from tests.contract.rows import increment
store = open_store("lmdb://{path}", create=True)
for _ in range({writes}):
    store.write(increment)
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 9, done.stderr


def test_a_tool_that_looks_at_a_store_does_not_keep_it_from_being_opened(tmp_path: Path) -> None:
    """While the machine runs the data file is as it was left, and is not led back under the tool's feet."""
    crash(tmp_path, writes=3)
    program = f"""
import lmdb, sys
environment = lmdb.open({str(tmp_path)!r}, max_dbs=64, readonly=True)
with environment.begin() as txn:
    print("open", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "open\n"
        store = opened(tmp_path)
        assert store.write(increment) == 4
        store.close()
        (tmp_path / "wal" / "lock").write_text("another boot")
        crash(tmp_path, writes=1)
        (tmp_path / "wal" / "lock").write_text("another boot")
        with pytest.raises(StoreError, match="to be repaired"):
            opened(tmp_path)
        other.stdin.close()
        assert other.wait(30) == 0
    store = opened(tmp_path)
    assert value(store) == 5
    store.close()


# --- files and snapshots --------------------------------------------------------------------------------


def test_who_only_reads_writes_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.write(increment)
    store.close()
    before = newest(tmp_path)
    store = opened(tmp_path)
    assert value(store) == 1
    store.close()
    assert newest(tmp_path) == before is not None and before.clean


def test_the_log_and_the_data_file_stay_small(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for _ in range(10_000):
        store.write(increment)
    assert (tmp_path / "data.mdb").stat().st_size < 64 << 20
    assert sum(file.stat().st_size for file in (tmp_path / "wal").iterdir()) < 8 << 20
    assert store.usage()[0] > sum(file.stat().st_blocks * 512 for file in (tmp_path / "wal").iterdir())
    store.close()


def test_an_idle_store_is_checkpointed_and_holds_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 0.05)
    store = opened(tmp_path)
    store.write(increment)
    with (tmp_path / "data.mdb").open("rb") as data:
        transaction = read_metas(data.fileno())[0].transaction

    def idle() -> bool:
        found = newest(tmp_path)
        held = re.findall(r"^ *\d+ +\S+ +(\d+|-)$", store.environment.handle.readers(), re.MULTILINE)
        return found is not None and found.meta.transaction == transaction and set(held) <= {"-"}

    wait_until(idle, "a checkpoint of all, and the snapshot to be let go")
    assert store.write(increment) == 2
    store.close()


# --- failures ---------------------------------------------------------------------------------------------


def test_a_sync_that_fails_ends_writing_until_the_store_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    store.write(increment)

    def broken(self: Segments) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "sync", broken)
        with pytest.raises(StoreError, match="could not be synced"):
            store.write(increment)
    with pytest.raises(StoreError, match="opened again"):
        store.write(increment)
    assert value(store) == 2  # what was tried is seen, though it may not last
    store.close()
    store = opened(tmp_path)
    # Not acknowledged: it may be there or not, but only whole.
    assert value(store) in (1, 2)
    before = value(store)
    assert store.write(increment) == before + 1
    store.close()


def test_all_who_waited_for_a_sync_that_fails_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system reports a failed write once for each descriptor; a second sync would claim success."""
    disk = Disk(monkeypatch)
    store = opened(tmp_path)
    store.write(increment)
    with ThreadPoolExecutor(2) as threads, disk.held(error=errno.EIO):
        writes = [threads.submit(store.write, increment) for _ in range(2)]
        wait_until(lambda: value(store) == 3, "both changes to be committed")
    for write in writes:
        with pytest.raises(StoreError, match="could not be synced"):
            write.result(30)
    with pytest.raises(StoreError, match="opened again"):
        store.write(increment)
    store.close()


# --- syncs ------------------------------------------------------------------------------------------------


def queued(store: LmdbStore) -> int:
    """How many wait for a group that begins later."""
    return int(store._committer._queue.qsize())


class Disk:
    """Syncs of the log of stores that are opened now, counted, and held up or failing when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self._free = threading.Event()
        self._free.set()
        self._error = 0
        self._fdatasync = os.fdatasync
        monkeypatch.setattr("oastfs.store.lmdb_driver.segments.make_syncer", ThreadSyncer)
        monkeypatch.setattr("oastfs.store.lmdb_driver.syncer.os.fdatasync", self._sync)
        # A checkpoint syncs, too, and would be counted, or take the error that is meant for the log.
        monkeypatch.setattr(journal, "CHECKPOINT_SECONDS", 3600.0)

    @contextmanager
    def held(self, error: int = 0) -> Iterator[None]:
        """No sync ends in here; with an error, the first that does ends with it."""
        self._error = error
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def _sync(self, file: int) -> None:
        assert self._free.wait(60), "a sync was held up for a minute"
        self.syncs += 1
        error, self._error = self._error, 0
        if error:
            raise OSError(error, os.strerror(error))
        self._fdatasync(file)


def test_others_write_during_a_sync_and_one_sync_serves_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    store = opened(tmp_path)
    store.write(increment)
    before = disk.syncs
    with ThreadPoolExecutor(9) as threads:
        with disk.held():
            writes = [threads.submit(store.write, increment) for _ in range(9)]
            wait_until(lambda: value(store) >= 3, "changes to be committed while one is synced")
            # Who comes after the others were served would have a sync for himself.
            wait_until(lambda: value(store) - 1 + queued(store) == 9, "all nine to be committed or queued")
            assert not any(write.done() for write in writes)
            # Another process is not held up either: it waits for its own sync only.
            other = in_another_process(tmp_path, "print(store.write(increment))")
        assert sorted([other, *(write.result(30) for write in writes)]) == list(range(2, 12))
    assert disk.syncs <= before + 4
    store.close()


def test_what_changes_nothing_waits_until_what_it_saw_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a call that is repeated would be answered although its first run may still be lost."""
    disk = Disk(monkeypatch)
    store = opened(tmp_path)
    store.write(increment)
    # A process that dies between its commit and its sync.
    program = (
        "from oastfs.store.lmdb_driver.segments import Segments\nSegments.sync = lambda self: os._exit(9)\n"
    )
    in_another_process(tmp_path, program + "store.write(increment)", status=9)
    before = disk.syncs
    assert store.write(lambda tx: tx.get(COUNTER, ("n",))) == Counter(2)
    assert disk.syncs == before + 1
    assert store.write(lambda tx: tx.get(COUNTER, ("n",))) == Counter(2)
    assert disk.syncs == before + 1
    store.close()


def test_a_sync_that_fails_as_another_process_has_gone_on_to_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written to the segment before is synced as it is closed; who only looks hears of it."""
    disk = Disk(monkeypatch)
    store = opened(tmp_path)
    store.write(increment)
    large = "store.write(lambda tx: tx.put(CONTENT, (1,), Content(bytes(1 << 20))))"
    with ThreadPoolExecutor(2) as threads, disk.held(error=errno.EIO):
        write = threads.submit(store.write, increment)
        wait_until(lambda: value(store) == 2, "the change to be committed")
        in_another_process(tmp_path, f"from oastfs.store.schema import CONTENT, Content\n{large}")
        look = threads.submit(store.write, lambda tx: None)
    for waiting in (write, look):
        with pytest.raises(StoreError, match="could not be synced"):
            waiting.result(30)
    store.close()
