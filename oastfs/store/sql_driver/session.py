"""One connection: prepared statements, and as few trips to the server as can be.

A trip takes longer than the work at its end, so several commands share one where that is possible: BEGIN
goes with a transaction's first statement, COMMIT with all its writes. A transaction that changed
nothing is left open when it is over and ended by whatever the connection sends next; if nothing comes
within LINGER_SECONDS, the store's reaper ends it, so that no snapshot holds up the server's vacuum.
"""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from typing import Any, Final, NamedTuple

from oastfs.store.run import Conflict
from oastfs.store.sql_driver.failures import Unsettled, translate
from oastfs.store.sql_driver.statements import Statement
from oastfs.store.sql_driver.trips import Trip, is_psycopg3, trip_of

LINGER_SECONDS: Final = 0.02
SNAPSHOTS_TRIED: Final = 20

_FORGET: Final = "DEALLOCATE ALL; "
READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
WRITE: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ; "
ALONE: Final = ""
"""For one statement that is a transaction by itself, with what opens it."""

Call = tuple[Statement, tuple[Any, ...]]


class Traffic:
    """Trips to the server, counted for measurements; an increment may be lost between threads."""

    __slots__ = ("trips",)

    def __init__(self) -> None:
        self.trips = 0


class Session:
    """A connection and what it was told. One at a time has it.

    What is ``start``ed is sent, and ``finish``ed when its answer is there: between the two, other sessions
    may be sent something, too, so that their servers work at the same time.
    """

    def __init__(self, held: Any, connection: Any, database: str, traffic: Traffic) -> None:
        self.held = held
        """What the pool gave."""
        self.made_at = time.monotonic()
        self.left_at = 0.0
        """When a transaction was left open; 0: none is."""
        self._trip: Trip = trip_of(connection)
        self._database = database
        self._traffic = traffic
        self._prepared: set[str] = set()
        self._before = ""
        self._open = False
        self._in_doubt = False
        self._notices: list[str] = _notices_of(connection)
        self._how = ""
        self._opening: Statement | None = None
        self._asked: Call | None = None
        """The call that goes with the opening statement."""
        self._started: _Started | None = None
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
        self._how = how
        self._opening = opening
        self.notice = ""
        self.begin_again()

    def begin_again(self) -> None:
        self.conflict = None
        self._before = ("ROLLBACK; " if self._open else "") + self._how
        if self._in_doubt:
            # A string of commands failed somewhere behind a PREPARE: start from nothing.
            self._before += _FORGET
            self._prepared.clear()

    # --- statements that give rows ----------------------------------------------------------------------

    def fetch(self, statement: Statement, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Execute one statement that gives rows."""
        self.start_fetch(statement, arguments)
        return self.finish_fetch()

    def start_fetch(self, statement: Statement, arguments: Sequence[Any]) -> None:
        """Send one statement that gives rows."""
        opening = self._opening
        if opening is None:
            self._start({statement.name: statement}, statement.execute, arguments)
            return
        self._notices.clear()
        self._asked = statement, tuple(arguments)
        used = {opening.name: opening, statement.name: statement}
        self._start(used, f"{opening.execute}; {statement.execute}", arguments)

    def finish_fetch(self) -> list[tuple[Any, ...]]:
        """Its rows."""
        if self._opening is None:
            self._finish()
        else:
            self._finish_opening()
        try:
            return self._trip.rows()
        except Exception as error:
            raise self._failure(error, False) from error

    def finish_look(self) -> list[tuple[Any, ...]]:
        """As ``finish_fetch``, of a transaction that was this one statement (ALONE)."""
        rows = self.finish_fetch()
        self._open = False
        return rows

    def _finish_opening(self) -> None:
        for attempt in range(1, SNAPSHOTS_TRIED + 1):
            try:
                self._finish()
                break
            except Unsettled:
                if attempt == SNAPSHOTS_TRIED:
                    raise
                self.begin_again()
                assert self._asked is not None
                self.start_fetch(*self._asked)
        self._opening = self._asked = None
        self._take_notices()
        if self._notices:
            self.notice = _told(self._notices)
            self._notices.clear()

    # --- the end of a transaction -----------------------------------------------------------------------

    def commit(self, calls: Sequence[Call]) -> None:
        """Execute these and commit: one trip."""
        self._start_end(calls, "COMMIT", committing=True)
        self.finish()

    def start_prepare(self, calls: Sequence[Call], gid: str) -> None:
        """Execute these and make them ready to be committed by anyone under this name: one trip."""
        self._start_end(calls, f"PREPARE TRANSACTION '{gid}'", committing=False)

    def command(self, text: str) -> None:
        """Execute a command that wants to be outside of any transaction."""
        self.start_command(text)
        self.finish()

    def start_command(self, text: str) -> None:
        """Send such a command."""
        if self._open:
            self._start({}, "ROLLBACK", ())
            self.finish()
        self._before = ""
        self._start({}, text, ())

    def finish(self) -> None:
        """Await what was sent last, which ended the transaction."""
        self._finish()
        self._open = False

    def _start_end(self, calls: Sequence[Call], end: str, committing: bool) -> None:
        parts: list[str] = []
        arguments: list[Any] = []
        used: dict[str, Statement] = {}
        for statement, values in calls:
            used[statement.name] = statement
            parts.append(statement.execute)
            arguments.extend(values)
        self._start(used, f"{'; '.join(parts)}; {end}", arguments, committing=committing)

    def forget_warnings(self) -> None:
        """Those of answers until now."""
        self._take_notices()
        self._notices.clear()

    def was_warned(self) -> bool:
        """Whether the server has given a warning since, or may have, if its end has come."""
        try:
            self._trip.take_notices()
        except Exception:
            self.lost = True
            return True
        warned = any(one.startswith("WARNING") for one in self._notices)
        self._notices.clear()
        return warned

    def end(self) -> None:
        """The transaction is over, and what it changed is committed or to be forgotten."""
        if self._started is not None:
            self._drain()
        self._before = ""
        self.left_at = time.monotonic() if self._open else 0.0

    def _drain(self) -> None:
        """Something else has failed before this answer was awaited."""
        try:
            self._finish()
        except Exception:
            pass  # nobody wants to know

    def roll_back(self) -> None:
        """End a transaction that was left open. Not counted as a trip: nobody waits for it."""
        try:
            self._trip.start("ROLLBACK", ())
            self._trip.finish()
            self._open = False
            self.left_at = 0.0
        except Exception:
            self.lost = True

    def close(self) -> None:
        """Before the connection is."""
        self._trip.close()

    # --- trips ------------------------------------------------------------------------------------------

    def _start(
        self, used: dict[str, Statement], text: str, arguments: Sequence[Any], committing: bool = False
    ) -> None:
        """Send what uses these statements, which are prepared on the way if they have to be."""
        fresh = used.keys() - self._prepared
        before, self._before = self._before, ""
        if fresh:
            text = "".join([used[name].prepare for name in fresh]) + text
        self._traffic.trips += 1
        self._open = True
        self._started = _Started(fresh, before.endswith(_FORGET), committing)
        try:
            self._trip.start(before + text, arguments)
        except Exception as error:
            self._started = None
            raise self._failed(error, fresh, committing) from error

    def _finish(self) -> None:
        started, self._started = self._started, None
        assert started is not None
        try:
            self._trip.finish()
        except Exception as error:
            raise self._failed(error, started.fresh, started.committing) from error
        except BaseException:
            self.lost = True  # interrupted: its answer will come when somebody else has the connection
            raise
        if started.forgets:
            self._in_doubt = False
        if started.fresh:
            self._prepared |= started.fresh

    def _take_notices(self) -> None:
        try:
            self._trip.take_notices()
        except Exception as error:  # the connection has ended meanwhile
            raise self._failure(error, False) from error

    def _failed(self, error: Exception, fresh: Set[str], committing: bool) -> Exception:
        if fresh:
            self._in_doubt = True
        return self._failure(error, committing)

    def _failure(self, error: Exception, committing: bool) -> Exception:
        self.lost = self._trip.is_broken()
        failure = translate(error, lost=self.lost, committing=committing, database=self._database)
        if isinstance(failure, Conflict):
            self.conflict = failure
        return failure


class _Started(NamedTuple):
    """What was sent and not answered yet."""

    fresh: Set[str]
    """Statements that are prepared with it."""
    forgets: bool
    """All statements prepared before are forgotten with it."""
    committing: bool


def _told(notices: list[str]) -> str:
    """The text of the last notice, without what psycopg 2 puts around it; warnings do not count."""
    for notice in reversed(notices):
        level, _, text = notice.partition(":  ")
        if level == "NOTICE":
            return text.partition("\n")[0].strip()
    return ""


def _notices_of(connection: Any) -> list[str]:
    """A list into which the driver puts the server's notices."""
    if not is_psycopg3(connection):
        return connection.notices  # type: ignore[no-any-return]
    notices: list[str] = []
    connection.add_notice_handler(
        lambda diagnostic: notices.append(
            f"{diagnostic.severity_nonlocalized}:  {diagnostic.message_primary}"
        )
    )
    return notices
