"""Any HDFS by an unmodified client of others: hdfs-native, which is Rust and needs no Java.

It is not a dependency: whoever compares with HDFS installs it (``pip install 'oastfs[bench]'``).
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable
from importlib.metadata import version
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from oastfs.bench.targets.base import PIECE_BYTES, Servers, Target, local_ports
from oastfs.core.errors import Unreachable, Unsupported

FIRST_PAGE_ENTRIES = 1000
DEFAULT_PORT = 8020
REACH_SECONDS = 10.0


def _reach(url: str) -> None:
    """Raises Unreachable where nobody listens: hdfs-native tries on for ever, and hears no Ctrl-C meanwhile.

    An address without a port may name a nameservice, of which only its configuration knows the servers.
    """
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        return
    try:
        socket.create_connection((parts.hostname, parts.port), REACH_SECONDS).close()
    except OSError as error:
        raise Unreachable(f"no namenode answers: {error}", path=url) from None


class HdfsTarget(Target):
    """An ``hdfs://`` address of any make. Replication is 1, so that one datanode suffices."""

    def __init__(self, url: str, base: str) -> None:
        try:
            import hdfs_native
        except ImportError:
            raise Unsupported("hdfs:// targets need hdfs-native: pip install 'oastfs[bench]'") from None
        _reach(url)
        self._client: Any = hdfs_native.Client(url)
        self._url = url
        self._options: Any = hdfs_native.WriteOptions(replication=1)
        self._user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
        self._base = base
        self._client.mkdirs(base, 0o755, True)

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def mkdir(self, path: str) -> None:
        self._client.mkdirs(self._path(path), 0o755, False)

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._client.mkdirs(self._path(path), 0o755, True)

    def write(self, path: str, data: bytes) -> None:
        with self._client.create(self._path(path), self._options) as file:
            if data:
                file.write(data)

    def open(self, path: str) -> None:
        self._client.read(self._path(path)).close()

    def read(self, path: str) -> bytes:
        with self._client.read(self._path(path)) as file:
            return bytes(file.read())

    def stat(self, path: str) -> None:
        self._client.get_file_info(self._path(path))

    def list(self, path: str) -> int:
        return sum(1 for _ in self._client.list_status(self._path(path), False))

    def list_file(self, path: str) -> None:
        self.list(path)

    def first_entries(self, path: str) -> int:
        return sum(1 for _ in islice(self._client.list_status(self._path(path), False), FIRST_PAGE_ENTRIES))

    def rename(self, source: str, target: str) -> None:
        self._client.rename(self._path(source), self._path(target), False)

    def chmod(self, path: str, mode: int) -> None:
        self._client.set_permission(self._path(path), mode)

    def chown(self, path: str) -> None:
        self._client.set_owner(self._path(path), self._user, None)

    def set_replication(self, path: str, replication: int) -> None:
        self._client.set_replication(self._path(path), replication)

    def remove(self, path: str) -> None:
        self._client.delete(self._path(path), False)

    def rmdir(self, path: str) -> None:
        self._client.delete(self._path(path), False)

    def write_stream(self, path: str, size_bytes: int) -> None:
        piece = os.urandom(PIECE_BYTES)
        with self._client.create(self._path(path), self._options) as file:
            for _ in range(size_bytes // PIECE_BYTES):
                file.write(piece)

    def read_stream(self, path: str) -> int:
        total = 0
        with self._client.read(self._path(path)) as file:
            while piece := file.read(4 * PIECE_BYTES):
                total += len(piece)
        return total

    def remove_all(self) -> None:
        self._client.delete(self._base, True)

    def servers(self) -> Servers:
        parts = urlsplit(self._url)
        return Servers(local_ports([(parts.hostname or "", parts.port or DEFAULT_PORT)]))

    def versions(self) -> dict[str, str]:
        return {"hdfs-native": version("hdfs-native")}

    def close(self) -> None:
        """Connections go with the client."""
