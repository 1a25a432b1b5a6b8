"""Servers and files of tests that do not outlive the process that runs the tests, even if that is killed.

A process of its own (this module, run as a program) is told of everything that is started. Once the process
that told it has ended, however it did, it ends what is left: with the signal that lets a server unmount and
tidy up, and after some seconds with SIGKILL. Then it removes the directories. A signal at the parent's
death (``PR_SET_PDEATHSIG``) would come at the death of the thread already that has started a server.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

END_SECONDS = 15.0
_lock = threading.Lock()
_told: dict[int, int] = {}
"""Where the reaper of a process listens; a forked child has none yet."""


def start(
    command: list[str], ending: signal.Signals = signal.SIGTERM, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process; it is asked to by this signal."""
    process = subprocess.Popen(command, **options)
    _tell(f"end {ending.value} {process.pid} {_began(process.pid)}")
    return process


def remove_at_end(directory: Path) -> None:
    """Have a directory removed once this process has ended, if it is still there."""
    _tell(f"remove {directory}")


def _tell(line: str) -> None:
    with _lock:
        reaper = _told.get(os.getpid())
        if reaper is None:
            told, reaper = os.pipe()
            command = [sys.executable, "-S", "-E", __file__, str(os.getpid())]
            # In a session of its own: what ends this process's group is not to end it.
            actions = [(os.POSIX_SPAWN_DUP2, told, 0)]
            os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)
            os.close(told)
            _told[os.getpid()] = reaper
        os.write(reaper, f"{line}\n".encode())


def _began(pid: int) -> str:
    """When a process began, in the system's ticks: its number may be given again. "": it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _reap(parent: int) -> None:
    told = _listen(parent)
    lines = [line.split(" ", 1) for line in told.decode().splitlines()]
    left = [tuple(rest.split(" ")) for what, rest in lines if what == "end"]
    deadline = time.monotonic() + END_SECONDS
    for ending, pid, began in left:
        _end(int(ending), pid, began)
    while left := [one for one in left if one[2] and _began(int(one[1])) == one[2]]:
        if time.monotonic() > deadline:
            for _, pid, began in left:
                _end(signal.SIGKILL, pid, began)
        time.sleep(0.1)
    for what, rest in lines:
        if what == "remove":
            shutil.rmtree(rest, ignore_errors=True)


def _listen(parent: int) -> bytes:
    """Everything that is told until the parent has ended."""
    told = b""
    life = os.pidfd_open(parent)
    waiting: list[int] = [life, 0]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if 0 in ready:
            # Its end is not the parent's: a forked child may have it, or the parent have closed it.
            if some := os.read(0, 65536):
                told += some
                continue
            waiting.remove(0)
        if life in ready:
            return told


def _end(number: int, pid: str, began: str) -> None:
    if began and _began(int(pid)) == began:
        try:
            os.kill(int(pid), number)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    _reap(int(sys.argv[1]))
