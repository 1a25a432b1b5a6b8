"""How large a store on Citus is: the coordinator has next to nothing of it."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from oastfs.store.sql_driver import server

_SIZE: Final = sa.text(
    "SELECT sum(CASE WHEN success THEN CAST(result AS bigint) END) "
    "FROM run_command_on_all_nodes('SELECT pg_database_size(current_database())')"
)
_GUESS: Final = sa.text(
    "SELECT sum(CAST(result AS bigint)) FROM run_command_on_shards(CAST(:name AS regclass), "
    "'SELECT CAST(greatest(reltuples, pg_stat_get_live_tuples(oid)) AS bigint) FROM pg_class "
    "WHERE oid = CAST(''%s'' AS regclass)')"
)


def size_bytes(connection: Any) -> int:
    """What the database takes on the disks of all servers that answer."""
    return int(connection.execute(_SIZE).scalar())


def count(connection: Any, name: str) -> int:
    """About how many rows a table has: of a large one, what the workers believe."""
    size = connection.execute(
        sa.text("SELECT citus_relation_size(CAST(:name AS regclass))"), {"name": name}
    ).scalar()
    if size > server.EXACT_BYTES:
        return int(connection.execute(_GUESS, {"name": name}).scalar())
    return int(connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar())
