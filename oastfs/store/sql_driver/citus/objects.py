"""What a store on Citus has on the coordinator: a hold on what is being committed, and a look at that.

Citus commits on one worker after the other. Each worker has its own snapshots, so for a moment readers see
half of a transaction. But the advisory locks that a transaction takes on the coordinator are let go only when
it is committed everywhere. So whoever changes rows holds their partitions until then, and whoever has read
some looks whether they are held.

There are two kinds of lock: the freeze, which every change shares, and one for each partition, which those
share that change rows of several: only these are committed in two phases.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from oastfs.store.sql_driver.failures import UNSETTLED
from oastfs.store.sql_driver.freeze import FREEZE_LOCK
from oastfs.store.sql_driver.layout import SCHEMA
from oastfs.store.sql_driver.session import Call
from oastfs.store.sql_driver.statements import Statement

_PARTITION_LOCK: Final = 0x0A57F7
"""First number of the locks of partitions; the second one is the partition."""

_HOLD: Final = Statement(
    "hold",
    f"PREPARE hold(integer[]) AS SELECT pg_advisory_xact_lock_shared({FREEZE_LOCK}), "
    f"(SELECT count(pg_advisory_xact_lock_shared({_PARTITION_LOCK}, one)) FROM unnest($1) AS one); ",
    "EXECUTE hold(%s)",
)
_LOOK_PREPARED: Final = f"PREPARE look(integer[]) AS SELECT {SCHEMA}.look($1); "
LOOKED: Final = Statement("looked", "PREPARE looked AS SELECT 1; ", "EXECUTE looked")
"""Gives a row, so that an opening look has something to go before."""
TOUCH: Final = Statement(
    "touch", f"PREPARE touch AS SELECT count(*) FROM {SCHEMA}.setting; ", "EXECUTE touch"
)
"""Has a snapshot taken on every worker."""
RECOVER: Final = "SELECT recover_prepared_transactions()"
"""Settles what is in doubt on the workers since the coordinator or one of them has died."""

_LOOK: Final = f"""
CREATE FUNCTION {SCHEMA}.look(partitions integer[]) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM 1 FROM pg_catalog.pg_locks AS held
        WHERE held.locktype = 'advisory' AND held.classid = {_PARTITION_LOCK} AND held.objsubid = 2
        AND held.mode = 'ShareLock' AND held.granted
        AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND (partitions IS NULL OR held.objid::integer = ANY (partitions));
    IF FOUND THEN
        RAISE EXCEPTION 'unsettled' USING ERRCODE = '{UNSETTLED}';
    END IF;
END
$body$"""


def make(connection: Any) -> None:
    """Make a new store's database one on Citus."""
    connection.exec_driver_sql(_LOOK)


def hold(partitions: Iterable[int]) -> Call:
    """Hold these, until all is committed; to be executed last."""
    several = sorted(set(partitions))
    return _HOLD, (list(several) if len(several) > 1 else [],)


def hold_text(partitions: Iterable[int]) -> str:
    """As ``hold``, for all of these, as a command of its own."""
    numbers = ",".join(map(str, sorted(partitions)))
    return _HOLD.prepare.partition(" AS ")[2].rstrip("; ").replace("$1", f"'{{{numbers}}}'::integer[]")


def look(partitions: Iterable[int] | None) -> Statement:
    """Refuse to go on while any of these (None: any at all) is held."""
    numbers = "NULL" if partitions is None else f"'{{{','.join(map(str, sorted(partitions)))}}}'"
    return Statement("look", _LOOK_PREPARED, f"EXECUTE look({numbers})")
