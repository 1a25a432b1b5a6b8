"""The metadata store: tables, transactions, drivers. Knows rows, not filesystems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oastfs.core.errors import InvalidArgument
from oastfs.store.transaction import Store

__all__ = ["open_store"]


def _open_lmdb(urls: list[str], **options: Any) -> Store:
    from oastfs.store.lmdb_driver import open_lmdb

    return open_lmdb(urls, **options)


def _open_postgresql(urls: list[str], **options: Any) -> Store:
    from oastfs.store.sql_driver import open_postgresql

    return open_postgresql(urls, **options)


_DRIVERS: dict[str, Callable[..., Store]] = {"lmdb": _open_lmdb, "postgresql": _open_postgresql}
"""Who opens a URL, by its scheme without what follows a ``+``."""


def open_store(url: str | list[str], *, create: bool = False, **options: Any) -> Store:
    """Open the store at ``url``, ``lmdb:///path`` or ``postgresql+psycopg2://user@host/database``.

    Several URLs of PostgreSQL databases are the shards of one store, always in the same order.

    ``create`` makes it if there is none. ``options`` are the driver's. Raises WrongStore for what is not a
    store, InvalidArgument for what is not a URL, Unsupported.
    """
    urls = [url] if isinstance(url, str) else list(url)
    schemes = {one.partition("://")[0].partition("+")[0] if "://" in one else "" for one in urls}
    if len(schemes) != 1:
        raise InvalidArgument("the URLs of a store are of one kind")
    scheme = schemes.pop()
    driver = _DRIVERS.get(scheme)
    if driver is None:
        known = ", ".join(f"{name}://" for name in _DRIVERS)
        raise InvalidArgument(f"not the URL of a metadata store: {urls[0]!r} (known: {known})")
    return driver(urls, create=create, **options)
