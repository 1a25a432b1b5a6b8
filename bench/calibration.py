"""How fast this machine is just now, in ways that do not depend on this project: yardsticks for benchmarks.

Just before each benchmark (``conftest.py``) all four are measured and kept with its figures, so that figures
of another machine, or of another hour of a shared one, can be compared: as multiples of a yardstick.

* ``processor``: Python and MessagePack on small objects, what most of the library does;
* ``memory``: copying 16 MB, what streams do;
* ``wakeup``: a byte to another process through a socket and back, what calls to servers wait for;
* ``sync``: appending 4 KiB to a file and syncing it, what durable changes wait for.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import msgpack

KINDS = ("processor", "memory", "wakeup", "sync")
FASTEST_COUNTS = ("processor", "memory")
"""Work that waits for nothing can only be disturbed, so its fastest round says most; others' times vary."""
_ECHO = """
import socket, sys
peer = socket.socket(fileno=int(sys.argv[1]))
while data := peer.recv(1):
    peer.sendall(data)
"""


class Yardsticks:
    """Measures all kinds; the directory's disk is the one that is synced. ``close`` ends its process."""

    def __init__(self, directory: Path) -> None:
        self._block = os.urandom(4096)
        self._source = memoryview(os.urandom(16 << 20))
        self._place = memoryview(bytearray(16 << 20))
        self._file = os.open(directory / "yardstick", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._socket, peer = socket.socketpair()
        with peer:
            command = [sys.executable, "-c", _ECHO, str(peer.fileno())]
            self._echo = subprocess.Popen(command, pass_fds=[peer.fileno()])

    def measure_us(self) -> dict[str, float]:
        """Microseconds of one turn of each kind: the fastest of several, or the median of what waits."""
        turns: dict[str, tuple[int, Callable[[], None]]] = {
            "processor": (15, _work),
            "memory": (5, self._copy),
            "wakeup": (100, self._ask),
            "sync": (30, self._sync),
        }
        return {kind: _typical_us(kind, *turns[kind]) for kind in KINDS}

    def _copy(self) -> None:
        self._place[:] = self._source

    def _ask(self) -> None:
        self._socket.sendall(b"x")
        self._socket.recv(1)

    def _sync(self) -> None:
        os.write(self._file, self._block)
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let everything go."""
        os.close(self._file)
        self._socket.close()
        self._echo.wait(10)


def _work() -> None:
    """About a millisecond of what an interpreter does: dictionaries, tuples, texts, bytes."""
    rows: dict[tuple[int, str], bytes] = {}
    for number in range(400):
        key = (number, f"name-{number:06}")
        rows[key] = msgpack.encode([number, 0o644, "owner", number * 1_000_003, key[1]])
    total = 0
    for key in sorted(rows):
        row = msgpack.decode(rows[key])
        total += row[0] + len(row[4])
    assert total == sum(range(400)) + 400 * len("name-000000")


def _typical_us(kind: str, turns: int, call: Callable[[], None]) -> float:
    call()
    times = []
    for _ in range(turns):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    return round((min(times) if kind in FASTEST_COUNTS else statistics.median(times)) / 1000, 2)
