"""A filesystem of ours, through the client library: by namenodes, or directly on its store."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from itertools import islice

from oastfs.bench.targets.base import PIECE_BYTES, Servers, Target, database_address, local_ports
from oastfs.client import connect
from oastfs.client.url import metadata_urls, parse_addresses

FIRST_PAGE_ENTRIES = 1000
_TRIPS = "oastfs_store_trips"
_METRICS_TIMEOUT_SECONDS = 5.0


class FilesystemTarget(Target):
    """``oastfs://…`` or a metadata URL; several metadata URLs, separated by commas, are shards."""

    def __init__(self, url: str, base: str) -> None:
        self._url = url
        urls = metadata_urls(url)
        self._filesystem = connect(metadata=urls) if urls else connect(url)
        self._base = base
        self._filesystem.makedirs(base)

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def mkdir(self, path: str) -> None:
        self._filesystem.mkdir(self._path(path))

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._filesystem.makedirs(self._path(path))

    def write(self, path: str, data: bytes) -> None:
        self._filesystem.write_bytes(self._path(path), data)

    def write_many(self, files: Sequence[tuple[str, bytes]]) -> None:
        items = ((self._path(path), data) for path, data in files)
        for item in self._filesystem.write_many(items, parents=True):
            if isinstance(item, OSError):
                raise item

    def open(self, path: str) -> None:
        self._filesystem.open(self._path(path), "rb", buffering=0).close()

    def read(self, path: str) -> bytes:
        return self._filesystem.read_bytes(self._path(path))

    def read_many(self, paths: Sequence[str]) -> list[bytes]:
        contents = []
        for item in self._filesystem.read_many([self._path(path) for path in paths]):
            if isinstance(item, OSError):
                raise item
            contents.append(item)
        return contents

    def stat(self, path: str) -> None:
        self._filesystem.stat(self._path(path))

    def list(self, path: str) -> int:
        return sum(1 for _ in self._filesystem.listdir(self._path(path)))

    def first_entries(self, path: str) -> int:
        return sum(1 for _ in islice(self._filesystem.listdir(self._path(path)), FIRST_PAGE_ENTRIES))

    def rename(self, source: str, target: str) -> None:
        self._filesystem.rename(self._path(source), self._path(target))

    def chmod(self, path: str, mode: int) -> None:
        self._filesystem.chmod(self._path(path), mode)

    def chown(self, path: str) -> None:
        self._filesystem.chown(self._path(path), os.getuid(), os.getgid())

    def set_replication(self, path: str, replication: int) -> None:
        self._filesystem.set_replication(self._path(path), replication)

    def remove(self, path: str) -> None:
        self._filesystem.remove(self._path(path))

    def rmdir(self, path: str) -> None:
        self._filesystem.rmdir(self._path(path))

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

    def own_trips(self) -> int:
        from oastfs.namenode.namespace import Namespace

        metadata = self._filesystem.metadata
        return metadata.store.trips() if isinstance(metadata, Namespace) else 0

    def server_trips(self) -> int | None:
        if metadata_urls(self._url):
            return None
        found = [
            trips
            for namenode in self._filesystem.metadata.namenodes(self._filesystem.caller)
            if namenode.live and namenode.http_port
            if (trips := _exported_trips(namenode.host, namenode.http_port)) is not None
        ]
        return sum(found) if found else None

    def disk_bytes(self) -> int | None:
        status = self._filesystem.statfs()
        return status.metadata_bytes + status.used

    def servers(self) -> Servers:
        metadata, caller = self._filesystem.metadata, self._filesystem.caller
        places = [(node.host, node.data_port) for node in metadata.datanodes(caller)]
        if urls := metadata_urls(self._url):
            places += [database_address(url) for url in urls if url.startswith("postgresql")]
        else:
            places += [(node.host, node.port) for node in metadata.namenodes(caller)]
            places += [(node.host, node.port) for node in parse_addresses(self._url)]
        return Servers(local_ports(places))

    def versions(self) -> dict[str, str]:
        return {"oastfs": self._filesystem.info.version}

    def close(self) -> None:
        self._filesystem.close()


def _exported_trips(host: str, port: int) -> int | None:
    """What a namenode's page of metrics says; None if it does not answer there."""
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=_METRICS_TIMEOUT_SECONDS) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(_TRIPS + " "):
                    return int(float(line.split()[1]))
    except urllib.error.HTTPError as refusal:
        refusal.close()
    except OSError:
        pass  # a page that others may not reach is no fault of what is measured
    return None
