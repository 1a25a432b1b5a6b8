"""A sampling profiler of the own process: which Python stacks take the processor's time, or just time.

A thread looks at the stacks of all others at a steady rate. By processor time, a stack is credited with what
the kernel says that its thread has run since the last look; so threads that wait count for nothing, and work
in C counts for the function that called it. By wall-clock time, each stack is credited with the time between
looks.

What the sampler itself takes is left out. It needs Python's interpreter lock to look: it sees a thread where
that gives the lock away. It is exact in how much each thread ran, and approximate in where.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from oastfs.core.errors import InvalidArgument, Unsupported

SECONDS_MAX: Final = 120.0
RATE_MAX: Final = 1000
DEPTH_MAX: Final = 200
NATIVE: Final = "[threads without Python]"

_one_at_a_time = threading.Lock()

Stacks = dict[tuple[str, ...], float]
"""Seconds by stack: the thread's name, then functions, the outermost first."""


def take(seconds: float, rate: int = 100, wall: bool = False) -> Stacks:
    """Profile this process for so long, looking ``rate`` times a second.

    Raises InvalidArgument, Unsupported.
    """
    if not 0 < seconds <= SECONDS_MAX or not 0 < rate <= RATE_MAX:
        raise InvalidArgument(f"a profile takes up to {SECONDS_MAX:g} s, at up to {RATE_MAX} looks a second")
    if not _one_at_a_time.acquire(blocking=False):
        raise Unsupported("this process is being profiled already")
    try:
        return _Sampling(wall).run(seconds, rate)
    finally:
        _one_at_a_time.release()


class _Sampling:
    def __init__(self, wall: bool) -> None:
        self._wall = wall
        self._own = threading.get_ident()
        self._seconds: defaultdict[tuple[str, tuple[CodeType, ...]], float] = defaultdict(float)
        self._ran_ns: dict[int, int] = {}
        self._files: dict[int, int] = {}
        """Descriptors of what the kernel says of each thread: to open it anew costs more than to read it."""

    def run(self, seconds: float, rate: int) -> Stacks:
        """Look until the time is over."""
        try:
            return self._run(seconds, rate)
        finally:
            for descriptor in self._files.values():
                os.close(descriptor)

    def _run(self, seconds: float, rate: int) -> Stacks:
        began, began_cpu, own_cpu = time.monotonic(), time.process_time(), time.thread_time()
        self._look(0.0)
        last = due = began
        while last < began + seconds:
            due = max(due + 1 / rate, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            self._look(now - last)
            last = now
        own = time.thread_time() - own_cpu
        found: Stacks = defaultdict(float)
        for (thread, codes), credited in self._seconds.items():
            found[(thread, *map(_shown, codes))] += credited
        if not self._wall:
            rest = time.process_time() - began_cpu - own - sum(found.values())
            if rest > 0.01 * seconds:
                found[(NATIVE,)] = rest
        return dict(found)

    def _look(self, elapsed: float) -> None:
        threads = {one.ident: one for one in threading.enumerate()}
        # All at once: whatever gives the interpreter lock away has the other threads go on meanwhile.
        stacks = {ident: _stack(frame) for ident, frame in sys._current_frames().items()}
        for ident, stack in stacks.items():
            thread = threads.get(ident)
            if ident == self._own or thread is None:
                continue
            credited = elapsed if self._wall else self._ran(thread.native_id or 0)
            if credited > 0:
                self._seconds[thread.name, stack] += credited

    def _ran(self, native_id: int) -> float:
        """Seconds that a thread ran since it was asked for last; 0 the first time."""
        try:
            if native_id not in self._files:
                path = f"/proc/self/task/{native_id}/schedstat"
                self._files[native_id] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            now_ns = int(os.pread(self._files[native_id], 100, 0).split()[0])
        except (OSError, ValueError, IndexError):
            return 0.0  # it has ended
        before_ns = self._ran_ns.get(native_id, now_ns)
        self._ran_ns[native_id] = now_ns
        return (now_ns - before_ns) / 1e9


def _stack(frame: FrameType | None) -> tuple[CodeType, ...]:
    codes: list[CodeType] = []
    while frame is not None and len(codes) < DEPTH_MAX:
        codes.append(frame.f_code)
        frame = frame.f_back
    return tuple(reversed(codes))


def _shown(code: CodeType) -> str:
    """A function as ``package/module.py:Class.function``."""
    parts = Path(code.co_filename).parts
    known = [at for at, part in enumerate(parts) if part in ("oastfs", "site-packages")]
    if known:
        at = known[-1] + (parts[known[-1]] == "site-packages")
        where = "/".join(parts[at:])
    else:
        where = "/".join(parts[-2:]) if code.co_filename.startswith("/") else code.co_filename
    return f"{where}:{code.co_qualname}".replace(";", ",")


def folded(stacks: Stacks) -> str:
    """As text that other tools read as well: a line for each stack, its functions, and microseconds."""
    lines = [f"{';'.join(stack)} {round(seconds * 1e6)}" for stack, seconds in stacks.items()]
    return "".join(f"{line}\n" for line in sorted(lines))


def unfolded(text: str) -> Stacks:
    """Stacks from such text. Raises InvalidArgument."""
    found: Stacks = defaultdict(float)
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit():
            raise InvalidArgument("this is no list of stacks")
        found[tuple(stack.split(";"))] += int(count) / 1e6
    return dict(found)
