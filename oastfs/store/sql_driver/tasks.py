"""Code that waits, run on an event loop's thread: in tasks, each of which has a stack of its own.

Operations are plain functions, and so is all below them: who asks a server has the answer when the call
returns. Run on threads, each answer takes a change of threads, and all threads want the one interpreter;
together that costs more than the statement. A task (a greenlet) stays on the loop's thread: when it has to
wait, the loop goes on with something else, and comes back to it when its connection has an answer.

The functions here do the right thing wherever they are called: in a task they let the loop go on, on any
other thread they wait as ever. Who holds a lock of ``threading`` must not wait with them.
"""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")

_IDLE_MAX: Final = 64
"""Tasks that are kept for what comes next: to make and end one has the system give memory and take it back,
which takes a fifth of the time of a short read."""
_THREADS: Final = 64
"""For what cannot but hold its thread, such as making a connection. They begin when they are needed."""


class Task(greenlet):
    """Runs on the thread of its hub."""

    hub: Hub


class Event(Protocol):
    """As that of ``threading``, for one who waits."""

    def set(self) -> None:
        """From any thread."""

    def wait(self, timeout: float) -> bool:
        """Whether it was set in time."""


def current_hub() -> Hub | None:
    """The hub whose task this is called in."""
    current = getcurrent()
    return current.hub if type(current) is Task else None


def who() -> int:
    """A number for whoever runs this, a thread or a task, as long as it lasts."""
    return id(getcurrent())


def sleep(seconds: float) -> None:
    """As that of ``time``."""
    if current_hub() is None:
        time.sleep(seconds)
    else:
        new_event().wait(seconds)


def new_event() -> Event:
    """For the caller to wait for, once."""
    hub = current_hub()
    return threading.Event() if hub is None else _TaskEvent(hub)


def on_thread(function: Callable[[], T]) -> T:
    """The function's result, without holding an event loop up."""
    hub = current_hub()
    return function() if hub is None else hub.on_thread(function)


class Hub:
    """The tasks of one event loop. To be made on its thread.

    Descriptors are watched by an epoll of its own, which the loop watches: uvloop has no word for those who
    wait for a socket whose other side is gone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.main = getcurrent()
        self._wanted: dict[int, greenlet] = {}
        """The task that waits for a descriptor."""
        self._watched: dict[int, int] = {}
        """What is watched for at each descriptor."""
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._wake)
        self._idle: list[Task] = []
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="oastfs-store-wait")

    def start(self, function: Callable[[], None]) -> None:
        """Run it until it first waits. It must not raise. Only where ``may_start``."""
        if self._idle:
            self._idle.pop().switch(function)
            return
        task = Task(self._work, self.main)
        task.hub = self
        task.switch(function)

    def _work(self, function: Callable[[], None] | None) -> None:
        """A task: one function after the other, until it is given none."""
        task, main, idle = getcurrent(), self.main, self._idle
        assert isinstance(task, Task)
        while function is not None:
            function()
            function = None
            if len(idle) < _IDLE_MAX:
                idle.append(task)
                function = main.switch()

    def may_start(self) -> bool:
        """Whether this is the loop's thread, and no task."""
        return threading.get_ident() == self.thread and getcurrent() is self.main

    def wait_for(self, descriptor: int, events: int) -> None:
        """In a task. The descriptor is watched from now on, until ``forget``."""
        self._wanted[descriptor] = getcurrent()
        watched = self._watched.get(descriptor)
        if watched != events:
            self._watched[descriptor] = events
            if watched is None:
                self._epoll.register(descriptor, events)
            else:
                self._epoll.modify(descriptor, events)
        self.main.switch()

    def forget(self, descriptor: int) -> None:
        """The descriptor is about to be closed, and no task waits for it. From any thread."""
        if self._watched.pop(descriptor, None) is not None and not self._epoll.closed:
            self._epoll.unregister(descriptor)

    def on_thread(self, function: Callable[[], T]) -> T:
        """In a task."""
        event = _TaskEvent(self)
        future = self._executor.submit(function)
        future.add_done_callback(lambda _: event.set())
        event.wait(None)
        return future.result()

    def stop(self) -> None:
        """No task is left. From any thread."""
        self._executor.shutdown(wait=False)
        try:
            self.loop.call_soon_threadsafe(self._close)
        except RuntimeError:
            self._epoll.close()  # the loop is closed

    def _close(self) -> None:
        while self._idle:
            self._idle.pop().switch(None)
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _wake(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            task = self._wanted.pop(descriptor, None)
            if task is None:
                self.forget(descriptor)  # a thread waits for it, or its server is gone
            else:
                task.switch()


class _TaskEvent:
    """For one task to wait for, once."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._is_set = False
        self._waiter: Any = None

    def set(self) -> None:
        self._is_set = True
        loop = self._hub.loop
        if threading.get_ident() == self._hub.thread:
            loop.call_soon(self._resume)
        else:
            try:
                loop.call_soon_threadsafe(self._resume)
            except RuntimeError:
                pass  # the loop is closed, and with it whoever waits

    def wait(self, timeout: float | None) -> bool:
        if self._is_set:
            return True
        self._waiter = getcurrent()
        timer = None if timeout is None else self._hub.loop.call_later(timeout, self._resume)
        self._hub.main.switch()
        if timer is not None:
            timer.cancel()
        return self._is_set

    def _resume(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.switch()


class Lane:
    """Jobs that run as tasks of a hub, so many at a time, begun in the order in which they came."""

    def __init__(self, hub: Hub, tasks_max: int) -> None:
        self._hub = hub
        self._tasks_max = self._free = tasks_max
        self._jobs: deque[Callable[[], None]] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether all that came is done."""
        return self._free == self._tasks_max and not self._jobs

    def run(self, job: Callable[[], None]) -> None:
        """From any thread. A job must not raise."""
        self._jobs.append(job)
        if self._hub.may_start():
            self._begin()
        elif threading.get_ident() == self._hub.thread:
            self._hub.loop.call_soon(self._begin)
        else:
            self._hub.loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._free and self._jobs:
            self._free -= 1
            self._hub.start(self._work)

    def _work(self) -> None:
        """In a task: one job after the other, as long as there are any."""
        while self._jobs:
            self._jobs.popleft()()
        self._free += 1
