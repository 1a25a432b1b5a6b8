"""Awake for a moment after what came soon, asleep otherwise; never longer than until something comes."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator

import pytest

from oastfs.fuse.kernel import busy_poll
from oastfs.fuse.kernel.busy_poll import BusyPoll

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def waiting(pipe: Pipe) -> BusyPoll:
    poll = select.poll()
    poll.register(pipe[0], select.POLLIN)
    return BusyPoll(poll)


def slept_seconds(waiting: BusyPoll, pipe: Pipe, seconds: float, lone_caller: bool) -> float:
    """For how long a wait for something that comes after so long did not use the processor."""
    timer = threading.Timer(seconds, os.write, (pipe[1], b"x"))
    timer.start()
    began, used = time.perf_counter(), time.thread_time()
    waiting.wait(lone_caller)
    slept = time.perf_counter() - began - (time.thread_time() - used)
    timer.join()
    assert os.read(pipe[0], 10) == b"x"
    return slept


def come_soon(waiting: BusyPoll, pipe: Pipe, lone_caller: bool) -> None:
    os.write(pipe[1], b"x")
    waiting.wait(lone_caller)
    os.read(pipe[0], 10)


def test_it_sleeps_at_first(waiting: BusyPoll, pipe: Pipe) -> None:
    assert slept_seconds(waiting, pipe, 0.3, lone_caller=True) > 0.2


def test_after_what_came_soon_it_stays_awake(
    waiting: BusyPoll, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            os.write(pipe[1], b"x")

    monkeypatch.setattr(os, "sched_yield", look)
    monkeypatch.setattr(busy_poll, "AWAKE_SECONDS", 30.0)
    come_soon(waiting, pipe, lone_caller=True)
    waiting.wait(lone_caller=True)
    assert looks == 3
    assert os.read(pipe[0], 10) == b"x"


def test_but_not_for_long(waiting: BusyPoll, pipe: Pipe) -> None:
    come_soon(waiting, pipe, lone_caller=True)
    assert slept_seconds(waiting, pipe, 0.3, lone_caller=True) > 0.2


def test_nor_where_several_ask(waiting: BusyPoll, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_poll, "AWAKE_SECONDS", 30.0)
    come_soon(waiting, pipe, lone_caller=False)
    assert slept_seconds(waiting, pipe, 0.3, lone_caller=False) > 0.2


def test_what_comes_late_is_not_awaited_awake_again(
    waiting: BusyPoll, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_soon(waiting, pipe, lone_caller=True)
    assert slept_seconds(waiting, pipe, 0.3, lone_caller=True) > 0.2

    def refuse() -> None:
        raise AssertionError("it is awake")

    monkeypatch.setattr(os, "sched_yield", refuse)
    assert slept_seconds(waiting, pipe, 0.3, lone_caller=True) > 0.2
