"""Flame graphs: whole SVG, boxes as wide as their time, whatever functions are called."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from oastfs.diagnostics.flame import WIDTH, draw

SVG = "{http://www.w3.org/2000/svg}"
STACKS = {
    ("main", "oastfs/a.py:f"): 1.0,
    ("main", "oastfs/a.py:f", "b.py:<genexpr>"): 2.0,
    ("main", "c.py:\"q\" & 'r'"): 1.0,
}


def boxes(svg: str) -> dict[str, tuple[float, float, int]]:
    """(x, width, depth) by name."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") == "b":
            x, width, depth = (float(group.get(f"data-{key}", "nan")) for key in "xwd")
            found[group.get("data-n", "")] = (x, width, int(depth))
    return found


def test_boxes_are_as_wide_as_their_time_and_stand_on_their_callers() -> None:
    found = boxes(draw(STACKS, "a title"))
    assert found["all"] == (0, WIDTH, 0)
    assert found["main"] == (0, WIDTH, 1)
    assert found["oastfs/a.py:f"][1:] == (WIDTH * 3 / 4, 2)
    assert found["b.py:<genexpr>"][1:] == (WIDTH / 2, 3)
    x, width, _ = found["oastfs/a.py:f"]
    inner_x, inner_width, _ = found["b.py:<genexpr>"]
    assert x <= inner_x
    assert inner_x + inner_width <= x + width
    assert found["c.py:\"q\" & 'r'"][1] == WIDTH / 4


def test_it_needs_nothing_from_elsewhere() -> None:
    svg = draw(STACKS, "<&>")
    assert not re.findall(r"(?:src|href)=|@import|url\(", svg)
    assert "&lt;&amp;&gt;" in svg


@pytest.mark.parametrize("stacks", [{}, {("x",): 0.0}, {tuple(f"f{n}" for n in range(3000)): 1.0}])
def test_nothing_and_very_deep_stacks(stacks: dict[tuple[str, ...], float]) -> None:
    assert "all" in boxes(draw(stacks, "t"))


def test_what_is_too_narrow_is_left_out() -> None:
    stacks: dict[tuple[str, ...], float] = {("main", f"f{n}"): 1.0 for n in range(100_000)}
    assert len(boxes(draw(stacks, "t"))) < 10
