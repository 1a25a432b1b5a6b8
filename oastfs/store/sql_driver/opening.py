"""Stores by their URLs: one PostgreSQL server, or several as shards."""

from __future__ import annotations

from typing import Any

from oastfs.core.errors import InvalidArgument
from oastfs.store.sql_driver.citus import tables as citus
from oastfs.store.sql_driver.looks import UNDER_WAY_MAX
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.threaded import THREADS, ThreadedStore


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
        return _open_one(urls[0], create, **options)
    from oastfs.store.sql_driver.shards.store import ShardedStore

    return ShardedStore(urls, create=create, **options)


def _open_one(
    url: str,
    create: bool,
    partition_column: bool = False,
    threads: int = THREADS,
    declared: Declared | None = None,
) -> ThreadedStore:
    """One PostgreSQL server, or one Citus."""
    server = Server(url, 2 * threads + UNDER_WAY_MAX)
    known = declared or Declared()
    try:
        partitioned = server.connections.prepare(create, partition_column, known)
        is_citus = partitioned and server.ask(citus.is_there)
        server.learn(partitioned, known, stamped=is_citus)
        if is_citus:
            from oastfs.store.sql_driver.citus.store import CitusStore

            server.connections.set(citus.SETTINGS)
            return CitusStore(server, threads)
    except BaseException:
        server.connections.close()
        raise
    from oastfs.store.sql_driver.store import SqlStore

    return SqlStore(server, threads)
