"""What the copying engine needs of either end. Paths are each end's own, joined with ``/``."""

from __future__ import annotations

import stat as _stat
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

STREAM_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Item:
    """Something to copy. ``mode`` is a full st_mode; ``link_key`` is set if it may have several names."""

    path: str
    name: str
    mode: int
    uid: int
    gid: int
    size: int
    atime_ns: int
    mtime_ns: int
    rdev: int = 0
    link_key: Hashable = None

    @property
    def is_directory(self) -> bool:
        return _stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return _stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        return _stat.S_ISLNK(self.mode)


@dataclass(frozen=True)
class SmallFile:
    """A whole file in memory on its way to ``path``."""

    path: str
    data: bytes
    mode: int


class Source(ABC):
    """Where files come from."""

    @abstractmethod
    def item(self, path: str, follow: bool) -> Item:
        """What is at ``path``. Raises FileNotFoundError."""

    @abstractmethod
    def children(self, path: str) -> Iterator[Item]:
        """The entries of a directory; links are not followed."""

    @abstractmethod
    def read_small(self, items: Sequence[Item], limit_bytes: int) -> list[bytes | OSError | None]:
        """The content of each, its error, or None for what is larger than the limit by now."""

    @abstractmethod
    def open(self, path: str) -> IO[bytes]:
        """The content of a file as a stream."""

    @abstractmethod
    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""

    @abstractmethod
    def xattrs(self, path: str) -> dict[str, bytes]:
        """Extended attributes that travel: those of users and administrators."""


class Sink(ABC):
    """Where files go. Existing files are replaced unless ``clobber`` is off."""

    small_limit_bytes: int
    """Files up to this size are handed over whole, in batches."""
    clobber: bool = True

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Whether there is a directory (or a link to one)."""

    @abstractmethod
    def make_directory(self, path: str, mode: int) -> None:
        """Make it; one that is there is taken as it is."""

    @abstractmethod
    def write_small(self, files: Sequence[SmallFile]) -> list[OSError | None]:
        """Write each; None for those that were written."""

    @abstractmethod
    def create(self, path: str, mode: int) -> IO[bytes]:
        """A stream that becomes the file's content."""

    @abstractmethod
    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link."""

    @abstractmethod
    def link(self, existing: str, path: str) -> None:
        """A further name of a file written before."""

    @abstractmethod
    def special(self, path: str, mode: int, rdev: int) -> None:
        """A FIFO, socket or device node."""

    @abstractmethod
    def set_permissions(self, path: str, bits: int) -> None:
        """The permission bits alone."""

    @abstractmethod
    def set_attributes(self, path: str, item: Item, xattrs: dict[str, bytes]) -> None:
        """Owner, permission bits, times and extended attributes as ``item`` has them."""


def join(directory: str, name: str) -> str:
    """A path in a directory."""
    return directory + name if directory.endswith("/") else f"{directory}/{name}"
