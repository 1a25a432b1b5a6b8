"""The freeze: an advisory lock that every change shares until it is committed.

Who holds it alone takes snapshots on several servers between which nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from oastfs.store.sql_driver.session import Session
from oastfs.store.sql_driver.statements import Statement

FREEZE_LOCK: Final = 0x0A57F6
"""Number of the advisory lock. Numbers count within a database."""

LOOK: Final = Statement("look", "PREPARE look AS SELECT 1; ", "EXECUTE look")
"""Has a snapshot taken where it is sent to."""
SHARE_FREEZE: Final = Statement(
    "share_freeze",
    f"PREPARE share_freeze AS SELECT pg_advisory_xact_lock_shared({FREEZE_LOCK}); ",
    "EXECUTE share_freeze",
)
THAW: Final = Statement("thaw", f"PREPARE thaw AS SELECT pg_advisory_unlock({FREEZE_LOCK}); ", "EXECUTE thaw")
FREEZE: Final = f"SET lock_timeout = '250ms'; SELECT pg_advisory_lock({FREEZE_LOCK}); RESET lock_timeout"
THAW_ALL: Final = "SELECT pg_advisory_unlock_all()"


@contextmanager
def frozen(open_sessions: Sequence[Callable[[], Session]], look: Statement = LOOK) -> Iterator[list[Session]]:
    """Snapshots of all shards, between which nothing was committed anywhere.

    ``look`` has one taken wherever a session's rows are.
    """
    sessions: list[Session] = []
    held: list[Session] = []
    try:
        for open_session in open_sessions:
            session = open_session()
            sessions.append(session)
            session.command(FREEZE)
            held.append(session)
            session.begin_again()
        for session in sessions:
            session.fetch(look, ())
        while held:
            held[-1].fetch(THAW, ())
            held.pop()
        yield sessions
    finally:
        for session in held:
            thaw(session)


def thaw(session: Session) -> None:
    """After a failure: let go of all locks that a session has outside of transactions."""
    try:
        session.command(THAW_ALL)
    except Exception:
        session.lost = True  # they end with the connection
