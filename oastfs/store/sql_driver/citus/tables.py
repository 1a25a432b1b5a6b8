"""A server with Citus, which shards by itself: tables are distributed by their partition column.

Rows of equal partition, of whichever tables, are then on one of its workers. Its transactions on several
workers are its own business: the driver commits plainly, as on one server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from oastfs.store.sql_driver.layout import PARTITION, Layout

SETTINGS: Final = {
    # It has to see the arguments of whatever may concern several shards; for other statements a plan is kept.
    "plan_cache_mode": "auto",
    # One connection to a worker, and so one snapshot, however many shards are asked at once.
    "citus.max_adaptive_executor_pool_size": "1",
}
"""Of our sessions with its coordinator."""


def is_there(connection: Any) -> bool:
    """Whether the database has the extension."""
    question = sa.text("SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'citus'")
    return connection.execute(question).first() is not None


def distribute(connection: Any, layouts: Sequence[Layout], first: str) -> None:
    """Spread new tables over the workers. ``first``: the name of the store's first table."""
    for statement in statements(layouts, first):
        connection.execute(sa.text(statement))


def statements(layouts: Sequence[Layout], first: str) -> list[str]:
    """What distributes these tables: the first one by itself, all others as that one."""
    return [
        f"SELECT create_distributed_table('{layout.name}', '{PARTITION}', colocate_with => "
        f"'{'none' if layout.name == first else first}')"
        for layout in layouts
    ]
