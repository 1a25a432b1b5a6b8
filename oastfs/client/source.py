"""Where a filesystem is: what can be pickled and opened again in another process.

``ThroughNamenodes`` speaks to namenodes, ``Direct`` runs the namespace in this process on its store.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from oastfs.client.url import metadata_urls, parse_addresses
from oastfs.core.errors import InvalidArgument
from oastfs.core.metadata import Metadata

URL_VARIABLE = "OASTFS_URL"


class Source(Protocol):
    """Opens the metadata of a filesystem; hashable and picklable."""

    @property
    def is_local(self) -> bool:
        """Calls take microseconds: there is no trip to save by asking ahead."""

    def open(self) -> Metadata:
        """Connect. The caller closes what it gets."""


@dataclass(frozen=True)
class ThroughNamenodes:
    """Any of several namenodes, each (host, port)."""

    addresses: tuple[tuple[str, int], ...]
    timeout_seconds: float

    @property
    def is_local(self) -> bool:
        return False

    def open(self) -> Metadata:
        from oastfs.client.remote import RemoteMetadata

        return RemoteMetadata(self.addresses, timeout_seconds=self.timeout_seconds)


@dataclass(frozen=True)
class Direct:
    """The namespace in this process, on the store of these metadata URLs."""

    urls: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        return all(url.startswith("lmdb:") for url in self.urls)

    def open(self) -> Metadata:
        from oastfs.namenode.namespace import Namespace
        from oastfs.store import open_store

        return Namespace(open_store(list(self.urls)), owns_store=True)


def find_source(url: str | None, metadata: str | list[str] | None, timeout_seconds: float) -> Source:
    """The source of ``connect``'s arguments. Raises InvalidArgument."""
    if metadata is not None:
        if url is not None:
            raise InvalidArgument("give either a URL of namenodes or metadata URLs, not both")
        urls = metadata_urls(metadata) or [metadata] if isinstance(metadata, str) else list(metadata)
        if not urls:
            raise InvalidArgument("there is no metadata URL")
        return Direct(tuple(urls))
    found = url or os.environ.get(URL_VARIABLE, "")
    if not found:
        raise InvalidArgument(
            f"which filesystem? Give a URL such as oastfs://localhost:8020, or set {URL_VARIABLE}"
        )
    scheme, separator, rest = found.partition("://")
    if not separator or not rest:
        raise InvalidArgument(f"no URL of a filesystem (such as oastfs://localhost:8020): {found}")
    if scheme in ("oastfs", "hdfs"):
        return ThroughNamenodes(
            tuple((one.host, one.port) for one in parse_addresses(found)), timeout_seconds
        )
    return Direct(tuple(metadata_urls(found)))
