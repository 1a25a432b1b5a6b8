"""What callers notice when the namenode that serves them is killed, again and again.

The benchmark starts several namenodes on a store, calls through one kind of client, kills the busiest
namenode with SIGKILL, and starts it again when calls go on. The pause that a kill makes is the time of the
longest call that was under way at that moment or begun in the second after it.
"""

from __future__ import annotations

import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from oastfs.bench.faces import FACES
from oastfs.bench.servers import Namenodes
from oastfs.bench.targets import Target
from oastfs.core.errors import DeadlineExceeded, InvalidArgument

SETTLE_SECONDS = 1.0
"""Of undisturbed calls before a kill, and of calls that count after it."""
GO_ON_SECONDS = 120.0
"""Longest pause that is waited for."""
_POLL_SECONDS = 0.01
_PAUSE_AFTER_FAILURE_SECONDS = 0.1


@dataclass(frozen=True)
class Options:
    """One run on the store of these metadata URLs."""

    metadata: tuple[str, ...]
    through: str = "oastfs"
    namenodes: int = 3
    kills: int = 6
    callers: int = 4


@dataclass
class Result:
    """Figures of one run. ``pauses_seconds``: one for each kill."""

    options: Options
    calls: int
    failures: list[str]
    usual_seconds: float
    """Median time of a call."""
    pauses_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Call:
    begun: float
    ended: float


class _Caller(threading.Thread):
    """Makes calls of several kinds until it is told to stop."""

    def __init__(self, target: Target) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.calls: list[_Call] = []
        self.failures: list[str] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                self._turn(f"f{number}")
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                # As programs do that try again: a client may not have noticed yet what has become of its
                # connection, and then every call fails at once.
                self._stopping.wait(_PAUSE_AFTER_FAILURE_SECONDS)

    def _turn(self, name: str) -> None:
        target = self.target
        self._time(lambda: target.write(name, b"x" * 100))
        self._time(lambda: target.stat(name))
        self._time(lambda: target.read("kept"))
        self._time(lambda: target.rename(name, name + "r"))
        self._time(lambda: target.remove(name + "r"))

    def _time(self, call: Callable[[], object]) -> None:
        begun = time.monotonic()
        try:
            call()
        finally:
            self.calls.append(_Call(begun, time.monotonic()))

    def stop(self) -> None:
        """Make no more calls."""
        self._stopping.set()


def run(options: Options) -> Result:
    """Run it. Raises InvalidArgument, Unsupported, and DeadlineExceeded if calls do not go on."""
    if options.namenodes < 2:
        raise InvalidArgument("failover needs two namenodes at least")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oastfs-failover-")))
        namenodes = stack.enter_context(Namenodes(options.namenodes, options.metadata, directory))
        open_face = FACES[options.through](namenodes, directory, stack)
        base = f"/bench-failover-{time.time_ns():x}"
        callers: list[_Caller] = []
        for number in range(options.callers):
            target = open_face(f"{base}/{number}")
            stack.callback(target.close)
            _prepare(namenodes, f"{base}/{number}")
            callers.append(_Caller(target))
        for caller in callers:
            caller.start()
        try:
            kills = [_kill(namenodes, callers) for _ in range(options.kills)]
        finally:
            for caller in callers:
                caller.stop()
        for caller in callers:
            caller.join(GO_ON_SECONDS)
        _remove(namenodes, base)
        return _result(options, callers, kills)


def _prepare(namenodes: Namenodes, base: str) -> None:
    """The small file that is read: by our own client, for HDFS's need datanodes to write one."""
    from oastfs.client import connect

    with connect(namenodes.url) as filesystem:
        filesystem.makedirs(base, exist_ok=True)
        filesystem.chmod(base, 0o777)
        filesystem.write_bytes(f"{base}/kept", b"kept" * 100)


def _remove(namenodes: Namenodes, base: str) -> None:
    from oastfs.client import connect

    with connect(namenodes.url) as filesystem:
        filesystem.rmtree(base)


def _kill(namenodes: Namenodes, callers: Sequence[_Caller]) -> float:
    """Kill the busiest namenode, and start it again when all callers have gone on; when it was."""
    victim = namenodes.busiest(SETTLE_SECONDS)
    killed = time.monotonic()
    victim.signal(signal.SIGKILL)
    _wait_for_calls(callers, killed)
    time.sleep(SETTLE_SECONDS)
    victim.start()
    victim.wait_ready()
    return killed


def _wait_for_calls(callers: Sequence[_Caller], since: float) -> None:
    """Until each caller has made a call that was begun after that time."""
    deadline = time.monotonic() + GO_ON_SECONDS
    while not all(caller.calls and caller.calls[-1].begun > since for caller in callers):
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"calls did not go on within {GO_ON_SECONDS:g} s after a kill")
        time.sleep(_POLL_SECONDS)


def _result(options: Options, callers: Sequence[_Caller], kills: Sequence[float]) -> Result:
    calls = [call for caller in callers for call in caller.calls]
    failures = [text for caller in callers for text in caller.failures]
    usual_seconds = statistics.median(call.ended - call.begun for call in calls)
    pauses = [
        max(
            call.ended - call.begun
            for call in calls
            if call.ended > killed and call.begun < killed + SETTLE_SECONDS
        )
        for killed in kills
    ]
    return Result(options, len(calls), failures, usual_seconds, pauses)
