"""Free loopback ports for servers under test."""

from __future__ import annotations

import os
import random
import socket

# Below the range that Linux gives to outgoing connections, so that none of those takes a port between its
# choice and its use.
FIRST_PORT, LAST_PORT = 15_000, 32_000
_given: set[int] = set()
_random = random.Random(os.urandom(8))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, and that this process has not given out before."""
    while True:
        port = _random.randrange(FIRST_PORT, LAST_PORT)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        _given.add(port)
        return port
