"""One server of a store: its connections, its statements, and questions of the store's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from oastfs.store.run import Conflict, run
from oastfs.store.sql_driver.batches import Batches
from oastfs.store.sql_driver.bulk import copy_rows
from oastfs.store.sql_driver.connections import Connections
from oastfs.store.sql_driver.layout import layouts
from oastfs.store.sql_driver.looks import Looks
from oastfs.store.sql_driver.migrations import Declared
from oastfs.store.sql_driver.session import Traffic
from oastfs.store.sql_driver.statements import Statement, Statements
from oastfs.store.sql_driver.tasks import sleep
from oastfs.store.table import Key, Table, V

T = TypeVar("T")

_MARK: Final = "SELECT CAST(CAST(pg_current_xact_id() AS xid) AS text)"
_OLDER: Final = sa.text(
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND backend_type = 'client backend' AND pid <> pg_backend_pid() "
    "AND age(backend_xmin) >= age(CAST(CAST(:mark AS text) AS xid))) + "
    "(SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() "
    "AND age(transaction) >= age(CAST(CAST(:mark AS text) AS xid)))"
)
"""How many snapshots are as old as this transaction's number, and how many prepared transactions."""

EXACT_BYTES: Final = 8 << 20
"""Tables up to this size are counted; of larger ones the server's statistics are believed."""
_ASK_SECONDS: Final = 5.0
"""How long a figure is waited for when the database does not answer."""


class Server:
    """A database with a store, or a shard of one. ``learn`` comes before transactions."""

    def __init__(self, url: str, connections_max: int) -> None:
        self.traffic = Traffic()
        self.connections = Connections(url, connections_max, self.traffic)
        self.tables: dict[Table[Any], Statements] = {}
        self.batches = Batches({})
        self.looks = Looks(self.connections, self.tables, self.batches)

    def learn(
        self,
        partitioned: bool,
        declared: Declared,
        opening: Statement | None = None,
        stamped: bool = False,
    ) -> None:
        """How its tables are laid out; what is executed before looks at it, which are stamped then.

        ``stamped``: single rows and batches are stamped in any transaction.
        """
        known = layouts(partitioned, declared.tables)
        self.tables = {table: Statements(layout, stamped) for table, layout in known.items()}
        self.batches = Batches(known, stamped)
        looks = self.batches if opening is None else Batches(known, stamped=True, horizon=True)
        self.looks = Looks(self.connections, self.tables, looks, opening)

    def after_fork_in_child(self) -> None:
        """The parent's connections and tasks are not ours."""
        self.connections.after_fork_in_child()
        self.looks.begin_process()

    def ask(self, question: Callable[[Any], T]) -> T:
        """Put a question to it in SQLAlchemy's terms, with some patience."""
        return run(lambda: self.connections.ask(question), deadline_seconds=_ASK_SECONDS)

    def await_end_of_older(self) -> None:
        """Return when all transactions of the store have ended that are under way there now.

        Those that change something and those that only read are not told apart: a backup by the store's own
        user is waited for, too. StoreUnavailable if it takes too long.
        """
        mark = self.ask(lambda connection: connection.execute(sa.text(_MARK)).scalar())

        def attempt() -> None:
            if self.connections.ask(lambda connection: connection.execute(_OLDER, {"mark": mark}).scalar()):
                raise Conflict("transactions that began before have not ended")

        run(attempt, sleep=sleep)

    def load(self, table: Table[V], rows: Sequence[tuple[Key, V]]) -> None:
        """As ``Store.load``."""
        layout = self.tables[table].layout
        self.connections.ask(lambda connection: copy_rows(connection, layout, rows))

    def size_bytes(self) -> int:
        """What the database takes on disk."""

        def ask(connection: Any) -> int:
            return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar())

        return self.ask(ask)

    def count(self, table: Table[Any]) -> int:
        """About how many rows a table has there."""

        def ask(connection: Any) -> int:
            name = self.tables[table].layout.name
            size_bytes, guess = connection.execute(
                sa.text(
                    "SELECT pg_relation_size(oid), greatest(reltuples, pg_stat_get_live_tuples(oid)) "
                    "FROM pg_class WHERE oid = CAST(:name AS regclass)"
                ),
                {"name": name},
            ).one()
            if size_bytes > EXACT_BYTES:
                return int(guess)
            return int(connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar())

        return self.ask(ask)
