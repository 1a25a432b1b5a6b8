"""What every part of the fsspec filesystem stands on: its options, its client, its addresses."""

from __future__ import annotations

import os
from typing import Any

from fsspec import AbstractFileSystem

from oastfs.client import Filesystem
from oastfs.client.source import URL_VARIABLE, find_source
from oastfs.core.path import parent
from oastfs.core.types import FileStatus
from oastfs.fsspec_impl import address
from oastfs.fsspec_impl.clients import Options, SharedClient, shared_client
from oastfs.fsspec_impl.entries import Info, info_of

Path = str | os.PathLike[str]

TIMEOUT_SECONDS = 60.0


class OastBase(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Options, connection and URLs. See ``filesystem.OastFileSystem``."""

    protocol = address.PROTOCOL
    root_marker = "/"

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        metadata: str | list[str] | tuple[str, ...] | None = None,
        user: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        replication: int = 0,
        block_size: int = 0,
        auto_mkdir: bool = True,
        use_listings_cache: bool = False,
        **storage_options: Any,
    ) -> None:
        if self._cached:
            return
        super().__init__(use_listings_cache=use_listings_cache, **storage_options)
        self.host = address.namenodes(host, port)
        self.replication = replication
        self.block_size = block_size
        self.auto_mkdir = auto_mkdir
        urls = (metadata,) if isinstance(metadata, str) else tuple(metadata or ())
        from_environment = os.environ.get(URL_VARIABLE) if not self.host and not urls else None
        find_source(
            self.host, list(urls) or None, timeout
        )  # tells of bad options now, and connects to nothing
        self._options = Options(self.host, urls, user, timeout, from_environment)
        self._shared: SharedClient | None = None

    @property
    def client(self) -> Filesystem:
        """The Python client underneath; connected at first use."""
        if self._shared is None:
            self._shared = shared_client(self._options)
        return self._shared.filesystem

    def close(self) -> None:
        """Let go of the client; others of this process may go on with it. The next use connects again."""
        self._shared = None

    @property
    def fsid(self) -> str:
        """The filesystem's own id: equal for every address that leads to it."""
        return f"{address.PROTOCOL}_{self.client.info.filesystem_id}"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, (list, tuple, set)):
            return [address.strip(one) for one in path]
        return address.strip(path)

    def unstrip_protocol(self, name: str) -> str:
        """The URL of a path; in direct mode it needs the same storage options."""
        return (self.host or f"{address.PROTOCOL}://") + address.strip(name)

    @staticmethod
    def _get_kwargs_from_urls(path: Path) -> dict[str, Any]:
        return address.options_of(path)

    @classmethod
    def _parent(cls, path: Path) -> str:
        return parent(address.strip(path))

    def describe(self, path: str, status: FileStatus) -> Info:
        """The entry of fsspec for a status."""
        return info_of(path, status)

    def invalidate_cache(self, path: Path | None = None) -> None:
        """Forget listings: all, or those of ``path``, of what is below and of its parent."""
        super().invalidate_cache(path)
        if not self.dircache.use_listings_cache:
            return
        if path is None:
            self.dircache.clear()
            return
        where = address.strip(path)
        self.dircache.pop(parent(where), None)
        below = where.rstrip("/") + "/"
        for known in [one for one in self.dircache if one == where or one.startswith(below)]:
            self.dircache.pop(known, None)

    def _make_parent(self, path: str) -> None:
        self.client.makedirs(parent(path))
        self.invalidate_cache(parent(path))
