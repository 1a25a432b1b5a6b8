"""Kills servers with -9 and starts them again, one at a time, while something else goes on.

The next one dies only when the last one serves again.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from tests.harness.waiting import wait_until

START_SECONDS = 120.0


class Listening(Protocol):
    """A server process with a port."""

    name: str
    port: int

    def start(self) -> None: ...

    def kill(self) -> None: ...


def start_again(server: Listening) -> None:
    """Start it, and wait until it listens."""
    server.start()
    address = "127.0.0.1", server.port

    def listens() -> bool:
        socket.create_connection(address, 5).close()
        return True

    wait_until(listens, server.name, START_SECONDS)


class Disturbance:
    """A context. Every ``interval_seconds`` one of ``servers`` dies, and is back after ``down_seconds``."""

    def __init__(
        self,
        servers: Sequence[Listening],
        seed: int,
        *,
        interval_seconds: float = 3.0,
        down_seconds: float = 1.5,
    ) -> None:
        self._servers = list(servers)
        self._chance = random.Random(seed)
        self._interval_seconds = interval_seconds
        self._down_seconds = down_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disturbance")
        self._errors: list[BaseException] = []
        self.kills: list[str] = []

    def __enter__(self) -> Disturbance:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None and self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._interval_seconds * self._chance.uniform(0.5, 1.5)):
                server = self._chance.choice(self._servers)
                server.kill()
                self.kills.append(server.name)
                self._stop.wait(self._down_seconds)
                start_again(server)
        except BaseException as error:
            self._errors.append(error)
