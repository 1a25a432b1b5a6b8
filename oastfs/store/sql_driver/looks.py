"""A look: rows of any tables, read by one statement that is a transaction by itself.

Most reads know the keys of all that they need before they ask (``namenode/hints.py``), so one statement gives
them one snapshot, with no transaction to begin and to end. And what one statement can read for one, it can
read for many: reads that arrive on an event loop while a look is under way wait, and the next look is for all
of them, who often want the same rows of directories. The server looks for ten rows in little more than the
time of one, and the connection's costs are shared, too.

A look is sent after all who share it have come, so each sees what was committed before it came.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from greenlet import getcurrent, greenlet

from oastfs.store.sql_driver.batches import Batches
from oastfs.store.sql_driver.connections import Connections
from oastfs.store.sql_driver.session import ALONE, Session
from oastfs.store.sql_driver.statements import Statement, Statements
from oastfs.store.sql_driver.tasks import Hub, current_hub
from oastfs.store.table import Key, Table

Rows = dict[Table[Any], dict[Key, Any]]
"""What was looked for, None where there is nothing."""
Keys = Mapping[Table[Any], Collection[Key]]


class Horizon(NamedTuple):
    """All transactions had ended that have a lower number, when this was asked for (a monotonic time)."""

    number: int
    asked_at: float


NO_HORIZON: Final = Horizon(0, 0.0)
UNDER_WAY_MAX: Final = 4
"""Looks of an event loop at one server at the same time."""
_FEW: Final = 2
"""While so few share a look, nobody waits for others; when more do, one look at a time has most sharers."""


class Seen:
    """What a look has given, of what was asked for and perhaps of other rows: all as it was at one moment."""

    __slots__ = ("connected_at", "horizon", "notice", "rows", "snapshot", "stamps")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.stamps: dict[tuple[Table[Any], Key], int] = {}
        """Which transaction made each row: its number's low 32 bits. Of stamped looks only, as the rest."""
        self.horizon = NO_HORIZON
        self.snapshot = 0
        """If it is another look's as well, nothing was committed between them."""
        self.connected_at = math.inf
        """Since when, at the latest, the server has not been started anew."""
        self.notice = ""
        """What the opening statement has told."""


class Asked(Protocol):
    """A look that was asked for."""

    is_sent: bool
    """It depends on nothing but its server. One that is not may wait for others' that are: who has some of
    each awaits those that are sent first, or two could wait for each other."""

    def wait(self) -> Seen:
        """Await it, once."""

    def close(self) -> None:
        """Nobody waits for it any more."""


class Looks:
    """The looks at one server. ``opening`` is executed before each, which is stamped then."""

    def __init__(
        self,
        connections: Connections,
        tables: dict[Table[Any], Statements],
        batches: Batches,
        opening: Statement | None = None,
    ) -> None:
        self.connections = connections
        self.batches = batches
        self.opening = opening
        self.tables = tables
        self._orders: dict[frozenset[Table[Any]], tuple[Table[Any], ...]] = {}
        self.horizon = NO_HORIZON
        """Of the last look."""
        self.begin_process()

    def begin_process(self) -> None:
        """What a forked child needs anew."""
        self._next: _Shared | None = None
        """Not sent yet: others may join."""
        self._under_way = 0
        self._called = False
        self._is_busy = False
        """More than a few have shared the last look."""

    def ask(self, wanted: Keys) -> Asked:
        """Have a look at rows of known tables, as they are at a moment from now on."""
        hub = current_hub()
        if hub is None:
            return _single(self, wanted)
        look = self._next
        if look is None:
            if not self._is_busy and self._under_way < UNDER_WAY_MAX:
                return _Early(self, hub, wanted)
            look = self._next = _Shared()
            self.go_on(hub)
        return look.join(self, hub, wanted)

    def see(self, wanted: Keys) -> Seen:
        """Have a look, and wait."""
        asked = self.ask(wanted)
        try:
            return asked.wait()
        finally:
            asked.close()

    # --- on the event loop ------------------------------------------------------------------------------

    def go_on(self, hub: Hub) -> None:
        """Have the next look begun, if there is one and it may."""
        if self._next is not None and not self._called and self._may_begin():
            # In the loop's next turn: those whose calls came in this one go together.
            self._called = True
            hub.loop.call_soon(self._begin, hub)

    def begun(self) -> None:
        """A look is under way."""
        self._under_way += 1

    def ended(self) -> None:
        """It is over."""
        self._under_way -= 1

    def _may_begin(self) -> bool:
        return self._under_way < (1 if self._is_busy else UNDER_WAY_MAX)

    def _begin(self, hub: Hub) -> None:
        self._called = False
        look, self._next = self._next, None
        if look is not None:
            self._is_busy = look.sharers > _FEW
            self.begun()
            hub.start(partial(self._carry_out, hub, look))

    def _carry_out(self, hub: Hub, look: _Shared) -> None:
        try:
            single = _single(self, look.wanted)
            try:
                look.seen = single.wait()
            finally:
                single.close()
        except BaseException as error:
            look.failure = error
        look.is_over = True
        self.ended()
        hub.loop.call_soon(self._wake, hub, look)

    def _wake(self, hub: Hub, look: _Shared) -> None:
        if self._next is not None and not self._called and self._may_begin():
            self._begin(hub)
        for task in look.waiting:
            task.switch()

    def in_order(self, wanted: Keys) -> tuple[Table[Any], ...]:
        """The tables in one order, so that there are few statements."""
        some = frozenset(wanted)
        found = self._orders.get(some)
        if found is None:
            found = self._orders[some] = tuple(table for table in self.tables if table in some)
        return found


def _single(looks: Looks, wanted: Keys) -> Asked:
    """A look of its own."""
    if looks.opening is None and len(wanted) == 1:
        ((table, keys),) = wanted.items()
        if len(keys) == 1:
            return _OneRow(looks, table, next(iter(keys)))
    return _Rows(looks, wanted)


class _OneRow:
    """One row, by a statement of its own, which takes the server less time."""

    is_sent = True

    def __init__(self, looks: Looks, table: Table[Any], key: Key) -> None:
        self._looks = looks
        self._table = table
        self._key = key
        self._layout = looks.tables[table].layout
        self._session: Session | None = looks.connections.take(ALONE)
        try:
            self._session.start_fetch(looks.tables[table].get, self._layout.key_arguments(key))
        except BaseException:
            self.close()
            raise

    def wait(self) -> Seen:
        assert self._session is not None
        rows = self._session.finish_look()
        value = None
        if rows:
            value = self._layout.decode(rows[0]) if self._layout.values else self._table.value()
        return Seen({self._table: {self._key: value}})

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._looks.connections.give_back(session)


class _Rows:
    """Any rows."""

    is_sent = True

    def __init__(self, looks: Looks, wanted: Keys) -> None:
        self._looks = looks
        batch = self._batch = looks.batches.of(looks.in_order(wanted))
        self._places = {table: list(wanted[table]) for table in batch.layouts}
        self._session: Session | None = looks.connections.take(ALONE, looks.opening)
        self._asked_at = time.monotonic()
        try:
            self._session.start_fetch(batch.statement, batch.arguments(self._places))
        except BaseException:
            self.close()
            raise

    def wait(self) -> Seen:
        session, batch, places = self._session, self._batch, self._places
        assert session is not None
        found = session.finish_look()
        rows: Rows = {table: dict.fromkeys(some) for table, some in places.items()}
        seen = Seen(rows)
        if batch.stamped:
            seen.notice, seen.connected_at = session.notice, session.made_at
        for row in found:
            if row[0] < 0:
                seen.horizon = self._looks.horizon = Horizon(row[1], self._asked_at)
                seen.snapshot = row[2]
                continue
            table, place, value = batch.decode(row)
            key = places[table][place - 1]
            rows[table][key] = value
            if batch.stamped:
                seen.stamps[table, key] = row[2]
        return seen

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._looks.connections.give_back(session)


class _Early:
    """A task's own look, for which it need not wait for the loop."""

    __slots__ = ("_hub", "_is_over", "_look", "_looks")
    is_sent = True

    def __init__(self, looks: Looks, hub: Hub, wanted: Keys) -> None:
        self._looks = looks
        self._hub = hub
        self._look: Asked | None = None
        self._is_over = False
        looks.begun()
        try:
            self._look = _single(looks, wanted)
        except BaseException:
            self.close()
            raise

    def wait(self) -> Seen:
        assert self._look is not None
        try:
            return self._look.wait()
        finally:
            self.close()

    def close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._look is not None:
            self._look.close()
        self._looks.ended()
        self._looks.go_on(self._hub)


class _Shared:
    """What tasks ask for together."""

    __slots__ = ("failure", "is_over", "seen", "sharers", "waiting", "wanted")

    def __init__(self) -> None:
        self.wanted: dict[Table[Any], dict[Key, None]] = {}
        self.sharers = 0
        self.waiting: list[greenlet] = []
        self.seen = Seen({})
        self.failure: BaseException | None = None
        self.is_over = False

    def join(self, looks: Looks, hub: Hub, wanted: Keys) -> _Share:
        """One more task's share of it."""
        self.sharers += 1
        for table, keys in wanted.items():
            known = self.wanted.get(table)
            if known is None:
                self.wanted[table] = dict.fromkeys(keys)
            else:
                known.update(dict.fromkeys(keys))
        return _Share(self, looks, hub, wanted)


class _Share:
    """Of a shared look."""

    __slots__ = ("_hub", "_look", "_looks", "_wanted")
    is_sent = False

    def __init__(self, look: _Shared, looks: Looks, hub: Hub, wanted: Keys) -> None:
        self._look = look
        self._looks = looks
        self._hub = hub
        self._wanted = wanted

    def wait(self) -> Seen:
        look = self._look
        if not look.is_over:
            look.waiting.append(getcurrent())
            self._hub.main.switch()
        if look.failure is None:
            return look.seen
        if look.sharers == 1:
            raise look.failure
        # Whosever fault it was, it is not to be the others'.
        alone = _single(self._looks, self._wanted)
        try:
            return alone.wait()
        finally:
            alone.close()

    def close(self) -> None:
        return
