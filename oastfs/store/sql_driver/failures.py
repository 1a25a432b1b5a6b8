"""What PostgreSQL's refusals mean: which may be tried again, and what to tell a person about the others."""

from __future__ import annotations

from typing import Any, Final

from oastfs.core.errors import OutcomeUnknown, StoreError, StoreFull, TransactionMisuse, WrongStore
from oastfs.store.run import Conflict

_AGAIN: Final = {
    "40001": "another transaction changed the same rows",
    "40P01": "two transactions waited for each other",
    "23505": "another transaction made the same row",
    "55P03": "a row stayed locked for too long",
    "53300": "the database has no connection left",
    "23502": "a transaction took too long",
}
_GONE: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
"""The server ends the connection, or is starting or stopping."""
UNSETTLED: Final = "OA001"
"""Raised by a function of ours on the server."""
_TELLING: Final = {
    "57014": "the database did not answer in time",
    "53200": "the database server is out of memory",
    "25006": "the database is read-only: is it a standby?",
    "42501": "the database user lacks a privilege",
    "28P01": "the database refuses the user or password",
    "28000": "the database refuses the user",
}
_PASSING: Final = (
    "starting up", "shutting down", "in recovery mode", "too many clients", "too many connections",
    "remaining connection slots", "not yet accepting",
)  # fmt: skip
_REFUSED: Final = ("password authentication failed", "no password supplied", "pg_hba.conf", "role ")

_CITUS_HALF_COMMITTED: Final = "could not commit transaction for shard"
"""Internal errors, as Citus has it. Of a commit in one phase on a worker that then went away."""
_CITUS_NOT_COMMITTED: Final = "failure on connection marked as essential"
"""A worker went away before."""


class Lost(Conflict):
    """The connection is gone, and with it the transaction: nothing was changed."""


class Unsettled(Conflict):
    """Of a transaction that ended just now nobody can tell whether this snapshot has it: take another."""

    def __init__(self) -> None:
        super().__init__("a transaction ended as the snapshot was taken", at_once=True)


InDoubt = OutcomeUnknown
"""The connection was lost while committing."""


class NoSuchTransaction(StoreError):
    """No transaction is prepared under this name (any more)."""


def sqlstate_of(error: BaseException) -> str:
    """The five letters of an error, or none: psycopg 2 and 3 have them under different names."""
    return str(getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or "")


def one_line(error: BaseException) -> str:
    """The first line of the server's message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def translate(error: Exception, *, lost: bool, committing: bool, database: str) -> Exception:
    """What a statement's failure is to the caller. ``lost``: the connection is closed now."""
    state = sqlstate_of(error)
    gone = lost or state in _GONE or state.startswith("08")
    if gone or (state == "XX000" and _CITUS_HALF_COMMITTED in str(error)):
        if committing:
            return InDoubt(
                "the connection to the database was lost while committing: it is not known whether the change"
                f" was made ({one_line(error)})",
                path=database,
            )
        return Lost(f"the connection to the database was lost: {one_line(error)}")
    if state == UNSETTLED:
        return Unsettled()
    if state == "XX000" and _CITUS_NOT_COMMITTED in str(error):
        return Conflict(f"a worker of the database was lost ({one_line(error)})")
    if state in _AGAIN:
        return Conflict(f"{_AGAIN[state]} ({one_line(error)})")
    if state == "53200" and "prepared transactions" in str(error):
        return Conflict(
            "the database has as many prepared transactions as it may (max_prepared_transactions)"
        )
    if state == "42704" and "prepared transaction" in str(error):
        return NoSuchTransaction(one_line(error), path=database)
    if state == "55000" and "prepared transaction" in str(error):
        return Conflict("somebody else is finishing the transaction")
    if state == "53100":
        return StoreFull("the database's disk is full", path=database)
    if state in _TELLING:
        return StoreError(f"{_TELLING[state]} ({one_line(error)})", path=database)
    if state in ("42P01", "3F000", "42703"):
        return WrongStore(f"the database lacks a part of the store: {one_line(error)}", path=database)
    if not state or state.startswith("22"):
        # Refused before it was sent, or as data: a value that its column cannot hold.
        return TransactionMisuse(f"a row cannot be stored: {one_line(error)}")
    return StoreError(f"the database failed: {one_line(error)} ({state})", path=database)


def cannot_connect(error: Exception, database: str) -> StoreError:
    """Why there is no connection. A Conflict if there may be one soon."""
    text = str(error)
    state = sqlstate_of(error)
    if any(hint in text for hint in _PASSING) or state in _GONE or state == "53300":
        return Conflict(f"the database is not ready: {one_line(error)}")
    if state.startswith("28") or any(hint in text for hint in _REFUSED):
        return StoreError(f"the database refuses the connection: {one_line(error)}", path=database)
    if "does not exist" in text:
        return WrongStore(f"there is no such database: {one_line(error)}; make one (createdb)", path=database)
    return Conflict(f"the database does not answer: {one_line(error)}")


def shown(url: Any) -> str:
    """An address without its password."""
    return str(url.set(query={}).render_as_string(hide_password=True))
