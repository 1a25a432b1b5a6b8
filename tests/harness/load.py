"""A load that knows what it was promised: run as a process, killed at will, checked afterwards.

Each worker owns some slots (paths) and puts versions into them, moves and removes them, writing a line to a
journal on the local disk before and after each operation. From the journal follows what a slot may
hold: what was acknowledged last, or what an operation without an answer may have left. Contents are made
from (worker, version), so a torn or mixed one is told from a whole one.
"""

from __future__ import annotations

import errno
import json
import os
import random
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SLOTS = 12
SIZES_BYTES = (0, 10, 3_000, 60_000, 70_000, 300_000, 2_500_000)
RETRY_SECONDS = 0.05


def content(worker: int, version: int) -> bytes:
    """The bytes of a version: its name, then noise that depends on it."""
    random_source = random.Random(worker * 1_000_003 + version)
    size_bytes = random_source.choice(SIZES_BYTES)
    return f"{worker}:{version}:".encode() + random_source.randbytes(size_bytes)


class Face(ABC):
    """How a worker reaches the filesystem."""

    @abstractmethod
    def put(self, path: str, data: bytes, scratch: str) -> None:
        """Make ``path`` hold ``data``, whole or not at all; durable when it returns."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Its content; None if there is nothing."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove it; FileNotFoundError if there is nothing."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move it over whatever is at ``target``."""

    @abstractmethod
    def mkdir(self, path: str) -> None:
        """Make a directory unless it is there."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""


class ClientFace(Face):
    """Through namenodes, or straight to the store."""

    def __init__(self, url: str) -> None:
        from oastfs.client import connect

        self.filesystem = connect(url, timeout_seconds=30)

    def put(self, path: str, data: bytes, scratch: str) -> None:
        if len(data) <= self.filesystem.info.inline_limit:
            self.filesystem.write_bytes(path, data)
            return
        self.filesystem.write_bytes(scratch, data)
        self.filesystem.rename(scratch, path)

    def read(self, path: str) -> bytes | None:
        try:
            return self.filesystem.read_bytes(path)
        except FileNotFoundError:
            return None

    def remove(self, path: str) -> None:
        self.filesystem.remove(path)

    def rename(self, source: str, target: str) -> None:
        self.filesystem.rename(source, target)

    def mkdir(self, path: str) -> None:
        self.filesystem.makedirs(path)

    def close(self) -> None:
        self.filesystem.close()


class PathFace(Face):
    """Through a mount, with the system calls of a careful program.

    While a killed mount is made anew its mount point is for a moment an ordinary directory. Each
    operation therefore begins from a descriptor of the mounted root, and fails if it is not mounted.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @contextmanager
    def _root(self) -> Iterator[int]:
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if os.fstat(descriptor).st_dev == os.stat(os.path.dirname(self.root)).st_dev:
                raise OSError(errno.ENOTCONN, "not mounted at the moment")
            yield descriptor
        finally:
            os.close(descriptor)

    def put(self, path: str, data: bytes, scratch: str) -> None:
        with self._root() as root:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            descriptor = os.open(scratch[1:], flags, 0o644, dir_fd=root)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(scratch[1:], path[1:], src_dir_fd=root, dst_dir_fd=root)

    def read(self, path: str) -> bytes | None:
        with self._root() as root:
            try:
                descriptor = os.open(path[1:], os.O_RDONLY, dir_fd=root)
            except FileNotFoundError:
                return None
            with open(descriptor, "rb") as file:
                return file.read()

    def remove(self, path: str) -> None:
        with self._root() as root:
            os.unlink(path[1:], dir_fd=root)

    def rename(self, source: str, target: str) -> None:
        with self._root() as root:
            os.rename(source[1:], target[1:], src_dir_fd=root, dst_dir_fd=root)

    def mkdir(self, path: str) -> None:
        with self._root() as root:
            try:
                os.mkdir(path[1:], dir_fd=root)
            except FileExistsError:
                pass

    def close(self) -> None:
        """Nothing is held open."""


def face_of(target: str) -> Face:
    """A URL or a mounted directory."""
    return ClientFace(target) if "://" in target else PathFace(target)


def run(target: str, worker: int, journal_path: str, seconds: float) -> None:
    """Body of a worker. Errors leave an operation unanswered; the worker goes on."""
    face, source = face_of(target), random.Random()
    allowed = replay(Path(journal_path))
    version = 1 + max((one for slot in allowed.values() for one in slot if one is not None), default=0)
    version += 1000  # a version whose journal line was lost is never used again
    base = f"/load{worker}"
    deadline = time.monotonic() + seconds
    with open(journal_path, "a", buffering=1) as journal:
        while time.monotonic() < deadline:
            version += 1
            slot, other = source.sample(range(SLOTS), 2)
            kind = source.choice(("put", "put", "put", "rename", "remove", "read"))
            entry: dict[str, Any] = {"kind": kind, "slot": slot, "other": other, "version": version}
            try:
                face.mkdir(base)
                if kind == "read":
                    check_slot(face, worker, slot, allowed)
                    continue
                journal.write(json.dumps(entry) + "\n")
                _note(allowed, entry, done=False)
                _perform(face, worker, base, entry)
                journal.write(json.dumps({**entry, "done": True}) + "\n")
                _note(allowed, entry, done=True)
            except FileNotFoundError:
                # Nothing was there to move or remove: true only if that was allowed.
                assert None in allowed[slot], f"{base}/{slot} is missing"
                journal.write(json.dumps({**entry, "kind": "absent", "done": True}) + "\n")
                _note(allowed, {**entry, "kind": "absent"}, done=True)
            except OSError as error:
                print(f"worker {worker}: {kind}: {type(error).__name__}: {error}", flush=True)
                time.sleep(RETRY_SECONDS)


def _perform(face: Face, worker: int, base: str, entry: dict[str, Any]) -> None:
    path = f"{base}/{entry['slot']}"
    if entry["kind"] == "put":
        face.put(path, content(worker, entry["version"]), f"{base}/scratch{entry['version']}")
    elif entry["kind"] == "rename":
        face.rename(path, f"{base}/{entry['other']}")
    else:
        face.remove(path)


Allowed = dict[int, set[int | None]]
"""What each slot may hold: versions, or None for nothing."""


def _note(allowed: Allowed, entry: dict[str, Any], done: bool) -> None:
    slot, other, kind = entry["slot"], entry["other"], entry["kind"]
    if kind == "absent":
        allowed[slot] = {None}
        return
    if kind == "rename":
        moved = allowed[slot] - {None}
        allowed[other] = moved if done else allowed[other] | moved
    after: set[int | None] = {entry["version"]} if kind == "put" else {None}
    allowed[slot] = after if done else allowed[slot] | after


def replay(journal: Path) -> Allowed:
    """What the journal allows."""
    allowed: Allowed = {slot: {None} for slot in range(SLOTS)}
    before: Allowed = allowed
    for entry in _entries(journal):
        if entry.get("done"):
            # An answered operation: what it said before it began does not matter any more.
            allowed = {slot: set(versions) for slot, versions in before.items()}
            _note(allowed, entry, done=True)
        else:
            before = {slot: set(versions) for slot, versions in allowed.items()}
            _note(allowed, entry, done=False)
    return allowed


def _entries(journal: Path) -> Iterator[dict[str, Any]]:
    if not journal.exists():
        return
    for line in journal.read_text().split("\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue  # cut off by a kill: the operation was not acknowledged to anyone


def check_slot(face: Face, worker: int, slot: int, allowed: Allowed) -> None:
    """AssertionError unless the slot holds a whole version that it may hold."""
    data = face.read(f"/load{worker}/{slot}")
    if data is None:
        assert None in allowed[slot], f"worker {worker}, slot {slot}: lost; allowed {allowed[slot]}"
        return
    whole = [v for v in allowed[slot] if v is not None and content(worker, v) == data]
    head = data[:30]
    assert whole, f"worker {worker}, slot {slot}: {head!r}, {len(data)} bytes; allowed {allowed[slot]}"


def verify(target: str, worker: int, journal: Path) -> int:
    """Check every slot of a worker; how many operations were acknowledged."""
    face, allowed = face_of(target), replay(journal)
    for slot in range(SLOTS):
        check_slot(face, worker, slot, allowed)
    face.close()
    return sum(1 for entry in _entries(journal) if entry.get("done"))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
