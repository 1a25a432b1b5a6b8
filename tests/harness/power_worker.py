"""Processes that change an embedded store and keep evidence until they are killed, at a point if need be.

They are forked from a server that has everything loaded, and shrink the store's sizes, so that much happens
in a short time.
"""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from oastfs.client import connect
from oastfs.store import open_store
from oastfs.store.lmdb_driver import journal, kept, recovery, segments
from oastfs.store.lmdb_driver.checkpoint import Checkpoint, CheckpointFile
from oastfs.store.lmdb_driver.groups import Groups
from oastfs.store.lmdb_driver.journal import Journal
from oastfs.store.lmdb_driver.records import HEADER_BYTES
from oastfs.store.lmdb_driver.segments import Segments
from oastfs.store.schema import RETRY, RetryEntry
from oastfs.store.transaction import Store, Transaction
from tests.harness.power_evidence import Evidence, Versions, content, keys

SLOTS = 5
ROW_THREADS = 2
LIFETIME_SECONDS = 180
"""Longer than any test waits for a worker, so that none is missing because the machine was slow."""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.harness.power_worker"])

KILL_POINTS: dict[str, tuple[Any, str, bool]] = {
    "record written": (Segments, "write", False),
    "record synced": (Segments, "sync", False),
    "group committed": (Groups, "_finish", False),
    "segment begun": (Segments, "_begin", False),
    "checkpoint begun": (Journal, "_complete", True),
    "data file synced": (CheckpointFile, "write", True),
    "checkpoint not yet synced": (CheckpointFile, "_put", False),
    "checkpoint written": (CheckpointFile, "write", False),
    "log recycled": (Segments, "recycle", False),
    "snapshot restored": (recovery, "restore_meta", False),
    "records applied": (recovery, "_put", False),
}
"""Where a worker may kill itself: the function, and whether before it or after."""

_AGONY_SECONDS = {"checkpoint not yet synced": 0.02}
"""How long the other threads write on before the kill."""

PAUSE_POINTS: dict[str, tuple[Any, str]] = {
    "first write": (Journal, "establish"),
    "checkpoint begun": (Journal, "_complete"),
}
"""Where a worker may wait to be told to go on: before the function's first call."""


def start_worker(
    path: Path,
    evidence: Evidence,
    number: int,
    point: str = "",
    hits: int = 1,
    checkpoint_groups: int = 25,
    pause: str = "",
    loop_only: bool = False,
) -> BaseProcess:
    """A process that changes the store until it is killed; at a point, by itself. It may be made to wait at
    another point first. With ``loop_only`` only an event loop uses the store, and keeps transactions open."""
    arguments = (path, evidence, number, point, hits, checkpoint_groups, pause, loop_only)
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


def wait_for_pause(evidence: Evidence, number: int) -> None:
    """Until a worker has come to the point where it waits."""
    deadline = time.monotonic() + 60
    while not evidence.lines(f"paused-{number}"):
        assert time.monotonic() < deadline, f"worker {number} does not pause\n{evidence.stacks()}"
        time.sleep(0.005)


def _tell_stacks_on_demand(path: Path) -> None:
    file = path.open("w")
    print(os.getpid(), file=file, flush=True)
    faulthandler.register(signal.SIGUSR1, file)


def _work(
    path: Path,
    evidence: Evidence,
    number: int,
    point: str,
    hits: int,
    checkpoint_groups: int,
    pause: str,
    loop_only: bool,
) -> None:
    segments.SEGMENT_BYTES_MIN, segments.SEGMENT_BYTES_MAX = 16 << 10, 64 << 10
    journal.CHECKPOINT_GROUPS = checkpoint_groups
    journal.CHECKPOINT_LOG_BYTES = checkpoint_groups * 2560
    journal.CHECKPOINT_SECONDS = checkpoint_groups / 1000
    recovery._BATCH_ROWS = 40
    kept.SHOWN_SECONDS = kept.WANTED_SECONDS = 0.0
    _tell_stacks_on_demand(evidence.directory / f"stacks-{number}")
    _observe(evidence)
    if point:
        _arm(point, hits)
    if pause:
        _pause_at(pause, evidence, number)
    store = open_store(f"lmdb://{path}")
    failures: list[BaseException] = []
    targets: list[Callable[[], None]] = [lambda: asyncio.run(_change_rows_from_loop(store, evidence, number))]
    if not loop_only:
        targets += [partial(_change_rows, store, evidence, number, thread) for thread in range(ROW_THREADS)]
        targets.append(lambda: _change_files(path, evidence, number))
    for target in targets:
        threading.Thread(target=_watched, args=(target, failures, evidence), daemon=True).start()
    time.sleep(LIFETIME_SECONDS)


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
        store.write(partial(_change, number, slot, version))
        versions.end(slot, version)


async def _change_rows_from_loop(store: Store, evidence: Evidence, number: int) -> None:
    """The same from an event loop, which goes on while they are synced."""
    loop = asyncio.get_running_loop()
    store.attend(loop)
    versions = Versions(evidence, number)

    async def change_one(slot: str) -> None:
        while True:
            version = versions.begin(slot)
            answered = loop.create_future()

            def done(result: object, error: BaseException | None, answered: Any = answered) -> None:
                loop.call_soon_threadsafe(answered.set_result, error)

            store.submit_together([(partial(_change, number, slot, version), done)], wait=False)
            error = await answered
            if error is not None:
                raise error
            versions.end(slot, version)

    await asyncio.gather(*(change_one(f"rows-loop-{slot}") for slot in range(SLOTS)))


def _change(number: int, slot: str, version: int, tx: Transaction) -> None:
    for key in keys(number, slot):
        if version % 5 == 0:
            tx.delete(RETRY, key)
        else:
            tx.put(RETRY, key, RetryEntry(content(version), version))


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
                fs.write_bytes(target, content(version))
            versions.end(f"file-{slot}", version)


def _observe(evidence: Evidence) -> None:
    """Note what is synced."""
    append, sync, begin_sync, reached = Journal.append, Journal.sync, Journal.begin_sync, Journal.synced
    write, settle = CheckpointFile.write, CheckpointFile._sync
    ends: dict[Journal, tuple[int, int]] = {}
    requests: deque[tuple[int, tuple[int, int]]] = deque()

    def appended(self: Journal, txn: Any, changes: Any) -> bytes:
        position = append(self, txn, changes)
        number, offset = self._placed
        length = os.pread(self._segments._file, 4, offset + 16)
        ends[self] = number, offset + HEADER_BYTES + int.from_bytes(length, "little")
        return position

    def synced(self: Journal) -> None:
        end = ends.get(self)
        sync(self)
        if end is not None:
            evidence.say("synced", *end, os.getpid())

    def began(self: Journal) -> int:
        end = ends.get(self)
        number = begin_sync(self)
        if end is not None:
            if number:
                requests.append((number, end))
            else:
                evidence.say("synced", *end, os.getpid())
        return number

    def told(self: Journal) -> int:
        number = reached(self)
        while requests and requests[0][0] <= number:
            evidence.say("synced", *requests.popleft()[1], os.getpid())
        return number

    def wrote(self: CheckpointFile, checkpoint: Any) -> None:
        # Called when the data file has been synced, by one process at a time.
        shutil.copyfile(self._path.parent / "data.mdb", evidence.directory / "image-new")
        (evidence.directory / "image-new").rename(evidence.image)
        evidence.say("checkpoints", os.getpid(), "writes", *_told(checkpoint))
        write(self, checkpoint)

    def settled(self: CheckpointFile) -> None:
        shutil.copyfile(self._path / "checkpoint", evidence.directory / "checkpoint-new")
        settle(self)
        (evidence.directory / "checkpoint-new").rename(evidence.checkpoint_image)
        evidence.say("checkpoints", os.getpid(), "synced", *_told(self._slots()[0]))

    # mypy refuses that methods be replaced, which is what this is for.
    Journal.append, Journal.sync = appended, synced  # type: ignore[method-assign]
    Journal.begin_sync, Journal.synced = began, told  # type: ignore[method-assign]
    CheckpointFile.write, CheckpointFile._sync = wrote, settled  # type: ignore[method-assign]


def _told(checkpoint: Checkpoint | None) -> tuple[object, ...]:
    """What to say of a checkpoint."""
    if checkpoint is None:
        return ("none",)
    position = checkpoint.position
    return checkpoint.meta.transaction, position.segment, position.offset, position.sequence, checkpoint.clean


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
            time.sleep(_AGONY_SECONDS.get(point, 0))
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, armed)


def _pause_at(point: str, evidence: Evidence, number: int) -> None:
    """Have the process say that it has come to a point, and wait there to be resumed."""
    owner, name = PAUSE_POINTS[point]
    function = getattr(owner, name)

    def paused(*arguments: Any, **named: Any) -> Any:
        if not evidence.lines(f"paused-{number}"):
            evidence.say(f"paused-{number}", point)
        while not (evidence.directory / f"resume-{number}").exists():
            time.sleep(0.001)
        return function(*arguments, **named)

    setattr(owner, name, paused)
