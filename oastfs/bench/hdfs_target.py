"""Any HDFS by an unmodified client of others: hdfs-native, which is Rust and needs no Java.

It is not a dependency: whoever compares with HDFS installs it (``pip install hdfs-native``).
"""

from __future__ import annotations

import os
from typing import Any

from oastfs.bench.targets import PIECE_BYTES, Target
from oastfs.core.errors import Unsupported


class HdfsTarget(Target):
    """An ``hdfs://`` address of any make. Replication is 1, so that one datanode suffices."""

    def __init__(self, url: str, base: str) -> None:
        try:
            import hdfs_native
        except ImportError:
            raise Unsupported("hdfs:// targets need `pip install hdfs-native`") from None
        self._client: Any = hdfs_native.Client(url)
        self._options: Any = hdfs_native.WriteOptions(replication=1)
        self._base = base
        self._client.mkdirs(base, 0o755, True)

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def mkdir(self, path: str) -> None:
        self._client.mkdirs(self._path(path), 0o755, False)

    def write(self, path: str, data: bytes) -> None:
        with self._client.create(self._path(path), self._options) as file:
            if data:
                file.write(data)

    def open(self, path: str) -> None:
        self._client.read(self._path(path)).close()

    def read(self, path: str) -> int:
        with self._client.read(self._path(path)) as file:
            return len(file.read())

    def read_many(self, paths: list[str]) -> int:
        return sum(map(self.read, paths))

    def stat(self, path: str) -> None:
        self._client.get_file_info(self._path(path))

    def list(self, path: str) -> int:
        return sum(1 for _ in self._client.list_status(self._path(path), False))

    def rename(self, source: str, target: str) -> None:
        self._client.rename(self._path(source), self._path(target), False)

    def chmod(self, path: str, mode: int) -> None:
        self._client.set_permission(self._path(path), mode)

    def remove(self, path: str) -> None:
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

    def close(self) -> None:
        """Connections go with the client."""
