"""Stores by their URLs: one PostgreSQL server, or several as shards."""

from __future__ import annotations

from typing import Any

from oastfs.core.errors import InvalidArgument
from oastfs.store.sql_driver.threaded import ThreadedStore


def open_postgresql(urls: list[str], *, create: bool = False, **options: Any) -> ThreadedStore:
    """A store by its URL or URLs. Raises WrongStore, InvalidArgument, StoreError.

    Several URLs are the shards of one store, always in the same order. ``partition_column``: lay a new store
    out for an engine that shards by a column of the primary keys. ``threads``: how many submitted writes run
    at once.
    """
    unknown = set(options) - {"partition_column", "threads", "declared"}
    if unknown:
        raise InvalidArgument(f"not options of a store on PostgreSQL: {', '.join(sorted(unknown))}")
    if len(urls) == 1:
        from oastfs.store.sql_driver.store import SqlStore

        return SqlStore(urls[0], create=create, **options)
    from oastfs.store.sql_driver.shards.store import ShardedStore

    return ShardedStore(urls, create=create, **options)
