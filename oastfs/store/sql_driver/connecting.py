"""Making a connection: how it is set up, by psycopg 2 or 3."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any, Final

CONNECT_SECONDS: Final = 10
ARGUMENTS: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "oastfs",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
SETTINGS: Final[Mapping[str, str]] = {
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


def open_connection(dialect: Any, url: Any, settings: Mapping[str, str]) -> Any:
    """A connection for transactions, which are begun and ended by statements of ours.

    ``settings`` are those of the session.

    Raises the driver's errors.
    """
    positional, named = dialect.create_connect_args(url)
    named = {**ARGUMENTS, **named}
    named["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    driver = dialect.loaded_dbapi
    if dialect.driver == "psycopg":
        # Several statements in one trip want arguments that are put in here, as psycopg 2 does.
        return driver.connect(*positional, **named, autocommit=True, cursor_factory=driver.ClientCursor)
    connection = driver.connect(*positional, **named, async_=1)
    _await(connection, driver)
    _read_bytes_as_bytes(connection)
    return connection


def _await(connection: Any, driver: Any) -> None:
    """Until it is there."""
    extensions = driver.extensions
    deadline = time.monotonic() + CONNECT_SECONDS
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(
            connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        )
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            connection.close()
            raise driver.OperationalError("timeout expired")


def _read_bytes_as_bytes(connection: Any) -> None:
    """psycopg 2 gives binary columns as memoryviews of their own memory; rows hold bytes."""
    from psycopg2 import BINARY
    from psycopg2.extensions import new_type, register_type

    def convert(text: Any, cursor: Any) -> bytes | None:
        return None if text is None else bytes(BINARY(text, cursor))

    register_type(new_type((17,), "OASTFS_BYTES", convert), connection)
