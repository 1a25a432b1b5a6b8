"""What a shard has beside the tables: who it is, decisions, a look at what is pending, and the freeze.

``shard`` has one row: the store's id, the shard's number, how many there are. ``decision`` has a row for
each transaction on several shards that has this one as its coordinator: once it is there and says
*committed*, so it is, whatever becomes of the rest; if it says *not*, it never can be.

``pending`` runs first in each snapshot. A transaction that is prepared here may have been decided elsewhere
before the snapshot was taken, and yet the snapshot lacks it. ``pending`` tells the names of those that are
prepared now. One that was prepared then and is committed now would be missed; so if any that the snapshot
lacks has committed since (microseconds ago), it asks for another snapshot. Lacking are those in progress
for the snapshot and all from its end on, where those are that began last. The order matters: first the
prepared ones, then what became of the others.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from oastfs.store.sql_driver.failures import UNSETTLED
from oastfs.store.sql_driver.layout import SCHEMA
from oastfs.store.sql_driver.shards.branch import prefix
from oastfs.store.sql_driver.statements import Statement

PENDING: Final = Statement("pending", f"PREPARE pending AS SELECT {SCHEMA}.pending(); ", "EXECUTE pending")
WAIT_BRIEFLY: Final = Statement(
    "wait_briefly",
    "PREPARE wait_briefly AS SELECT set_config('lock_timeout', '250ms', true); ",
    "EXECUTE wait_briefly",
)
"""For the rest of the transaction."""
DECIDE: Final = Statement(
    "decide",
    f"PREPARE decide(text, double precision) AS INSERT INTO {SCHEMA}.decision (key, committed) "
    "VALUES ($1, CASE WHEN extract(epoch FROM clock_timestamp()) < $2 THEN true END); ",
    "EXECUTE decide(%s, %s)",
)
"""Too late is an error: after a long time nobody remembers that it was decided against."""

_PENDING_BODY: Final = """
DECLARE
    seen CONSTANT pg_snapshot := pg_current_snapshot();
    past CONSTANT xid8 := pg_snapshot_xmax(seen);
    younger CONSTANT integer := age(past::xid);  -- numbers given out that are not below the snapshot's end
    names text;
BEGIN
    IF younger = 0 AND pg_snapshot_xmin(seen) = past THEN
        RETURN;
    END IF;
    SELECT string_agg(p.gid, ' ') INTO names FROM pg_prepared_xact() AS p
        WHERE starts_with(p.gid, '{prefix}')
        AND p.dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
    PERFORM 1 FROM pg_snapshot_xip(seen) AS x WHERE pg_xact_status(x) = 'committed';
    IF FOUND THEN
        RAISE EXCEPTION 'unsettled' USING ERRCODE = '{unsettled}';
    END IF;
    FOR number IN 0 .. younger - 1 LOOP
        IF pg_xact_status((past::text::bigint + number)::text::xid8) = 'committed' THEN
            RAISE EXCEPTION 'unsettled' USING ERRCODE = '{unsettled}';
        END IF;
    END LOOP;
    IF names IS NOT NULL THEN
        RAISE NOTICE USING MESSAGE = names;
    END IF;
END
"""


def make(connection: Any, store_id: str, number: int, count: int) -> None:
    """Make a new store's database a shard."""
    for statement in (
        f"CREATE TABLE {SCHEMA}.shard (store_id text NOT NULL, number integer NOT NULL, "
        "count integer NOT NULL, CHECK (number < count))",
        f'CREATE TABLE {SCHEMA}.decision (key text COLLATE "C" PRIMARY KEY, committed boolean NOT NULL, '
        "made timestamptz NOT NULL DEFAULT clock_timestamp())",
        f"CREATE FUNCTION {SCHEMA}.pending() RETURNS void LANGUAGE plpgsql AS $body$"
        + _PENDING_BODY.format(prefix=prefix(store_id), unsettled=UNSETTLED)
        + "$body$",
    ):
        connection.exec_driver_sql(statement)
    connection.execute(
        sa.text(f"INSERT INTO {SCHEMA}.shard (store_id, number, count) VALUES (:id, :number, :count)"),
        {"id": store_id, "number": number, "count": count},
    )
