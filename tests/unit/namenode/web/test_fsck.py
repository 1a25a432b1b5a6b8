"""Numbers as Java prints them."""

from __future__ import annotations

import pytest

from oastfs.namenode.web.fsck import java_float


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (100, 1, "100.0"),
        (0, 7, "0.0"),
        (100, 7, "14.285714"),
        (200, 9, "22.222221"),
        (600, 7, "85.71429"),
        (6, 7, "0.85714287"),
        (200, 3, "66.666664"),
        (2, 3, "0.6666667"),
        (25, 2, "12.5"),
    ],
)
def test_numbers_are_those_of_single_precision(part: int, whole: int, shown: str) -> None:
    assert java_float(part / whole) == shown
