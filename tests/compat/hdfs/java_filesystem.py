"""Hadoop's FileSystem of one Java client, as tests of reading and writing use it."""

from __future__ import annotations

from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.java import Jvm

KIB = 1024
MIB = 1024 * KIB


class Java:
    """FileSystem of one Java client."""

    def __init__(self, jvm: Jvm, cluster: Cluster, **settings: str) -> None:
        self.jvm = jvm
        jvm.login("root")
        hadoop = jvm.java.org.apache.hadoop
        configuration = jvm.configuration({"fs.defaultFS": cluster.hdfs_url, **settings})
        uri = jvm.java.java.net.URI(cluster.hdfs_url)
        self.fs = hadoop.fs.FileSystem.newInstance(uri, configuration)
        self._path = hadoop.fs.Path

    def create(self, path: str, replication: int = 3, block_size: int = 128 * MIB) -> Any:
        return self.fs.create(self._path(path), True, 4096, replication, block_size)

    def append(self, path: str) -> Any:
        return self.fs.append(self._path(path))

    def append_in_new_block(self, path: str) -> Any:
        flags = self.jvm.java.org.apache.hadoop.fs.CreateFlag
        chosen = self.jvm.java.java.util.EnumSet.of(flags.APPEND, flags.NEW_BLOCK)
        return self.fs.append(self._path(path), chosen, 4096, None)

    def truncate(self, path: str, length: int) -> bool:
        return bool(self.fs.truncate(self._path(path), length))

    def read(self, path: str) -> bytes:
        return self.jvm.read_all(self.fs.open(self._path(path)))

    def length(self, path: str) -> int:
        return int(self.fs.getFileStatus(self._path(path)).getLen())

    def checksum(self, path: str) -> str:
        return str(self.fs.getFileChecksum(self._path(path)).toString())

    def replicas(self, path: str) -> list[int]:
        """Locations of each block."""
        status = self.fs.getFileStatus(self._path(path))
        blocks = self.fs.getFileBlockLocations(status, 0, status.getLen())
        return [len(block.getHosts()) for block in blocks]


def put(stream: Any, data: bytes) -> None:
    stream.write(data, 0, len(data))
