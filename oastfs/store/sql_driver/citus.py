"""A server with Citus, which shards by itself: tables are distributed by their partition column.

Rows of equal partition, of whichever tables, are then on one of its workers. Its transactions on several
workers are its own business: the driver commits plainly, as on one server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from oastfs.store.sql_driver.layout import PARTITION, SCHEMA, Layout


def is_there(connection: Any) -> bool:
    """Whether the database has the extension."""
    question = sa.text("SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'citus'")
    return connection.execute(question).first() is not None


def distribute(connection: Any, layouts: Sequence[Layout]) -> None:
    """Spread new tables over the workers, if there are any."""
    if not layouts or not layouts[0].partitioned or not is_there(connection):
        return
    for statement in statements(layouts):
        connection.execute(sa.text(statement))


def statements(layouts: Sequence[Layout]) -> list[str]:
    """What distributes these tables."""
    first = f"{SCHEMA}.inode"
    return [
        f"SELECT create_distributed_table('{layout.name}', '{PARTITION}', colocate_with => "
        f"'{'none' if layout.name == first else first}')"
        for layout in layouts
    ]
