"""Runs the parts of a filesystem as child processes: starts, watches, restarts and stops them.

Children are in sessions of their own, so that Ctrl-C reaches only the supervisor, which then stops them
in order. They ask the kernel to end them should the supervisor itself be killed
(``processes.die_with_supervisor``). Each child's output goes to a log file of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

import click

from oastfs.cli.failure import Failure
from oastfs.core.supervision import SUPERVISOR_VARIABLE

POLL_SECONDS = 0.5
STOP_SECONDS = 20.0
RESTARTS_MAX = 10
"""A child that ends this often in a row, each time soon after its start, is given up."""
BACKOFF_SECONDS_FIRST, BACKOFF_SECONDS_MAX = 0.2, 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long counts as healthy: its restarts are counted anew."""
LOG_BYTES_MAX = 16 << 20


@dataclass
class Child:
    """One part: its command line (of ``oastfs``), and its log."""

    name: str
    arguments: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    due: float = field(default=0.0)
    """When to start it again, if it is not running."""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; its log goes on, and is put aside first if it has grown large."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.rename(self.log.with_suffix(".log.1"))
        command = [sys.executable, "-m", "oastfs.cli", *self.arguments]
        environment = {**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode if self.process else 0
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def last_line(self) -> str:
        """The last line of its log: mostly the reason."""
        try:
            lines = self.log.read_bytes()[-4096:].decode(errors="replace").split("\n")
        except FileNotFoundError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Supervisor:
    """Keeps children running until a signal asks it to stop. ``say`` prints one line for people."""

    def __init__(self, say: Callable[[str], None] = click.echo) -> None:
        self._say = say
        self._children: list[Child] = []
        # Not an Event: a signal handler that sets one while this thread begins to wait for it waits
        # for itself.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._stop_signals = 0

    @property
    def stopping(self) -> bool:
        """Whether a signal asked to stop."""
        return self._stop_signals > 0

    def install_signal_handlers(self) -> None:
        """SIGINT and SIGTERM stop; the end of a child wakes. A second one stops without waiting."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._stop_signals += 1
            self._wake.put(None)

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: self._wake.put(None))

    def start(self, child: Child) -> None:
        """Start a child and keep it."""
        self._children.append(child)
        child.start()

    def wait_until(self, probe: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for ``probe`` (run on a thread: it may block). Failure if a child ends or time runs out.

        Returns early, with ``stopping`` set, on a signal.
        """
        outcome: Future[bool] = Future()

        def work() -> None:
            deadline = time.monotonic() + seconds
            try:
                while not (found := probe()) and not self.stopping and time.monotonic() < deadline:
                    time.sleep(0.02)
                outcome.set_result(found)
            except BaseException as error:
                outcome.set_exception(error)
            self._wake.put(None)

        threading.Thread(target=work, name="probe", daemon=True).start()
        while not outcome.done() and not self.stopping:
            for child in self._children:
                if not child.running:
                    raise Failure(f"{child.name} {child.ending()}: {child.last_line()} (log: {child.log})")
            self._pause()
        if not self.stopping and not outcome.result():
            raise Failure(f"waited {seconds:g} s in vain for {what}; see {self._children[-1].log}")

    def run(self) -> None:
        """Watch the children until a signal comes. Failure if one cannot be kept running."""
        while not self.stopping:
            for child in self._children:
                if not child.running:
                    self._restart(child)
            self._pause()

    def stop(self) -> None:
        """Stop the children, the last started first, each cleanly if it can."""
        for child in reversed(self._children):
            if not child.running or child.process is None:
                continue
            child.process.terminate()
            if not self._wait_for_end(child, STOP_SECONDS):
                self._say(f"{child.name} does not stop: killing it (log: {child.log})")
                child.process.kill()
                child.process.wait()

    def _wait_for_end(self, child: Child, seconds: float) -> bool:
        signals_before = self._stop_signals
        deadline = time.monotonic() + seconds
        while child.running:
            if time.monotonic() > deadline or self._stop_signals > max(signals_before, 1):
                return False
            self._sleep(0.05)
        return True

    def _restart(self, child: Child) -> None:
        now = time.monotonic()
        if not child.due:
            if now - child.started > STEADY_SECONDS:
                child.restarts = 0
            child.restarts += 1
            if child.restarts > RESTARTS_MAX:
                raise Failure(f"{child.name} {child.ending()} again and again: {child.last_line()}")
            delay = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2 ** (child.restarts - 1))
            child.due = now + delay
            self._say(f"{child.name} {child.ending()}; starting it again in {delay:g} s (log: {child.log})")
        if now >= child.due:
            child.due = 0.0
            child.start()

    def _pause(self) -> None:
        due = [child.due for child in self._children if child.due]
        seconds = min([POLL_SECONDS, *(max(0.01, at - time.monotonic()) for at in due)])
        self._sleep(seconds)

    def _sleep(self, seconds: float) -> None:
        """Until then, or until somebody wakes us."""
        try:
            self._wake.get(timeout=seconds)
            while True:
                self._wake.get_nowait()
        except Empty:
            pass
