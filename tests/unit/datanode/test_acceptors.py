"""Threads that accept and serve: as many as are needed, and few that wait."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from oastfs.datanode import acceptors
from oastfs.datanode.acceptors import Acceptors
from tests.harness.waiting import wait_until

MANY = 30


class Served:
    """A server that reads one byte, echoes it, and closes."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=MANY)
        self.address = listener.getsockname()
        self.by: list[threading.Thread] = []
        self.acceptors = Acceptors(listener, self._serve)
        self.acceptors.start()

    def _serve(self, accepted: socket.socket) -> None:
        self.by.append(threading.current_thread())
        with accepted:
            data = accepted.recv(1)
            if data == b"!":
                raise ConnectionResetError("the peer is strange")
            accepted.sendall(data)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, 10)


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.acceptors.stop()
    wait_until(lambda: not one.acceptors.threads, "all threads to end")


def ask(connection: socket.socket, byte: bytes = b"x") -> bytes:
    with connection:
        connection.sendall(byte)
        return connection.recv(1)


def test_connections_one_after_the_other_need_no_new_threads(served: Served) -> None:
    for _ in range(MANY):
        assert ask(served.connect()) == b"x"
        # Its thread may still be on its way back, and another one would be begun in its place.
        wait_until(lambda: served.acceptors._waiting == len(served.acceptors.threads), "it to wait again")
    assert len(set(served.by)) <= 2


def test_connections_at_once_are_all_served(served: Served) -> None:
    open_ones = [served.connect() for _ in range(MANY)]
    wait_until(lambda: len(served.by) == MANY, "all to be accepted")
    assert len(served.acceptors.threads) == MANY + 1, "and one waits"
    assert [ask(one) for one in reversed(open_ones)] == [b"x"] * MANY
    wait_until(lambda: len(served.acceptors.threads) == acceptors._WAITING_MAX, "the others to end")
    assert ask(served.connect()) == b"x"


def test_a_connection_that_fails_ends_nothing_else(served: Served) -> None:
    for _ in range(MANY):
        assert ask(served.connect(), b"!") == b""
    assert ask(served.connect()) == b"x"


def test_connections_that_are_served_go_on(served: Served) -> None:
    begun = served.connect()
    wait_until(lambda: len(served.by) == 1, "it to be accepted")
    served.acceptors.stop()
    wait_until(lambda: len(served.acceptors.threads) == 1, "those that wait to end")
    assert ask(begun) == b"x"
    with pytest.raises(OSError):
        served.connect()
