"""The namenodes that requests may name, and a client session for each, as long as the datanode runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from oastfs.client.session import Session
from oastfs.client.source import ThroughNamenodes
from oastfs.client.url import Address
from oastfs.core.types import SUPERUSER
from oastfs.wire.webhdfs import JavaError

TIMEOUT_SECONDS = 60.0

FindNamenode = Callable[[str], str | None]
"""See ``oastfs.datanode.http``."""


class Namenodes:
    """Finds and opens. Safe for many threads."""

    def __init__(self, find: FindNamenode) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._sessions: dict[Address, Session] = {}

    def address(self, name: str) -> Address:
        """Where the namenode of a redirect is. A datanode is no proxy: it goes to none but its own."""
        found = self._find(name)
        if found is None:
            raise JavaError(
                "java.io.IOException", f"this datanode is not registered with a namenode at {name}"
            )
        host, _, port = found.rpartition(":")
        return Address(host.removeprefix("[").removesuffix("]"), int(port))

    def session(self, address: Address) -> Session:
        """The session for contents. Permissions were checked when it is used."""
        with self._lock:
            session = self._sessions.get(address)
            if session is None:
                source = ThroughNamenodes(((address.host, address.port),), TIMEOUT_SECONDS)
                session = self._sessions[address] = Session(source, SUPERUSER, TIMEOUT_SECONDS)
            return session

    def close(self) -> None:
        """Close all sessions."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()
