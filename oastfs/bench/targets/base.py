"""What workloads are made of: the few calls that every target has."""

from __future__ import annotations

import socket
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

PIECE_BYTES = 1 << 20
"""Streams are read and written in pieces of this size."""


class Servers(NamedTuple):
    """How to find the processes that serve a target on this machine: what they listen on, or have mounted."""

    ports: frozenset[int] = frozenset()
    mount_point: str = ""


class Target(ABC):
    """One filesystem under measurement. Paths are relative to the base directory of the run."""

    has_replication = True
    """Files have a number of replicas that can be set."""

    @abstractmethod
    def mkdir(self, path: str) -> None:
        """Make one directory."""

    @abstractmethod
    def make_directories(self, paths: Iterable[str]) -> None:
        """Make directories, and those above them that are not there."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Create a file with this content, and close it."""

    def write_many(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Create files, and directories above that are missing; in batches where the target has them."""
        made = ""
        for path, data in files:
            parent = path.rpartition("/")[0]
            if parent and parent != made:
                self.make_directories([parent])
                made = parent
            self.write(path, data)

    @abstractmethod
    def open(self, path: str) -> None:
        """Open for reading, which finds out where the content is, and close."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Open, read all, close."""

    def read_many(self, paths: Sequence[str]) -> list[bytes]:
        """Read many files, in batches where the target has them."""
        return [self.read(path) for path in paths]

    @abstractmethod
    def stat(self, path: str) -> None:
        """Attributes of one path."""

    @abstractmethod
    def list(self, path: str) -> int:
        """All entries of a directory with their attributes; how many there are."""

    def list_file(self, path: str) -> None:
        """What ``ls`` of a file does: where listings are of directories only, it asks for attributes."""
        self.stat(path)

    @abstractmethod
    def first_entries(self, path: str) -> int:
        """A listing's first page, as far as the target has pages; how many entries came."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move one file."""

    @abstractmethod
    def chmod(self, path: str, mode: int) -> None:
        """Set permission bits."""

    @abstractmethod
    def chown(self, path: str) -> None:
        """Set owner and group, to those of the caller."""

    @abstractmethod
    def set_replication(self, path: str, replication: int) -> None:
        """Set how many replicas a file has. Raises Unsupported unless ``has_replication``."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove one file."""

    @abstractmethod
    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

    @abstractmethod
    def write_stream(self, path: str, size_bytes: int) -> None:
        """Write a large file in pieces and make it durable."""

    @abstractmethod
    def read_stream(self, path: str) -> int:
        """Read a large file in pieces; how many bytes it was."""

    @abstractmethod
    def remove_all(self) -> None:
        """Remove the base directory and all in it."""

    def own_trips(self) -> int:
        """Trips to the database that this process has made so far, where it works on the store itself."""
        return 0

    def server_trips(self) -> int | None:
        """Trips to the database that the servers have made so far; None if that cannot be known."""
        return None

    def disk_bytes(self) -> int | None:
        """Space that the target takes on disk, metadata and contents; None if that cannot be known."""
        return None

    def servers(self) -> Servers:
        """Where this target's servers are, as far as they are on this machine."""
        return Servers()

    def versions(self) -> dict[str, str]:
        """Whose filesystem it is, and in what version, as far as it tells."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """Give back connections."""


def local_ports(places: Iterable[tuple[str, int]]) -> frozenset[int]:
    """Ports of those addresses (host, port) that are this machine's own."""
    return frozenset(port for host, port in places if _is_local(host))


def database_address(url: str) -> tuple[str, int]:
    """Host and port of the server that a PostgreSQL URL names."""
    parts = urllib.parse.urlsplit(url)
    host = urllib.parse.parse_qs(parts.query).get("host", [""])[0]
    # A directory is where a server of this machine has its socket.
    return parts.hostname or (
        "localhost" if host.startswith("/") else host
    ) or "localhost", parts.port or 5432


def _is_local(host: str) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)  # nobody can listen on an address of another machine
    except OSError:
        return False
    return True
