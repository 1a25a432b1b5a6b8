"""What is measured: a filesystem of ours by URL, or any directory (a mount, a local disk) by path.

Both offer the same few calls, so one workload compares systems.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from oastfs.core.errors import InvalidArgument

PIECE_BYTES = 1 << 20


class Target(ABC):
    """Calls that workloads are made of. Paths are relative to the base directory of the run."""

    @abstractmethod
    def mkdir(self, path: str) -> None:
        """Make one directory."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Create a file with this content, and close it."""

    @abstractmethod
    def open(self, path: str) -> None:
        """Open for reading, which finds out where the content is, and close."""

    @abstractmethod
    def read(self, path: str) -> int:
        """Open, read all, close; how many bytes it was."""

    @abstractmethod
    def read_many(self, paths: list[str]) -> int:
        """Read many files, in batches where the target has them; how many bytes it was."""

    @abstractmethod
    def stat(self, path: str) -> None:
        """Attributes of one path."""

    @abstractmethod
    def list(self, path: str) -> int:
        """All entries with their attributes; how many there are."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move one file."""

    @abstractmethod
    def chmod(self, path: str, mode: int) -> None:
        """Set permission bits."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove one file."""

    @abstractmethod
    def write_stream(self, path: str, size_bytes: int) -> None:
        """Write a large file in pieces of 1 MiB and make it durable."""

    @abstractmethod
    def read_stream(self, path: str) -> int:
        """Read a large file in pieces of 1 MiB; how many bytes it was."""

    @abstractmethod
    def remove_all(self) -> None:
        """Remove the base directory and all in it."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""


class FilesystemTarget(Target):
    """A filesystem of ours, through the client library."""

    def __init__(self, url: str, base: str) -> None:
        from oastfs.client import connect

        self._filesystem = connect(url)
        self._base = base
        self._filesystem.makedirs(base)

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def mkdir(self, path: str) -> None:
        self._filesystem.mkdir(self._path(path))

    def write(self, path: str, data: bytes) -> None:
        self._filesystem.write_bytes(self._path(path), data)

    def open(self, path: str) -> None:
        self._filesystem.open(self._path(path), "rb", buffering=0).close()

    def read(self, path: str) -> int:
        return len(self._filesystem.read_bytes(self._path(path)))

    def read_many(self, paths: list[str]) -> int:
        size_bytes = 0
        for item in self._filesystem.read_many([self._path(path) for path in paths]):
            if isinstance(item, OSError):
                raise item
            size_bytes += len(item)
        return size_bytes

    def stat(self, path: str) -> None:
        self._filesystem.stat(self._path(path))

    def list(self, path: str) -> int:
        return sum(1 for _ in self._filesystem.listdir(self._path(path)))

    def rename(self, source: str, target: str) -> None:
        self._filesystem.rename(self._path(source), self._path(target))

    def chmod(self, path: str, mode: int) -> None:
        self._filesystem.chmod(self._path(path), mode)

    def remove(self, path: str) -> None:
        self._filesystem.remove(self._path(path))

    def write_stream(self, path: str, size_bytes: int) -> None:
        piece = os.urandom(PIECE_BYTES)
        with self._filesystem.open(self._path(path), "wb") as file:
            for _ in range(size_bytes // PIECE_BYTES):
                file.write(piece)

    def read_stream(self, path: str) -> int:
        buffer, total = bytearray(PIECE_BYTES), 0
        with self._filesystem.open(self._path(path), "rb", buffering=0) as file:
            while count := file.readinto(buffer):  # type: ignore[attr-defined]
                total += count
        return total

    def remove_all(self) -> None:
        self._filesystem.rmtree(self._base)

    def close(self) -> None:
        self._filesystem.close()


class DirectoryTarget(Target):
    """A directory of the operating system: our mount, another's, or a local disk."""

    def __init__(self, directory: str, base: str) -> None:
        self._base = Path(directory) / base.lstrip("/")
        self._base.mkdir(parents=True, exist_ok=True)
        self._prefix = f"{self._base}/"

    def mkdir(self, path: str) -> None:
        os.mkdir(self._prefix + path)

    def write(self, path: str, data: bytes) -> None:
        descriptor = os.open(self._prefix + path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def open(self, path: str) -> None:
        os.close(os.open(self._prefix + path, os.O_RDONLY))

    def read(self, path: str) -> int:
        descriptor = os.open(self._prefix + path, os.O_RDONLY)
        try:
            total = 0
            while piece := os.read(descriptor, PIECE_BYTES):
                total += len(piece)
                if len(piece) < PIECE_BYTES:
                    break
            return total
        finally:
            os.close(descriptor)

    def read_many(self, paths: list[str]) -> int:
        return sum(map(self.read, paths))

    def stat(self, path: str) -> None:
        os.stat(self._prefix + path)

    def list(self, path: str) -> int:
        with os.scandir(self._prefix + path) as entries:
            return sum(1 for entry in entries if entry.stat(follow_symlinks=False))

    def rename(self, source: str, target: str) -> None:
        os.rename(self._prefix + source, self._prefix + target)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._prefix + path, mode)

    def remove(self, path: str) -> None:
        os.unlink(self._prefix + path)

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

    def close(self) -> None:
        """Nothing is held open."""


def open_target(text: str, base: str) -> Target:
    """The target that a URL or a path names. Raises InvalidArgument if it is neither, Unsupported."""
    if text.startswith("hdfs://"):
        from oastfs.bench.hdfs_target import HdfsTarget

        return HdfsTarget(text, base)
    if "://" in text:
        return FilesystemTarget(text, base)
    if not Path(text).is_dir():
        raise InvalidArgument("a target is a URL or a directory", path=text)
    return DirectoryTarget(text, base)
