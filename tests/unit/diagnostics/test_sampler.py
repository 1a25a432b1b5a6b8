"""The profiler sees who runs, not who waits, and how much."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oastfs.core.errors import InvalidArgument, Unsupported
from oastfs.diagnostics.sampler import NATIVE, folded, take, unfolded
from tests.harness.waiting import wait_until


def spin_in_here(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(500))


def wait_in_here(stop: threading.Event) -> None:
    stop.wait()


@contextmanager
def threads() -> Iterator[None]:
    """One thread that runs and one that waits."""
    stop = threading.Event()
    both = [
        threading.Thread(target=target, args=(stop,), name=name)
        for name, target in (("busy", spin_in_here), ("idle", wait_in_here))
    ]
    for one in both:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in both:
            one.join()


def seconds_in(stacks: dict[tuple[str, ...], float], function: str) -> float:
    return sum(value for stack, value in stacks.items() if any(f":{function}" in name for name in stack))


def test_processor_time_is_that_of_threads_that_run() -> None:
    with threads():
        before = time.process_time()
        stacks = take(0.7)
        spent = time.process_time() - before
    assert seconds_in(stacks, "spin_in_here") > 0.6 * spent
    assert seconds_in(stacks, "wait_in_here") < 0.02
    assert sum(stacks.values()) == pytest.approx(spent, rel=0.2)
    assert any(stack[0] == "busy" and len(stack) > 2 for stack in stacks)
    assert not any("diagnostics/sampler.py" in name for stack in stacks for name in stack)


def test_wall_time_counts_waiting() -> None:
    with threads():
        stacks = take(0.4, wall=True)
    assert seconds_in(stacks, "wait_in_here") == pytest.approx(0.4, rel=0.4)
    assert (NATIVE,) not in stacks


def test_one_at_a_time() -> None:
    first = threading.Thread(target=lambda: take(1.0))
    first.start()

    def refused() -> bool:
        try:
            take(0.001)
        except Unsupported:
            return True
        return False

    wait_until(refused, "the first profile to be under way", 10)
    first.join()
    take(0.01)


@pytest.mark.parametrize(("seconds", "rate"), [(0, 100), (1e9, 100), (1, 0), (1, 100_000)])
def test_bounds(seconds: float, rate: int) -> None:
    with pytest.raises(InvalidArgument):
        take(seconds, rate)


def test_text_and_back() -> None:
    stacks = {("main", "a.py:f", "b.py:C.g"): 1.5, ("main", "a.py:f"): 0.25, (NATIVE,): 0.001}
    assert unfolded(folded(stacks)) == stacks
    assert folded(stacks).splitlines()[1] == "main;a.py:f 250000"
    for text in ("x", "a;b 1.5", "something else entirely\n"):
        with pytest.raises(InvalidArgument):
            unfolded(text)
