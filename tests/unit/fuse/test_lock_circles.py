"""Who waits for whom: circles are found, and nothing else is taken for one."""

from __future__ import annotations

from functools import partial

import pytest

from oastfs.fuse.lock_circles import RecordWait, find_circle

FREE = 0


def waits_of(edges: dict[int, int]) -> dict[int, RecordWait]:
    """Owners who wait, each for another one."""

    def of(owner: int, blocker: int) -> RecordWait:
        return RecordWait(owner, lambda: blocker)

    return {owner: of(owner, blocker) for owner, blocker in edges.items()}


@pytest.mark.parametrize(
    ("edges", "circle"),
    [
        ({1: 2}, []),  # who has it does not wait
        ({1: FREE}, []),  # it is free by now, or another mount's
        ({1: 2, 2: 1}, [1, 2]),
        ({1: 2, 2: 3, 3: 1}, [1, 2, 3]),
        ({1: 2, 2: 3, 3: FREE}, []),
        ({1: 2, 2: 3, 3: 2}, []),  # a circle of others
        ({1: 2, 2: 1, 4: 1, 5: 4}, [1, 2]),
    ],
)
def test_circles(edges: dict[int, int], circle: list[int]) -> None:
    waits = waits_of(edges)
    assert find_circle(waits[1], waits) == [waits[owner] for owner in circle]


def test_nothing_is_asked_twice() -> None:
    asked: list[int] = []

    def ask(owner: int) -> int:
        asked.append(owner)
        return owner % 3 + 1

    waits = {owner: RecordWait(owner, partial(ask, owner)) for owner in (1, 2, 3)}
    assert len(find_circle(waits[1], waits)) == 3
    assert asked == [1, 2, 3]
