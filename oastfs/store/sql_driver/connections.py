"""The connections of one store: SQLAlchemy's pool, with a Session on each, and who tidies up behind them."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from oastfs.core.errors import InvalidArgument, StoreError
from oastfs.store.run import run
from oastfs.store.sql_driver import migrations
from oastfs.store.sql_driver.failures import cannot_connect, shown, translate
from oastfs.store.sql_driver.session import LINGER_SECONDS, Session, Traffic
from oastfs.store.sql_driver.statements import Statement

T = TypeVar("T")

CONNECT_SECONDS: Final = 10
OPEN_SECONDS: Final = 5.0
"""How long opening a store waits for a server that does not answer."""
_POOL_SECONDS: Final = 30.0
_SETTINGS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10min",
    "client_encoding": "UTF8",
    "client_min_messages": "notice",
    # Every statement walks an index; a plan made while a table is empty must do so, too.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class Connections:
    """Opened when needed, ``most`` at a time."""

    def __init__(self, url: str, most: int, traffic: Traffic) -> None:
        try:
            self._url = sa.make_url(url)
            if "+" not in self._url.drivername:
                self._url = self._url.set(drivername=f"{self._url.drivername}+psycopg2")
            if not self._url.database:
                raise InvalidArgument("the URL names no database: postgresql+psycopg2://HOST/DATABASE")
            self.shown = shown(self._url)
            self._engine, self._asking = self._create_engines(most)
        except (sa.exc.ArgumentError, ValueError) as error:
            raise InvalidArgument(f"not the URL of a database: {error}") from error
        except ModuleNotFoundError as error:
            raise InvalidArgument(f"{url.partition(':')[0]} needs the Python package {error.name}") from error
        self._traffic = traffic
        self._lost_at = 0.0
        self._begin_process()
        sa.event.listen(self._engine, "connect", self._connected)
        sa.event.listen(self._asking, "connect", self._note)

    def _begin_process(self) -> None:
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._raw: weakref.WeakSet[Any] = weakref.WeakSet()
        self._left_open = threading.Event()
        self._reaper: threading.Thread | None = None
        self._closed = False

    def _create_engines(self, most: int) -> tuple[sa.Engine, sa.Engine]:
        """One for transactions of the store, one for questions of its own in SQLAlchemy's terms."""
        arguments: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "oastfs",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        }
        asking = sa.create_engine(
            self._url, connect_args=dict(arguments), pool_size=1, max_overflow=4, pool_pre_ping=True
        )
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        if self._url.get_driver_name() == "psycopg":
            import psycopg

            # Several statements in one trip want arguments that are put in here, as psycopg 2 does.
            arguments["cursor_factory"] = psycopg.ClientCursor
        engine = sa.create_engine(
            self._url,
            connect_args=arguments,
            isolation_level="AUTOCOMMIT",  # transactions are begun and ended by statements of ours
            poolclass=QueuePool,
            pool_size=most,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            pool_use_lifo=True,
            pool_reset_on_return=None,
        )
        return engine, asking

    def _note(self, connection: Any, record: Any) -> None:
        self._raw.add(connection)

    def _connected(self, connection: Any, record: Any) -> None:
        self._note(connection, record)
        if type(connection).__module__.startswith("psycopg2"):
            _read_bytes_as_bytes(connection)
        session = Session(connection, self.shown, self._traffic)
        record.info["session"] = session
        self._sessions.add(session)

    # --- use --------------------------------------------------------------------------------------------

    @contextmanager
    def session(self, how: str, opening: Statement | None = None) -> Iterator[Session]:
        """A connection with a transaction of this kind."""
        held = self._check_out()
        session: Session = held.info["session"]
        session.begin(how, opening)
        try:
            yield session
        finally:
            session.end()
            if session.lost:
                # What ended this connection has most likely ended the others as well.
                self._lost_at = time.monotonic()
                held.invalidate()
            held.close()
            if session.left_at:
                self._have_tidied()

    def _check_out(self) -> Any:
        try:
            while True:
                held = self._engine.raw_connection()
                if held.info["session"].made_at >= self._lost_at:
                    return held
                held.invalidate()
        except sa.exc.TimeoutError as error:
            raise StoreError("all connections to the database are in use", path=self.shown) from error
        except (sa.exc.DBAPIError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise cannot_connect(getattr(error, "orig", None) or error, self.shown) from error

    def ask(self, question: Callable[[Any], T]) -> T:
        """Put a question of its own to the database, in SQLAlchemy's terms, in one transaction."""
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
            now = time.monotonic()
            for session in list(self._sessions):
                session.tidy(now)
            if any(session.left_at for session in list(self._sessions)):
                self._left_open.set()

    def close(self) -> None:
        """Close them all."""
        self._closed = True
        self._left_open.set()
        if self._reaper is not None:
            self._reaper.join(CONNECT_SECONDS)
        self._engine.dispose()
        self._asking.dispose()

    def after_fork_in_child(self) -> None:
        """Start with none: those we have are the parent's."""
        for connection in list(self._raw):
            _disown(connection)
        self._engine.dispose(close=False)
        self._asking.dispose(close=False)
        closed = self._closed
        self._begin_process()
        self._closed = closed


def _disown(connection: Any) -> None:
    """Whatever is done with an inherited connection, such as ending it, must not reach its server."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, connection.fileno())
        os.close(nothing)
    except Exception:
        pass  # it was closed


def _read_bytes_as_bytes(connection: Any) -> None:
    """psycopg 2 gives binary columns as memoryviews of their own memory; rows hold bytes."""
    from psycopg2 import BINARY
    from psycopg2.extensions import new_type, register_type

    def convert(text: Any, cursor: Any) -> bytes | None:
        return None if text is None else bytes(BINARY(text, cursor))

    register_type(new_type((17,), "OASTFS_BYTES", convert), connection)
