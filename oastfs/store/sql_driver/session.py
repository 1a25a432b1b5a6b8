"""One connection: prepared statements, and as few trips to the server as can be.

A trip takes longer than the work at its end, so several commands share one where that is possible: BEGIN
goes with a transaction's first statement, COMMIT with all its writes. A transaction that changed
nothing is left open when it is over and ended by whatever the connection sends next; if nothing comes
within LINGER_SECONDS, the store's reaper ends it, so that no snapshot holds up the server's vacuum.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from oastfs.store.run import Conflict
from oastfs.store.sql_driver.failures import Unsettled, translate
from oastfs.store.sql_driver.statements import Statement

LINGER_SECONDS: Final = 0.02
SNAPSHOTS_TRIED: Final = 20

_FORGET: Final = "DEALLOCATE ALL; "
READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
WRITE: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ; "

Call = tuple[Statement, tuple[Any, ...]]


class Traffic:
    """Trips to the server, counted for measurements; an increment may be lost between threads."""

    __slots__ = ("trips",)

    def __init__(self) -> None:
        self.trips = 0


class Session:
    """A connection of the pool and what it was told. One thread at a time has it."""

    def __init__(self, connection: Any, database: str, traffic: Traffic) -> None:
        self.lock = threading.Lock()
        self.made_at = time.monotonic()
        self.left_at = 0.0
        """When a transaction was left open; 0: none is."""
        self._connection = connection
        self._cursor = connection.cursor()
        self._next_result = getattr(self._cursor, "nextset", None) if _is_psycopg3(connection) else None
        self._database = database
        self._traffic = traffic
        self._prepared: set[str] = set()
        self._before = ""
        self._open = False
        self._in_doubt = False
        self._notices: list[str] = _notices_of(connection)
        self._how = ""
        self._opening: Statement | None = None
        self.notice = ""
        """What the transaction's opening statement has told."""
        self.lost = False
        self.conflict: Conflict | None = None
        """Why the transaction has to be run again, whatever the operation makes of the error."""

    def begin(self, how: str, opening: Statement | None = None) -> None:
        """A transaction, once there is a statement for it.

        ``opening`` is executed in it before the first ``fetch``, in the same trip. It may raise
        ``sqlstate`` AGAIN to have another snapshot taken.
        """
        self.lock.acquire()
        self._how = how
        self._opening = opening
        self.notice = ""
        self.begin_again()

    def begin_again(self) -> None:
        self.conflict = None
        self._before = ("ROLLBACK; " if self._open else "") + self._how
        if self._in_doubt:
            # A string of commands failed somewhere behind a PREPARE: start from nothing.
            self._before = f"ROLLBACK; {self._how}{_FORGET}"
            self._prepared.clear()

    def fetch(self, statement: Statement, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Execute one statement that gives rows."""
        if self._opening is not None:
            self._open_with(statement, arguments)
        else:
            self._send({statement.name: statement}, statement.execute, arguments)
        try:
            return self._cursor.fetchall()  # type: ignore[no-any-return]
        except Exception as error:
            raise self._failure(error, False) from error

    def _open_with(self, statement: Statement, arguments: Sequence[Any]) -> None:
        """Execute the opening statement and this one."""
        opening = self._opening
        assert opening is not None
        used = {opening.name: opening, statement.name: statement}
        self._notices.clear()
        for attempt in range(1, SNAPSHOTS_TRIED + 1):
            try:
                self._send(used, f"{opening.execute}; {statement.execute}", arguments)
                break
            except Unsettled:
                if attempt == SNAPSHOTS_TRIED:
                    raise
                self.begin_again()
        self._opening = None
        if self._notices:
            self.notice = _told(self._notices)
            self._notices.clear()

    def commit(self, calls: Sequence[Call]) -> None:
        """Execute these and commit: one trip."""
        self._finish(calls, "COMMIT", committing=True)

    def prepare(self, calls: Sequence[Call], gid: str) -> None:
        """Execute these and make them ready to be committed by anyone under this name: one trip."""
        self._finish(calls, f"PREPARE TRANSACTION '{gid}'", committing=False)

    def command(self, text: str) -> None:
        """Execute a command that wants to be outside of any transaction."""
        if self._open:
            self._send({}, "ROLLBACK", ())
            self._open = False
        self._before = ""
        self._send({}, text, ())
        self._open = False

    def _finish(self, calls: Sequence[Call], end: str, committing: bool) -> None:
        parts: list[str] = []
        arguments: list[Any] = []
        used: dict[str, Statement] = {}
        for statement, values in calls:
            used[statement.name] = statement
            parts.append(statement.execute)
            arguments.extend(values)
        self._send(used, f"{'; '.join(parts)}; {end}", arguments, committing=committing)
        self._open = False

    def end(self) -> None:
        """The transaction is over, and what it changed is committed or to be forgotten."""
        self._before = ""
        self.left_at = time.monotonic() if self._open else 0.0
        self.lock.release()

    def tidy(self, now: float) -> bool:
        """End a transaction that was left open. False: there is none, or somebody is using it."""
        if not self.left_at or now - self.left_at < LINGER_SECONDS or not self.lock.acquire(False):
            return False
        try:
            if self._open and not self.lost:
                self._cursor.execute("ROLLBACK")
                self._open = False
            self.left_at = 0.0
        except Exception:
            self.lost = True  # the next who has it will find out
        finally:
            self.lock.release()
        return True

    def _send(
        self, used: dict[str, Statement], text: str, arguments: Sequence[Any], committing: bool = False
    ) -> None:
        """Execute what uses these statements, which are prepared on the way if they have to be."""
        fresh = used.keys() - self._prepared
        preparing = "".join([used[name].prepare for name in fresh])
        before, self._before = self._before, ""
        self._traffic.trips += 1
        self._open = True
        try:
            self._cursor.execute(before + preparing + text, arguments)
            if self._next_result is not None:
                while self._next_result():
                    pass
        except Exception as error:
            if fresh:
                self._in_doubt = True
            raise self._failure(error, committing) from error
        if before.endswith(_FORGET):
            self._in_doubt = False
        self._prepared |= fresh

    def _failure(self, error: Exception, committing: bool) -> Exception:
        self.lost = bool(self._connection.closed)
        failure = translate(error, lost=self.lost, committing=committing, database=self._database)
        if isinstance(failure, Conflict):
            self.conflict = failure
        return failure


def _is_psycopg3(connection: Any) -> bool:
    return type(connection).__module__.partition(".")[0] == "psycopg"


def _told(notices: list[str]) -> str:
    """The text of the last notice, without what psycopg 2 puts around it; warnings do not count."""
    for notice in reversed(notices):
        level, _, text = notice.partition(":  ")
        if level == "NOTICE":
            return text.partition("\n")[0].strip()
    return ""


def _notices_of(connection: Any) -> list[str]:
    """A list into which the driver puts the server's notices."""
    if not _is_psycopg3(connection):
        return connection.notices  # type: ignore[no-any-return]
    notices: list[str] = []
    connection.add_notice_handler(
        lambda diagnostic: notices.append(
            f"{diagnostic.severity_nonlocalized}:  {diagnostic.message_primary}"
        )
    )
    return notices
