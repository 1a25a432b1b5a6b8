"""What a store on Citus has on the coordinator: a hold on what is being committed, and a look at that.

Citus commits on one worker after the other. Each worker has its own snapshots, so for a moment readers see
half of a transaction. But the advisory locks that a transaction takes on the coordinator are let go only when
it is committed everywhere. So whoever changes rows holds their partitions until then, and whoever has read
some looks whether they are held.

There are three kinds of lock: the freeze, which every change shares, and two for each partition. One is
shared by those that change rows of several partitions: only these are committed in two phases. The other is
shared by those that change rows of this one only: who holds both alone may read while the partition is quiet.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, Final

from oastfs.store.sql_driver.failures import UNSETTLED
from oastfs.store.sql_driver.freeze import FREEZE_LOCK
from oastfs.store.sql_driver.layout import SCHEMA
from oastfs.store.sql_driver.session import Call
from oastfs.store.sql_driver.statements import Statement

_PARTITION_LOCK: Final = 0x0A57F7
"""First number of the locks of partitions; the second one is the partition."""
_ONLY_LOCK: Final = 0x0A57F8
"""As that, for who changes nothing elsewhere."""
_QUIET_MILLISECONDS: Final = 250
"""How long one who wants partitions to be quiet waits for those that change them, and others behind him."""

_HOLD: Final = Statement(
    "hold",
    f"PREPARE hold(integer[], integer) AS SELECT pg_advisory_xact_lock_shared({FREEZE_LOCK}), "
    f"(SELECT count(pg_advisory_xact_lock_shared({_PARTITION_LOCK}, one)) FROM unnest($1) AS one), "
    f"CASE WHEN $2 IS NOT NULL THEN pg_advisory_xact_lock_shared({_ONLY_LOCK}, $2) END; ",
    "EXECUTE hold(%s, %s)",
)
_TIMEOUT: Final = f"set_config('lock_timeout', '{_QUIET_MILLISECONDS}ms', true)"
LOOKED: Final = Statement("looked", "PREPARE looked AS SELECT 1; ", "EXECUTE looked")
"""Gives a row, so that an opening look has something to go before."""
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
    return _HOLD, (several, None) if len(several) != 1 else ([], several[0])


def hold_text(partitions: Iterable[int]) -> str:
    """As ``hold``, for all of these as if rows of others changed, too; as a command of its own."""
    text = _HOLD.prepare.partition(" AS ")[2].rstrip("; ")
    return text.replace("$1", f"{_array(partitions)}::integer[]").replace("$2", "NULL::integer")


class Look:
    """The looks of one store. ``table`` is any of its distributed tables."""

    def __init__(self, table: str) -> None:
        any_row = f"SELECT 1 FROM {table} LIMIT 1"
        self.touch = Statement("touch", f"PREPARE touch AS {any_row}; ", "EXECUTE touch")
        """Has a snapshot taken on every worker."""
        self._prepare = (
            f"PREPARE look(integer[]) AS SELECT {SCHEMA}.look($1); "
            f"PREPARE look_quiet(integer[]) AS SELECT {_TIMEOUT}, "
            f"(SELECT count(pg_advisory_lock({_PARTITION_LOCK}, one)) FROM unnest($1) AS one), "
            f"(SELECT count(pg_advisory_lock({_ONLY_LOCK}, one)) FROM unnest($1) AS one); "
            f"PREPARE look_frozen AS SELECT {_TIMEOUT}, pg_advisory_lock({FREEZE_LOCK}); "
            "PREPARE look_over AS SELECT pg_advisory_unlock_all(); "
            f"PREPARE look_at(smallint) AS SELECT 1 FROM {table} WHERE partition = $1 LIMIT 1; "
            f"PREPARE look_at_some(smallint[]) AS SELECT 1 FROM {table} WHERE partition = ANY ($1) LIMIT 1; "
            f"PREPARE look_at_all AS {any_row}; "
        )

    def at(self, partitions: Iterable[int] | None, unproven: Set[int] | None = frozenset()) -> Statement:
        """Refuse to go on while any of these (None: any at all) is held.

        What is read behind it in the same transaction shows the *unproven* ones as they all were at one
        moment, and before the rest; None: all, and it shows everything as it was then. If that is more than
        one, the session is to be ``thaw``ed should anything fail.
        """
        if unproven is None:
            # Who holds this alone need not look: nothing is being committed.
            return self._opening("look_frozen", "look_at_all", "look_over")
        is_held = f"look({'NULL' if partitions is None else _array(partitions)})"
        if not unproven:
            return self._opening(is_held)
        if len(unproven) == 1:
            # Its moment is the second of these. The other rows were so from before that until after it, if
            # they are as they were; and no commit was under way then: one from before is seen by the first
            # look, and one that has begun since by the last, unless it is over and its rows have changed.
            return self._opening(is_held, f"look_at({min(unproven)}::smallint)", is_held)
        some = _array(unproven)
        return self._opening(f"look_quiet({some})", is_held, f"look_at_some({some})", "look_over")

    def _opening(self, *executed: str) -> Statement:
        return Statement("look", self._prepare, "; ".join(f"EXECUTE {one}" for one in executed))


def _array(numbers: Iterable[int]) -> str:
    return f"'{{{','.join(map(str, sorted(numbers)))}}}'"
