"""Free loopback ports for servers under test."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below the range that Linux gives to outgoing connections, so that none of those takes a port between its
# choice and its use.
FIRST_PORT, LAST_PORT = 15_000, 32_000
SHARES = 17
"""How many processes may run tests at a time, each with ports of its own."""
_given: dict[int, None] = {}
"""In the order in which they were given out."""
_random = random.Random(os.urandom(8))
_share: list[range] = []


def free_port(*offsets: int) -> int:
    """A port that nobody listens on, and that no process has given out that runs tests now.

    So are the ports ``offsets`` above it (below it, if negative), for servers that take those as well.
    """
    if not _share:
        _share.append(_take_share())
    if len(_given) > len(_share[0]) // 2:
        for port in list(_given)[: len(_given) // 2]:  # most are free again; the last may not be in use yet
            del _given[port]
    while True:
        port = _random.choice(_share[0])
        ports = {port, *(port + offset for offset in offsets)}
        if not _given.keys().isdisjoint(ports) or not ports.issubset(_share[0]):
            continue
        if all(map(_is_free, ports)):
            _given.update(dict.fromkeys(ports))
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _take_share() -> range:
    """A part of the ports, for as long as this process lives.

    A port is given out long before it is listened on, so two processes that draw from the same ones
    would meet now and then.
    """
    width = (LAST_PORT - FIRST_PORT) // SHARES
    directory = Path(tempfile.gettempdir()) / f"oastfs-tests-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    for number in range(SHARES):
        # Left open: the lock is to last as long as the process.
        lock = os.open(directory / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            first = FIRST_PORT + number * width
            return range(first, first + width)
    raise RuntimeError(f"{SHARES} processes run tests already: no ports are left for another one")
