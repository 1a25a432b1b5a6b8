"""The connections of one store: SQLAlchemy's pool, with a Session on each, and who tidies up behind them."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import Pool, QueuePool

from oastfs.core.errors import InvalidArgument, StoreError
from oastfs.store.run import run
from oastfs.store.sql_driver import migrations
from oastfs.store.sql_driver.connecting import ARGUMENTS, CONNECT_SECONDS, SETTINGS, open_connection
from oastfs.store.sql_driver.failures import cannot_connect, shown, translate
from oastfs.store.sql_driver.session import LINGER_SECONDS, Session, Traffic
from oastfs.store.sql_driver.statements import Statement
from oastfs.store.sql_driver.tasks import on_thread

T = TypeVar("T")

OPEN_SECONDS: Final = 5.0
"""How long opening a store waits for a server that does not answer."""
_POOL_SECONDS: Final = 30.0


class Connections:
    """Opened when needed, ``most`` at a time; those that nobody has stay with us, not in the pool."""

    def __init__(self, url: str, most: int, traffic: Traffic) -> None:
        try:
            self._url = sa.make_url(url)
            if "+" not in self._url.drivername:
                self._url = self._url.set(drivername=f"{self._url.drivername}+psycopg2")
            if not self._url.database:
                raise InvalidArgument("the URL names no database: postgresql+psycopg2://HOST/DATABASE")
            self.shown = shown(self._url)
            self._asking = sa.create_engine(
                self._url, connect_args=dict(ARGUMENTS), pool_size=1, max_overflow=4, pool_pre_ping=True
            )
        except (sa.exc.ArgumentError, ValueError) as error:
            raise InvalidArgument(f"not the URL of a database: {error}") from error
        except ModuleNotFoundError as error:
            raise InvalidArgument(f"{url.partition(':')[0]} needs the Python package {error.name}") from error
        self._settings = dict(SETTINGS)
        self._connect = partial(open_connection, self._asking.dialect, self._url, self._settings)
        self._most = most
        self._pool: Pool = QueuePool(
            self._connect, pool_size=most, max_overflow=0, timeout=_POOL_SECONDS, reset_on_return=None
        )
        self._traffic = traffic
        self.greeting = ""
        """What the first connection of all is told, and the first one after others were lost."""
        self._greeted_at = 0.0
        self._lost_at = 0.0
        self._begin_process()
        sa.event.listen(self._pool, "connect", self._note)
        sa.event.listen(self._asking, "connect", self._note)

    def set(self, settings: Mapping[str, str]) -> None:
        """Have sessions made with these settings from now on, which differ from the common ones."""
        self._settings.update(settings)

    @property
    def are_awaitable(self) -> bool:
        """Whether tasks of an event loop may use them without holding the loop up."""
        return self._url.get_driver_name() != "psycopg"

    def _begin_process(self) -> None:
        self._free: list[Session] = []
        """The one that was used last is at the end."""
        self._made = 0
        self._waiting = 0
        self._changed = threading.Condition()
        self._raw: weakref.WeakSet[Any] = weakref.WeakSet()
        self._left_open = threading.Event()
        self._reaper: threading.Thread | None = None
        self._closed = False

    def _note(self, connection: Any, record: Any) -> None:
        self._raw.add(connection)

    # --- use --------------------------------------------------------------------------------------------

    @contextmanager
    def session(self, how: str, opening: Statement | None = None) -> Iterator[Session]:
        """A connection with a transaction of this kind."""
        session = self.take(how, opening)
        try:
            yield session
        finally:
            self.give_back(session)

    def take(self, how: str, opening: Statement | None = None) -> Session:
        """As ``session``, until ``give_back``."""
        while True:
            try:
                session = self._free.pop()
            except IndexError:
                session = on_thread(self._take_slowly)
            if session.made_at >= self._lost_at:
                session.begin(how, opening)
                return session
            self._discard(session)

    def give_back(self, session: Session) -> None:
        """The transaction is over."""
        session.end()
        if session.lost:
            # What ended this connection has most likely ended the others as well.
            self._lost_at = time.monotonic()
            self._discard(session)
            return
        self._free.append(session)
        if self._waiting:
            self._tell_waiting()
        if session.left_at:
            self._have_tidied()

    def _take_slowly(self) -> Session:
        """One that is given back, or a new one."""
        deadline = time.monotonic() + _POOL_SECONDS
        with self._changed:
            self._waiting += 1
            try:
                while self._made >= self._most:
                    try:
                        return self._free.pop()
                    except IndexError:
                        pass
                    if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                        raise StoreError("all connections to the database are in use", path=self.shown)
                self._made += 1
            finally:
                self._waiting -= 1
        try:
            held = self._pool.connect()
        except BaseException as error:
            self._forget_one()
            if isinstance(error, self._asking.dialect.loaded_dbapi.Error):
                raise cannot_connect(error, self.shown) from error
            raise
        session = Session(held, held.dbapi_connection, self.shown, self._traffic)
        if self.greeting and self._greeted_at <= self._lost_at:
            self._greet(session)
        return session

    def _greet(self, session: Session) -> None:
        began_at = time.monotonic()
        try:
            session.command(self.greeting)
        except BaseException:
            self._discard(session)
            raise
        self._greeted_at = began_at

    def _discard(self, session: Session) -> None:
        session.close()
        session.held.invalidate()
        session.held.close()
        self._forget_one()

    def _forget_one(self) -> None:
        with self._changed:
            self._made -= 1
            self._changed.notify()

    def _tell_waiting(self) -> None:
        with self._changed:
            self._changed.notify()

    def ask(self, question: Callable[[Any], T]) -> T:
        """Put a question of its own to the database, in SQLAlchemy's terms, in one transaction."""
        return on_thread(lambda: self._ask(question))

    def _ask(self, question: Callable[[Any], T]) -> T:
        try:
            with self._asking.begin() as connection:
                return question(connection)
        except sa.exc.DBAPIError as error:
            cause = error.orig if isinstance(error.orig, Exception) else error
            if error.connection_invalidated or error.statement is None:
                raise cannot_connect(cause, self.shown) from error
            raise translate(cause, lost=False, committing=False, database=self.shown) from error

    def prepare(self, create: bool, partitioned: bool, declared: migrations.Declared) -> bool:
        """Have the tables ready; whether they are partitioned."""

        def attempt() -> bool:
            return self.ask(
                lambda connection: migrations.prepare(
                    connection,
                    create=create,
                    partitioned=partitioned,
                    declared=declared,
                    database=self.shown,
                )
            )

        return run(attempt, deadline_seconds=OPEN_SECONDS)

    # --- tidying up -------------------------------------------------------------------------------------

    def _have_tidied(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._tidy, name="oastfs-store-tidy", daemon=True)
            self._reaper.start()
        if not self._left_open.is_set():
            self._left_open.set()

    def _tidy(self) -> None:
        """End transactions that were left open and nobody went on with."""
        while not self._closed:
            self._left_open.wait()
            self._left_open.clear()
            time.sleep(LINGER_SECONDS)
            before = time.monotonic() - LINGER_SECONDS
            for session in list(self._free):
                if 0 < session.left_at <= before:
                    self._tidy_one(session)
            if any(session.left_at for session in list(self._free)):
                self._left_open.set()

    def _tidy_one(self, session: Session) -> None:
        try:
            self._free.remove(session)
        except ValueError:
            return  # somebody has taken it
        session.roll_back()
        if session.lost:
            self._discard(session)
        else:
            self._free.insert(0, session)
            self._tell_waiting()

    def close(self) -> None:
        """Close them all."""
        self._closed = True
        self._left_open.set()
        if self._reaper is not None:
            self._reaper.join(CONNECT_SECONDS)
        while self._free:
            self._discard(self._free.pop())
        self._pool.dispose()
        self._asking.dispose()

    def after_fork_in_child(self) -> None:
        """Start with none: those we have are the parent's."""
        for connection in list(self._raw):
            _disown(connection)
        _inherited.extend(self._free)
        self._pool = self._pool.recreate()
        self._asking.dispose(close=False)
        closed = self._closed
        self._begin_process()
        self._closed = closed


_inherited: Final[list[Session]] = []
"""Kept, so that nothing is done with them."""


def _disown(connection: Any) -> None:
    """Whatever is done with an inherited connection, such as ending it, must not reach its server."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, connection.fileno())
        os.close(nothing)
    except Exception:
        pass  # it was closed
