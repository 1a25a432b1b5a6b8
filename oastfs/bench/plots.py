"""Which plots a set of results makes: each function takes results and gives SVG, or nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from oastfs.bench import svg
from oastfs.bench.histogram import Histogram
from oastfs.bench.results import Result
from oastfs.bench.svg import Scale, Series

CURVE_PERCENTILES = (*range(0, 90, 5), 90, 92.5, 95, 97, 98, 99, 99.5, 99.7, 99.8, 99.9, 99.95, 99.97, 99.99)
ARRIVALS = "arrivals"
SERVER_AXES = ("callers", "namenodes", "shards")


def unique(items: Iterable[str]) -> list[str]:
    """Each once, in order of their first."""
    return list(dict.fromkeys(items))


def _colours(results: Sequence[Result]) -> dict[str, int]:
    """A colour for each target, the same in all plots of these results."""
    return {target: number for number, target in enumerate(unique(result.target for result in results))}


def comparison(results: Sequence[Result]) -> list[str]:
    """Rates of each workload beside each other, by target: medians over repeated runs."""
    chosen = [result for result in results if not result.axes]
    colours = _colours(results)
    found = []
    for unit in unique(result.unit for result in chosen):
        same = [result for result in chosen if result.unit == unit]
        titles = unique(result.title for result in same)
        series = [
            Series(target, _medians(same, titles, target), colour=colours[target])
            for target in unique(result.target for result in same)
        ]
        found.append(svg.bar_chart("Rate by workload", f"{unit}/s", titles, series))
    return found


def _medians(results: Sequence[Result], titles: Sequence[str], target: str) -> list[tuple[float, float]]:
    points = []
    for number, title in enumerate(titles):
        rates = [result.rate for result in results if (result.title, result.target) == (title, target)]
        if rates:
            points.append((float(number), statistics.median(rates)))
    return points


def cpu_comparison(results: Sequence[Result]) -> list[str]:
    """CPU of each operation, the callers' included, by target and part: medians over repeated runs."""
    chosen = [result for result in results if not result.axes and result.unit != "bytes"]
    groups = []
    for title in unique(result.title for result in chosen):
        same = [result for result in chosen if result.title == title]
        bars = []
        for target in unique(result.target for result in same):
            runs = [result.cpu_us_each() for result in same if result.target == target]
            parts = unique(part for run in runs for part in sorted(run))
            pieces = [(part, statistics.median(run.get(part, 0.0) for run in runs)) for part in parts]
            bars.append(svg.Bar(target, pieces))
        groups.append((title, bars))
    return [svg.stacked_chart("CPU of one operation, by process", "us", groups)] if groups else []


def latency_curves(results: Sequence[Result]) -> list[str]:
    """Latency by percentile, a plot for each workload, a line for each target; repeated runs together."""
    found, colours = [], _colours(results)
    for title in unique(_curve_title(result) for result in results):
        same = [result for result in results if _curve_title(result) == title]
        series = []
        for target in unique(result.target for result in same):
            histogram = Histogram()
            for result in same:
                if result.target == target:
                    histogram.add(result.latency)
            if histogram.count >= 20:
                series.append(Series(target, _curve(histogram), colour=colours[target]))
        if series:
            y = svg.logarithmic("latency, us", [y for one in series for _, y in one.points])
            found.append(svg.line_chart(f"Latency: {title}", svg.nines("percentile"), y, series))
    return found


def _curve_title(result: Result) -> str:
    return " ".join([result.title, *(f"{axis} {value:,.10g}" for axis, value in result.axes.items())])


def _curve(histogram: Histogram) -> list[tuple[float, float]]:
    # Percentiles that fewer operations than one decide are left out.
    shown = tuple(p for p in CURVE_PERCENTILES if (1 - p / 100) * histogram.count >= 1)
    return [
        (float(percent), value / 1000)
        for percent, value in zip(shown, histogram.percentiles(tuple(map(float, shown))), strict=True)
    ]


def scale_curves(results: Sequence[Result]) -> list[str]:
    """Rate against each axis of a series, a line for each workload and target."""
    found = []
    axes = unique(axis for result in results for axis in result.axes if axis != ARRIVALS)
    for axis in axes:
        on_axis = [result for result in results if axis in result.axes]
        for unit in unique(result.unit for result in on_axis):
            same = [result for result in on_axis if result.unit == unit]
            series = _lines(same, axis, lambda result: result.rate)
            x = _axis_scale(axis, [result.axes[axis] for result in same])
            rates = [y for one in series for _, y in one.points]
            # What servers add is a share, to be seen from zero; sizes change rates by magnitudes.
            y = (svg.linear if axis in SERVER_AXES else svg.logarithmic)(f"{unit}/s", rates)
            found.append(svg.line_chart(f"Rate against {axis}", x, y, series))
    return found


def arrival_curves(results: Sequence[Result]) -> list[str]:
    """Latency against arrivals a second, at three percentiles."""
    chosen = [result for result in results if ARRIVALS in result.axes]
    found = []
    for title in unique(result.title for result in chosen):
        same = [result for result in chosen if result.title == title]
        series = [
            Series(f"{one.name} p{percent:g}", one.points)
            for percent in (50, 99, 99.9)
            for one in _lines(same, ARRIVALS, lambda result, p=percent: result.latency.percentile(p) / 1000)  # type: ignore[misc]
        ]
        x = svg.linear("arrivals/s", [result.axes[ARRIVALS] for result in same])
        y = svg.logarithmic("latency, us", [y for one in series for _, y in one.points])
        found.append(svg.line_chart(f"Latency of {title} against load", x, y, series))
    return found


def timelines(results: Sequence[Result]) -> list[str]:
    """Rate over time, of runs that took long enough to tell."""
    found, colours = [], _colours(results)
    chosen = [result for result in results if result.seconds >= 2 and len(result.timeline) >= 6]
    for title in unique(_curve_title(result) for result in chosen):
        same = [result for result in chosen if _curve_title(result) == title]
        series = []
        for target in unique(result.target for result in same):
            result = next(one for one in same if one.target == target)
            series.append(Series(target, _rates(result.timeline), colour=colours[target]))
        x = svg.linear("seconds", [x for one in series for x, _ in one.points])
        y = svg.linear(f"{same[0].unit}/s", [y for one in series for _, y in one.points])
        found.append(svg.line_chart(f"Rate over time: {title}", x, y, series))
    return found


def _rates(timeline: Sequence[tuple[float, int]]) -> list[tuple[float, float]]:
    """(seconds, rate) between samples that are far enough apart to tell."""
    points, (last_seconds, last_amount) = [], (0.0, 0)
    for seconds, amount in timeline:
        if seconds - last_seconds >= 0.2:
            points.append((seconds, (amount - last_amount) / (seconds - last_seconds)))
            last_seconds, last_amount = seconds, amount
    return points


def _lines(results: Sequence[Result], axis: str, figure: Callable[[Result], float]) -> list[Series]:
    """A line for each workload and target: medians of repeated runs, with their spread."""
    several = len(unique(result.title for result in results)) > 1
    found = []
    for title, target in dict.fromkeys((result.title, result.target) for result in results):
        by_place: dict[float, list[float]] = {}
        for result in results:
            if (result.title, result.target) == (title, target):
                by_place.setdefault(result.axes[axis], []).append(figure(result))
        places = sorted(by_place)
        found.append(
            Series(
                f"{title}, {target}" if several else target,
                [(place, statistics.median(by_place[place])) for place in places],
                [(min(by_place[place]), max(by_place[place])) for place in places],
            )
        )
    return found


def _axis_scale(axis: str, values: Sequence[float]) -> Scale:
    """Few and near values on a linear axis, others by powers of ten."""
    return svg.linear(axis, values) if max(values) <= 100 else svg.logarithmic(axis, values)
