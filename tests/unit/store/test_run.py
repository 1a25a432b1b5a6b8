"""The retry loop, with a clock and chance of its own."""

from __future__ import annotations

import pytest

from oastfs.core.errors import NotFound, StoreError
from oastfs.store.run import Conflict, run


class Clock:
    """Time that passes only in ``sleep``."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Attempts:
    """Fails so many times, then succeeds."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.left = failures
        self.made = 0
        self.error = error

    def __call__(self) -> str:
        self.made += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def test_first_result_counts() -> None:
    clock = Clock()
    attempts = Attempts(0, Conflict("never"))
    assert run(attempts, clock=clock, sleep=clock.sleep) == "done"
    assert (attempts.made, clock.slept) == (1, [])


def test_pauses_double_up_to_a_limit() -> None:
    clock = Clock()
    assert run(Attempts(12, Conflict("again")), clock=clock, sleep=clock.sleep, jitter=lambda: 1.0) == "done"
    assert clock.slept[:4] == pytest.approx([0.001, 0.002, 0.004, 0.008])
    assert clock.slept[-1] == pytest.approx(0.25)


def test_chance_shortens_pauses() -> None:
    clock = Clock()
    run(Attempts(1, Conflict("again")), clock=clock, sleep=clock.sleep, jitter=lambda: 0.0)
    assert clock.slept == pytest.approx([0.0005])


def test_at_once_means_without_a_pause() -> None:
    clock = Clock()
    assert run(Attempts(5, Conflict("grown", at_once=True)), clock=clock, sleep=clock.sleep) == "done"
    assert clock.slept == []


def test_it_gives_up_at_the_deadline() -> None:
    clock = Clock()
    attempts = Attempts(10**6, Conflict("busy"))
    with pytest.raises(StoreError, match=r"gave up after 2 s: busy") as caught:
        run(attempts, deadline_seconds=2, clock=clock, sleep=clock.sleep)
    assert not isinstance(caught.value, Conflict)
    assert 2 < clock.now - 100 < 2.5


@pytest.mark.parametrize("error", [NotFound("gone"), StoreError("broken"), KeyError("key")])
def test_other_errors_are_not_retried(error: Exception) -> None:
    attempts = Attempts(1, error)
    with pytest.raises(type(error)):
        run(attempts)
    assert attempts.made == 1
