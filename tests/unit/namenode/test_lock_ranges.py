"""Ranges of locks against a plain model: for each byte, who has it how."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.types import LockType
from oastfs.namenode import lock_ranges
from oastfs.namenode.lock_ranges import Ranges

BYTES = 24

Request = tuple[int, int, int, LockType]
"""Owner, first byte, last byte, type."""

requests = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, BYTES - 1), st.integers(0, BYTES - 1), st.sampled_from(LockType)
    ).map(lambda one: (one[0], min(one[1:3]), max(one[1:3]), one[3])),
    max_size=40,
)


class Model:
    """A byte at a time."""

    def __init__(self) -> None:
        self.locked: list[dict[int, LockType]] = [{} for _ in range(3)]

    def carry_out(self, request: Request) -> bool:
        owner, first, last, kind = request
        others = [one for number, one in enumerate(self.locked) if number != owner]
        for byte in range(first, last + 1):
            held = [one[byte] for one in others if byte in one]
            if (kind is LockType.WRITE and held) or (kind is LockType.READ and LockType.WRITE in held):
                return False
        for byte in range(first, last + 1):
            self.locked[owner].pop(byte, None)
            if kind is not LockType.UNLOCK:
                self.locked[owner][byte] = kind
        return True


def bytes_of(ranges: Ranges) -> dict[int, LockType]:
    return {byte: LockType(kind) for first, last, kind in ranges for byte in range(first, last + 1)}


@given(requests)
def test_any_requests_leave_what_the_model_has(history: list[Request]) -> None:
    model = Model()
    held: list[Ranges] = [(), (), ()]
    for request in history:
        owner, first, last, kind = request
        others = [one for number, one in enumerate(held) if number != owner]
        refused = kind is not LockType.UNLOCK and any(
            lock_ranges.conflict(one, first, last, kind) for one in others
        )
        if not refused:
            held[owner] = lock_ranges.changed(held[owner], first, last, kind)
        assert model.carry_out(request) is not refused
        assert [bytes_of(one) for one in held] == model.locked
        for ranges in held:
            assert all(first <= last for first, last, _ in ranges)
            for (_, end, before), (start, _, after) in pairwise(ranges):
                assert end < start
                assert end + 1 < start or before != after, "equal neighbours are one range"


def test_the_first_range_in_the_way_is_told() -> None:
    ranges = ((0, 4, 0), (10, 14, 1), (20, 24, 1))
    assert lock_ranges.conflict(ranges, 0, 9, LockType.READ) is None
    assert lock_ranges.conflict(ranges, 0, 30, LockType.READ) == (10, 14, 1)
    assert lock_ranges.conflict(ranges, 4, 30, LockType.WRITE) == (0, 4, 0)
