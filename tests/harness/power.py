"""Power failures of the embedded store, as far as a process can bring them about.

A worker changes a store and keeps evidence: what it began and what was acknowledged, what of the log was
synced, and a copy of the data file at each of its syncs. It is killed; then ``lose_power`` makes the files
what a disk may hold after the lights went out: any page of the data file that was written since its last
sync may be there, old, or torn, in any combination, and what follows the last synced record of the log may
be anything. The store must open with everything that was acknowledged, and with nothing half.

Workers are forked from a server that has everything loaded, and shrink the store's sizes, so that much
happens in a short time.
"""

from __future__ import annotations

import faulthandler
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import lmdb.verify

from oastfs.client import connect
from oastfs.namenode.fsck import check
from oastfs.store import open_store
from oastfs.store.lmdb_driver import journal, recovery, segments
from oastfs.store.lmdb_driver.checkpoint import CheckpointFile
from oastfs.store.lmdb_driver.committer import Committer
from oastfs.store.lmdb_driver.journal import Journal
from oastfs.store.lmdb_driver.records import HEADER_BYTES
from oastfs.store.lmdb_driver.segments import Segments
from oastfs.store.schema import RETRY, RetryEntry
from oastfs.store.transaction import Store, Transaction

PAGE_BYTES = 4096
SECTOR_BYTES = 512
SLOTS = 5
THREADS = 3
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.harness.power"])

KILL_POINTS: dict[str, tuple[Any, str, bool]] = {
    "record written": (Segments, "write", False),
    "record synced": (Segments, "sync", False),
    "group committed": (Committer, "_finish", False),
    "segment begun": (Segments, "_begin", False),
    "checkpoint begun": (Journal, "_complete", True),
    "data file synced": (CheckpointFile, "write", True),
    "checkpoint written": (CheckpointFile, "write", False),
    "log recycled": (Segments, "recycle", False),
    "snapshot restored": (recovery, "restore_meta", False),
    "records applied": (recovery, "_put", False),
}
"""Where a worker may kill itself: the function, and whether before it or after."""


class Evidence:
    """The directory in which workers say what they do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def say(self, name: str, *words: object) -> None:
        """Append a line to a file. What was said survives the kill."""
        file = os.open(self.directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
        os.close(file)

    def lines(self, name: str) -> list[list[str]]:
        path = self.directory / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def stacks(self) -> str:
        """What the threads of all workers are at."""
        told = []
        for path in sorted(self.directory.glob("stacks-*")):
            pid, _, _ = path.read_text().partition("\n")
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGUSR1)
                time.sleep(1)
            told.append(f"{path.name}: {path.read_text()}")
        return "\n".join(told)

    @property
    def image(self) -> Path:
        """The data file as it was at its last sync."""
        return self.directory / "image"


# --- the worker -----------------------------------------------------------------------------------


def start_worker(
    path: Path,
    evidence: Evidence,
    number: int,
    point: str = "",
    hits: int = 1,
    checkpoint_groups: int = 25,
) -> BaseProcess:
    """A process that changes the store until it is killed; at a point, by itself."""
    arguments = (path, evidence, number, point, hits, checkpoint_groups)
    process = FORKS.Process(target=_work, args=arguments, daemon=True)
    process.start()
    return process


def wait_for_acknowledgements(evidence: Evidence, number: int, count: int) -> None:
    """Until a worker has had as many more acknowledgements as are asked for."""
    name = f"acknowledged-{number}"
    start = len(evidence.lines(name))
    deadline = time.monotonic() + 60
    while len(evidence.lines(name)) < start + count:
        assert time.monotonic() < deadline, f"worker {number} does not get on\n{evidence.stacks()}"
        time.sleep(0.005)


def _tell_stacks_on_demand(path: Path) -> None:
    file = path.open("w")
    print(os.getpid(), file=file, flush=True)
    faulthandler.register(signal.SIGUSR1, file)


def _work(path: Path, evidence: Evidence, number: int, point: str, hits: int, checkpoint_groups: int) -> None:
    segments.SEGMENT_BYTES_MIN, segments.SEGMENT_BYTES_MAX = 16 << 10, 64 << 10
    journal.CHECKPOINT_GROUPS = checkpoint_groups
    journal.CHECKPOINT_LOG_BYTES = checkpoint_groups * 2560
    journal.CHECKPOINT_SECONDS = checkpoint_groups / 1000
    recovery._BATCH_ROWS = 40
    _tell_stacks_on_demand(evidence.directory / f"stacks-{number}")
    _observe(evidence)
    if point:
        _arm(point, hits)
    store = open_store(f"lmdb://{path}")
    failures: list[BaseException] = []
    targets: list[Callable[[], None]] = [
        lambda thread=thread: _change_rows(store, evidence, number, thread)  # type: ignore[misc]
        for thread in range(THREADS - 1)
    ]
    targets.append(lambda: _change_files(path, evidence, number))
    for target in targets:
        threading.Thread(target=_watched, args=(target, failures, evidence), daemon=True).start()
    time.sleep(60)


def _watched(target: Callable[[], None], failures: list[BaseException], evidence: Evidence) -> None:
    try:
        target()
    except BaseException as error:
        evidence.say("failures", repr(error))
        os._exit(1)


def _change_rows(store: Store, evidence: Evidence, number: int, thread: int) -> None:
    """Put and remove rows, two at a time which must never differ."""
    chance = random.Random()
    versions = Versions(evidence, number)
    while True:
        slot = f"rows-{thread}-{chance.randrange(SLOTS)}"
        version = versions.begin(slot)

        def change(tx: Transaction, slot: str = slot, version: int = version) -> None:
            for key in _keys(number, slot):
                if version % 5 == 0:
                    tx.delete(RETRY, key)
                else:
                    tx.put(RETRY, key, RetryEntry(_content(version), version))

        store.write(change)
        versions.end(slot, version)


def _keys(number: int, slot: str) -> list[tuple[int, str, int]]:
    return [(number, slot, 1), (number + 1000, slot, 2)]


def _change_files(path: Path, evidence: Evidence, number: int) -> None:
    """Write files over others and remove them."""
    chance = random.Random()
    versions = Versions(evidence, number)
    with connect(f"lmdb://{path}") as fs:
        while True:
            slot = chance.randrange(SLOTS)
            version = versions.begin(f"file-{slot}")
            target = f"/worker-{number}-file-{slot}"
            if version % 5 == 0:
                if fs.exists(target):
                    fs.remove(target)
            else:
                fs.write_bytes(target, _content(version))
            versions.end(f"file-{slot}", version)


class Versions:
    """What a thread writes, by slot: counted up, said before and after."""

    def __init__(self, evidence: Evidence, number: int) -> None:
        self._evidence, self._number = evidence, number
        self._last = {slot: int(version) for slot, version in evidence.lines(f"begun-{number}")}

    def begin(self, slot: str) -> int:
        version = self._last[slot] = self._last.get(slot, 0) + 1
        self._evidence.say(f"begun-{self._number}", slot, version)
        return version

    def end(self, slot: str, version: int) -> None:
        self._evidence.say(f"acknowledged-{self._number}", slot, version)


def _content(version: int) -> bytes:
    chance = random.Random(version)
    return struct.pack("<Q", version) + chance.randbytes(chance.choice((0, 100, 1000, 5000, 20_000)))


def _observe(evidence: Evidence) -> None:
    """Note what is synced."""
    append, sync, write = Journal.append, Journal.sync, CheckpointFile.write
    ends: dict[Journal, tuple[int, int]] = {}

    def appended(self: Journal, txn: Any, changes: Any) -> None:
        append(self, txn, changes)
        number, offset = self._placed
        length = os.pread(self._segments._file, 4, offset + 16)
        ends[self] = number, offset + HEADER_BYTES + int.from_bytes(length, "little")

    def synced(self: Journal) -> None:
        end = ends.get(self)
        sync(self)
        if end is not None:
            evidence.say("synced", *end)

    def wrote(self: CheckpointFile, checkpoint: Any) -> None:
        # Called when the data file has been synced, by one process at a time.
        shutil.copyfile(self._path.parent / "data.mdb", evidence.directory / "image-new")
        (evidence.directory / "image-new").rename(evidence.image)
        evidence.say("checkpoints", "begun", checkpoint.meta.transaction, checkpoint.clean)
        write(self, checkpoint)
        evidence.say("checkpoints", "done")

    # The methods are replaced on purpose.
    Journal.append, Journal.sync, CheckpointFile.write = appended, synced, wrote  # type: ignore[method-assign]


def _arm(point: str, hits: int) -> None:
    """Have the process kill itself when it has come to a point so many times."""
    owner, name, before = KILL_POINTS[point]
    function = getattr(owner, name)
    counter = itertools.count(1)  # several threads may come to the point at once

    def armed(*arguments: Any, **named: Any) -> Any:
        mine = next(counter)
        if before and mine == hits:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        if mine == hits:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, armed)


# --- the failure ----------------------------------------------------------------------------------


def lose_power(path: Path, evidence: Evidence, chance: random.Random) -> None:
    """Make the files of a store that nobody has open what the disk may hold."""
    _lose_pages(path / "data.mdb", evidence.image, chance)
    _lose_log(path / "wal", evidence, chance)
    said = evidence.lines("checkpoints")
    if said and said[-1][0] == "begun":
        _lose_checkpoint(path / "wal" / "checkpoint", chance, said[-1][1:])
        evidence.say("checkpoints", "done")


def _lose_pages(data: Path, image: Path, chance: random.Random) -> None:
    if not image.exists():
        return
    old, new = image.read_bytes(), data.read_bytes()
    lost = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    pages = []
    for at in range(0, len(new), PAGE_BYTES):
        before = old[at : at + PAGE_BYTES].ljust(PAGE_BYTES, b"\0")
        after = new[at : at + PAGE_BYTES]
        if chance.random() >= lost:
            pages.append(after)
        elif at >= 2 * PAGE_BYTES and chance.random() < 0.2:
            cut = chance.randrange(PAGE_BYTES // SECTOR_BYTES) * SECTOR_BYTES
            pages.append(after[:cut] + before[cut:])
        else:
            pages.append(before)
    kept = b"".join(pages)
    if chance.random() < 0.3:
        kept = kept[: chance.randrange(len(old), len(kept) + 1) // PAGE_BYTES * PAGE_BYTES]
    data.write_bytes(kept)


def _lose_log(directory: Path, evidence: Evidence, chance: random.Random) -> None:
    synced = [(int(line[0]), int(line[1])) for line in evidence.lines("synced")]
    number, end = max(synced, default=(0, 0))
    for path in directory.glob("*.log"):
        data = bytearray(path.read_bytes())
        if int(path.stem) < number:
            continue
        start = end if int(path.stem) == number else 0
        while start < len(data):
            stop = min((start // SECTOR_BYTES + 1) * SECTOR_BYTES, len(data))
            fate = chance.random()
            if fate < 0.3:
                data[start:stop] = bytes(stop - start)
            elif fate < 0.5:
                data[start:stop] = chance.randbytes(stop - start)
            start = stop
        path.write_bytes(data)


def _lose_checkpoint(path: Path, chance: random.Random, begun: list[str]) -> None:
    """Tear the slot of the checkpoint that was begun; it may have been written, or not yet."""
    if chance.random() < 0.3:
        return
    file = CheckpointFile(os.open(path.parent, os.O_RDONLY), path.parent)
    assert file._open()
    newest, slot = file._slots()
    if newest is not None and begun == [str(newest.meta.transaction), str(newest.clean)]:
        slot = 1 - slot
    data = bytearray(path.read_bytes())
    torn = bytes(PAGE_BYTES) if chance.random() < 0.5 else chance.randbytes(PAGE_BYTES)
    data[slot * PAGE_BYTES : (slot + 1) * PAGE_BYTES] = torn
    file.close()
    os.close(file._directory)
    path.write_bytes(data)


# --- what must be there ---------------------------------------------------------------------------


def verify(path: Path, evidence: Evidence) -> int:
    """Open the store and check everything; the number of acknowledgements."""
    assert evidence.lines("failures") == []
    count = 0
    store = open_store(f"lmdb://{path}")
    try:
        with connect(f"lmdb://{path}") as fs:
            for journal_path in evidence.directory.glob("begun-*"):
                number = int(journal_path.name.partition("-")[2])
                count += _verify_worker(store, fs, evidence, number)
        check(store).raise_if_problems()
    finally:
        store.close()
    # LMDB keeps the pages of a long value that is made shorter in one transaction; its checker does not know.
    problems = [text for text in lmdb.verify.verify(str(path)) if "header mp_pages" not in text]
    assert problems == [], problems[:5]
    return count


def _verify_worker(store: Store, fs: Any, evidence: Evidence, number: int) -> int:
    begun: dict[str, int] = {}
    acknowledged: dict[str, int] = {}
    for name, found in (("begun", begun), ("acknowledged", acknowledged)):
        for slot, version in evidence.lines(f"{name}-{number}"):
            found[slot] = int(version)
    for slot, last in begun.items():
        # More than one without an answer: there were several failures since the last.
        allowed = range(acknowledged.get(slot, 0), last + 1)
        actual = _read_rows(store, number, slot) if slot.startswith("rows") else _read_file(fs, number, slot)
        states = {0 if version % 5 == 0 else version for version in allowed}
        assert actual in states, f"worker {number}, {slot}: {actual}, not of {allowed}"
        # From here on this is what is known to be there; a removed one goes by its number.
        settled = next(version for version in allowed if (0 if version % 5 == 0 else version) == actual)
        evidence.say(f"acknowledged-{number}", slot, settled)
    return len(evidence.lines(f"acknowledged-{number}"))


def _read_rows(store: Store, number: int, slot: str) -> int:
    one, other = store.read(lambda tx: tx.get_many(RETRY, _keys(number, slot)))
    assert one == other, f"{slot}: half of a change"
    return 0 if one is None else _version(one.response)


def _read_file(fs: Any, number: int, slot: str) -> int:
    target = f"/worker-{number}-{slot}"
    return _version(fs.read_bytes(target)) if fs.exists(target) else 0


def _version(data: bytes) -> int:
    version = int(struct.unpack("<Q", data[:8])[0])
    assert data == _content(version), "torn content"
    return version
