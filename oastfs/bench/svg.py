"""Plots as SVG for a page that needs nothing from elsewhere: lines over any axis, and bars.

Knows numbers and labels, nothing of benchmarks. Colours are classes (``s0`` to ``s7``), which the page gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

COLOURS = 8
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 46
BAR_HEIGHT, BAR_GAP, LABEL_WIDTH, VALUE_WIDTH = 16, 12, 160, 60
SHOWN_NAME = 26
"""Characters of a bar's name that there is room for: its end, where names of one kind differ."""


@dataclass(frozen=True)
class Series:
    """A line or a colour of bars: points (x, y), and optionally the least and largest y of each x."""

    name: str
    points: Sequence[tuple[float, float]]
    spread: Sequence[tuple[float, float]] = ()
    colour: int | None = None
    """Which colour, if not that of its place among the series."""


@dataclass(frozen=True)
class Bar:
    """One bar of several pieces, each a name and a length, end to end."""

    name: str
    pieces: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Scale:
    """Where values of an axis lie, from 0 to 1, and which of them are marked."""

    label: str
    position: Callable[[float], float]
    ticks: list[tuple[float, str]] = field(default_factory=list)


def linear(label: str, values: Sequence[float]) -> Scale:
    """From zero to a round number above all values."""
    top = max(max(values, default=0.0), 1e-9)
    step = _round_step(top / 5)
    count = math.ceil(top / step - 1e-9)
    end = count * step
    return Scale(label, lambda v: v / end, [(n * step, short(n * step)) for n in range(count + 1)])


def logarithmic(label: str, values: Sequence[float]) -> Scale:
    """From a power of ten below all positive values to one above."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive)) + 1e-9), math.ceil(math.log10(max(positive)) - 1e-9)
    high = max(high, low + 1)
    ticks = [(10.0**n, short(10.0**n)) for n in range(low, high + 1)]
    least = 10.0**low
    return Scale(label, lambda v: (math.log10(max(v, least)) - low) / (high - low), ticks)


def nines(label: str) -> Scale:
    """Percentiles, as much room for each further nine as for the one before, up to 99.99."""
    ticks = [(0.0, "0"), (50.0, "50"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99")]
    return Scale(label, lambda p: min(1.0, -math.log10(max(1 - p / 100, 1e-4)) / 4), ticks)


def short(value: float, digits: int = 4) -> str:
    """A number in few characters: 1500000 is 1.5M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.{digits}g}{unit}"
    return f"{value:.{digits}g}"


def line_chart(title: str, x: Scale, y: Scale, series: Sequence[Series]) -> str:
    """Lines with a dot at each point, a legend below, and the values where the pointer is."""
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + inner_width * x.position(point[0]), TOP + inner_height * (1 - y.position(point[1]))

    parts = [_axes(x, y, inner_width, inner_height)]
    colours = _colours(series)
    for one, number in zip(series, colours, strict=True):
        colour = f"s{number}"
        places = [at(point) for point in one.points]
        path = " ".join(f"{'M' if not n else 'L'}{px:.1f},{py:.1f}" for n, (px, py) in enumerate(places))
        parts.append(f'<path class="line {colour}" d="{path}"/>')
        for (value, _), (low, high) in zip(one.points, one.spread, strict=False):
            (px, top), (_, bottom) = at((value, high)), at((value, low))
            parts.append(f'<path class="spread {colour}" d="M{px:.1f},{top:.1f}L{px:.1f},{bottom:.1f}"/>')
        if len(places) <= 60:
            for point, (px, py) in zip(one.points, places, strict=True):
                tip = f"{one.name}: {x.label} {point[0]:,.6g}, {y.label} {point[1]:,.6g}"
                dot = f'<circle class="{colour}" cx="{px:.1f}" cy="{py:.1f}" r="3">'
                parts.append(f"{dot}<title>{escape(tip)}</title></circle>")
    return _figure(title, WIDTH, HEIGHT, parts, _keys(series, colours))


def bar_chart(title: str, label: str, groups: Sequence[str], series: Sequence[Series]) -> str:
    """Horizontal bars in groups; a point's x is the number of its group. Each group has a scale of its own,
    since what is compared are the bars of one group."""
    inner = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    parts, top = [], float(TOP)
    colours = _colours(series)
    for number, group in enumerate(groups):
        bars = [
            (colour, one.name, y)
            for one, colour in zip(series, colours, strict=True)
            for x, y in one.points
            if int(x) == number
        ]
        largest = max((y for _, _, y in bars), default=0.0) or 1.0
        middle = top + len(bars) * BAR_HEIGHT / 2 + 4
        parts.append(_text("tick", LABEL_WIDTH - 8, middle, group, "end"))
        for colour, name, value in bars:
            width = max(1.0, inner * value / largest)
            tip = escape(f"{name}: {value:,.6g} {label}")
            parts.append(
                f'<rect class="s{colour}" x="{LABEL_WIDTH}" y="{top:.0f}" '
                f'width="{width:.1f}" height="{BAR_HEIGHT - 3}"><title>{tip}</title></rect>'
            )
            parts.append(_text("tick", LABEL_WIDTH + width + 6, top + 11, short(value, 3)))
            top += BAR_HEIGHT
        top += BAR_GAP
    return _figure(f"{title} ({label})", WIDTH, int(top) + 4, parts, _keys(series, colours))


def stacked_chart(title: str, label: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Horizontal bars of pieces, under a heading for each group, all on one scale for a group."""
    inner = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    names = list(dict.fromkeys(name for _, bars in groups for bar in bars for name, _ in bar.pieces))
    parts, top = [], float(TOP)
    for group, bars in groups:
        parts.append(_text("label", 0, top + 11, group))
        top += BAR_HEIGHT + 2
        largest = max((sum(value for _, value in bar.pieces) for bar in bars), default=0.0) or 1.0
        for bar in bars:
            parts.append(_text("tick", LABEL_WIDTH - 8, top + 11, bar.name[-SHOWN_NAME:], "end"))
            left = float(LABEL_WIDTH)
            for name, value in bar.pieces:
                width = inner * value / largest
                tip = escape(f"{bar.name}, {name}: {value:,.6g} {label}")
                parts.append(
                    f'<rect class="s{names.index(name) % COLOURS}" x="{left:.1f}" y="{top:.0f}" '
                    f'width="{width:.1f}" height="{BAR_HEIGHT - 3}"><title>{tip}</title></rect>'
                )
                left += width
            parts.append(_text("tick", left + 6, top + 11, short(sum(value for _, value in bar.pieces), 3)))
            top += BAR_HEIGHT
        top += BAR_GAP
    keys = [(name, number % COLOURS) for number, name in enumerate(names)]
    return _figure(f"{title} ({label})", WIDTH, int(top) + 4, parts, keys)


def _colours(series: Sequence[Series]) -> list[int]:
    return [(n if one.colour is None else one.colour) % COLOURS for n, one in enumerate(series)]


def _keys(series: Sequence[Series], colours: Sequence[int]) -> list[tuple[str, int]]:
    return [(one.name, colour) for one, colour in zip(series, colours, strict=True)]


def _axes(x: Scale, y: Scale, width: int, height: int) -> str:
    parts = []
    for value, text in x.ticks:
        px = LEFT + width * x.position(value)
        parts.append(f'<path class="grid" d="M{px:.1f},{TOP}V{TOP + height}"/>')
        parts.append(_text("tick", px, TOP + height + 16, text, "middle"))
    for value, text in y.ticks:
        py = TOP + height * (1 - y.position(value))
        parts.append(f'<path class="grid" d="M{LEFT},{py:.1f}H{LEFT + width}"/>')
        parts.append(_text("tick", LEFT - 6, py + 4, text, "end"))
    parts.append(_text("label", LEFT + width / 2, HEIGHT - 8, x.label, "middle"))
    parts.append(
        f'<text class="label" transform="translate(14,{TOP + height / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _figure(
    title: str, width: int, height: int, parts: Sequence[str], keys: Sequence[tuple[str, int]]
) -> str:
    square = '<svg width="12" height="12"><rect class="s{}" width="12" height="12"/></svg>'
    legend = "".join(f"<li>{square.format(colour)} {escape(name)}</li>" for name, colour in keys)
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{_text('title', LEFT, 20, title)}{''.join(parts)}</svg>"
        f"<ul>{legend}</ul></figure>"
    )


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
