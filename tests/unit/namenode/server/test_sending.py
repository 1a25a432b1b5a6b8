"""What is compiled sends what a socket takes, and leaves everything else to whoever asked."""

from __future__ import annotations

import socket
from typing import Any

import pytest

compiled: Any = pytest.importorskip("oastfs.namenode.server._sending")


def test_all_part_and_nothing_is_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        descriptor = ours.fileno()
        assert compiled.send_now(descriptor, b"whole") == 5
        assert compiled.send_now(descriptor, b"") == 0
        assert theirs.recv(100) == b"whole"
        data = bytes(range(256)) * (1 << 16)
        sent = compiled.send_now(descriptor, data)
        assert 0 < sent < len(data)
        while full := compiled.send_now(descriptor, data[sent : sent + 1]):
            sent += full
        received = b""
        while len(received) < sent:
            received += theirs.recv(sent - len(received))
        assert received == data[:sent]
        assert compiled.send_now(descriptor, b"again") == 5


def test_nothing_is_sent_to_who_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert compiled.send_now(ours.fileno(), b"data") == 0  # and no signal ends the program
        descriptor = ours.fileno()
    assert compiled.send_now(descriptor, b"data") == 0


@pytest.mark.parametrize("arguments", [(), (1,), (1, "text"), ("1", b""), (1, bytearray(1)), (1, b"", 0)])
def test_what_cannot_be_sent(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        compiled.send_now(*arguments)


@pytest.mark.parametrize("descriptor", [-1, 1 << 31, 1 << 40])
def test_what_is_no_descriptor(descriptor: int) -> None:
    with pytest.raises(ValueError):
        compiled.send_now(descriptor, b"data")
    with pytest.raises(OverflowError):
        compiled.send_now(1 << 70, b"data")
