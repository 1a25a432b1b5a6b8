"""A directory of the operating system: our mount, another's, or a local disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from oastfs.bench.targets.base import PIECE_BYTES, Servers, Target
from oastfs.core.errors import Unsupported

FIRST_PAGE_ENTRIES = 1000


class DirectoryTarget(Target):
    """System calls, with nothing between them and the measurement."""

    has_replication = False

    def __init__(self, directory: str, base: str) -> None:
        self._base = Path(directory) / base.lstrip("/")
        self._base.mkdir(parents=True, exist_ok=True)
        self._prefix = f"{self._base}/"

    def mkdir(self, path: str) -> None:
        os.mkdir(self._prefix + path)

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            os.makedirs(self._prefix + path, exist_ok=True)

    def write(self, path: str, data: bytes) -> None:
        descriptor = os.open(self._prefix + path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)

    def open(self, path: str) -> None:
        os.close(os.open(self._prefix + path, os.O_RDONLY))

    def read(self, path: str) -> bytes:
        descriptor = os.open(self._prefix + path, os.O_RDONLY)
        try:
            pieces = []
            while piece := os.read(descriptor, PIECE_BYTES):
                pieces.append(piece)
                if len(piece) < PIECE_BYTES:
                    break
            return b"".join(pieces)
        finally:
            os.close(descriptor)

    def stat(self, path: str) -> None:
        os.stat(self._prefix + path)

    def list(self, path: str) -> int:
        with os.scandir(self._prefix + path) as entries:
            return sum(1 for entry in entries if entry.stat(follow_symlinks=False))

    def first_entries(self, path: str) -> int:
        with os.scandir(self._prefix + path) as entries:
            return sum(1 for e in islice(entries, FIRST_PAGE_ENTRIES) if e.stat(follow_symlinks=False))

    def rename(self, source: str, target: str) -> None:
        os.rename(self._prefix + source, self._prefix + target)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._prefix + path, mode)

    def chown(self, path: str) -> None:
        os.chown(self._prefix + path, os.getuid(), os.getgid())

    def set_replication(self, path: str, replication: int) -> None:
        raise Unsupported("files of a directory have no number of replicas", path=path)

    def remove(self, path: str) -> None:
        os.unlink(self._prefix + path)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._prefix + path)

    def write_stream(self, path: str, size_bytes: int) -> None:
        piece = os.urandom(PIECE_BYTES)
        descriptor = os.open(self._prefix + path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            for _ in range(size_bytes // PIECE_BYTES):
                os.write(descriptor, piece)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read_stream(self, path: str) -> int:
        buffer, total = bytearray(PIECE_BYTES), 0
        descriptor = os.open(self._prefix + path, os.O_RDONLY)
        try:
            while count := os.readv(descriptor, [buffer]):
                total += count
        finally:
            os.close(descriptor)
        return total

    def remove_all(self) -> None:
        shutil.rmtree(self._base)

    def servers(self) -> Servers:
        return Servers(mount_point=_mount_of(str(self._base.resolve()))[0])

    def versions(self) -> dict[str, str]:
        return {"filesystem": _mount_of(str(self._base.resolve()))[1]}

    def close(self) -> None:
        """Nothing is held open."""


def _mount_of(path: str) -> tuple[str, str]:
    """The mount point that a path is below, and what is mounted there, as the kernel tells."""
    best, found = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, point, kind = line.split()[:3]
        point = point.encode().decode("unicode_escape")
        if len(point) >= len(best) and (path == point or path.startswith(point.rstrip("/") + "/")):
            best, found = point, f"{kind} ({source})"
    return best, found
