"""Results on their way into tables, JSON and the page: nothing that was measured is lost or changed."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from oastfs.bench import plots, svg, table
from oastfs.bench.histogram import Histogram
from oastfs.bench.html import page
from oastfs.bench.processes import ProcessUse, Usage
from oastfs.bench.results import Result, from_document, to_document
from oastfs.core.errors import InvalidArgument


def result(
    target: str = "oastfs://a:1", workload: str = "stat", amount: int = 1000, **more: object
) -> Result:
    histogram = Histogram()
    for number in range(min(amount, 10_000)):
        histogram.record(50_000 + number * 100)
    usage = Usage(
        [ProcessUse("namenode", 11, 0.05, 40 << 20), ProcessUse("namenode", 12, 0.03, 41 << 20)],
        2000,
        9_000_000,
        1_500_000,
    )
    usage.add_callers(0.08, 70 << 20)
    made = Result(workload, workload, target, 4, 2, "operations", amount, 0.5, {workload: histogram}, usage)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_figures_of_one_result() -> None:
    one = result()
    assert one.rate == 2000
    assert one.cpu_us_each() == pytest.approx({"namenode": 80.0, "callers": 80.0})
    assert one.trips_each() == 2.0
    assert one.memory_bytes()["namenode"] == 81 << 20


def test_json_keeps_all_that_was_measured() -> None:
    one = result(axes={"inodes": 1000.0}, errors={"TimedOut": 3}, unserved=2, rate_wanted=100.0)
    one.timeline = [(0.25, 500), (0.5, 1000)]
    one.usage.disks = {"/srv": 4096}
    document = json.loads(json.dumps(to_document([one])))
    (back,) = from_document(document)
    assert back.latency.to_json() == one.latency.to_json()
    assert back.usage == one.usage
    assert (back.axes, back.errors, back.unserved, back.timeline) == (one.axes, one.errors, 2, one.timeline)
    assert table.rows([back]) == table.rows([one])
    figures = document["results"][0]
    assert figures["rate_per_second"] == 2000
    assert figures["latency_us"]["p50"] == pytest.approx(100, rel=0.01)
    assert {"p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"} == figures["latency_us"].keys()
    machine = document["machine"]
    assert machine["cores"] > 0
    assert machine["memory_bytes"] > 1 << 20
    assert machine["packages"]["lmdb"]


def test_a_byte_has_its_share_of_cpu_time() -> None:
    one = result(unit="bytes", amount=10**9)
    assert to_document([one])["results"][0]["cpu_us_each"]["namenode"] == pytest.approx(0.08 * 1e6 / 1e9)


def test_other_json_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        from_document({"machine": {}, "results": []})


def test_rows_say_what_was_measured() -> None:
    (row,) = table.rows([result()])
    cells = dict(zip(table.HEADERS, row, strict=True))
    assert cells["rate/s"] == "2,000"
    assert cells["trips"] == "2.00"
    assert cells["disk MB"] == "+1.5"
    assert cells["CPU us each (memory MB)"] == "callers 80.0 (73), namenode 80.0 (85)"
    streamed = result(unit="bytes", amount=10**9)
    assert "namenode 0.08 s/GB" in table.cpu_text(streamed)
    assert table.rate_text(streamed) == "2,000 MB"


def test_remarks() -> None:
    assert table.remarks([result()]) == []
    late = Histogram()
    late.record(5_000_000)
    texts = table.remarks([result(unserved=7, errors={"TimedOut": 3}, late=late, rate_wanted=10.0)])
    assert [
        word for word in ("given up", "late itself", "3 TimedOut") if any(word in text for text in texts)
    ] == [
        "given up",
        "late itself",
        "3 TimedOut",
    ]


class Reader(HTMLParser):
    """Collects the text of a page, and everything that it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.loads: list[str] = []
        self.cells: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append(tag)
        self.loads += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._tag in ("td", "th"):
            self.cells.append(data)


def test_the_page_holds_every_figure_and_loads_nothing() -> None:
    results = [result(), result("lmdb:///srv/<x>", amount=4000), result(workload="spotify", kinds={})]
    for name in ("read", "create"):
        results[2].kinds[name] = result().latency
    html = page([to_document(results)], "A & B")
    reader = Reader()
    reader.feed(html)
    assert reader.loads == []
    assert "url(" not in html and "@import" not in html
    for row in [*table.rows(results), *table.kind_rows(results)]:
        for cell in filter(None, row):
            assert cell in reader.cells, f"{cell!r} of {row} is not on the page"
    text = " ".join(reader.text)
    assert "A & B" in text
    assert "Latency: stat" in text
    assert "lmdb:///srv/<x>" in text
    assert "Rate by workload" in text
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_repeated_runs_are_medians() -> None:
    runs = [result(amount=amount) for amount in (1000, 9000, 2000)]
    ((place, rate),) = plots._medians(runs, ["stat"], "oastfs://a:1")
    assert (place, rate) == (0.0, 4000)


def test_series_become_lines() -> None:
    runs = [
        result(amount=amount, axes={"inodes": inodes})
        for inodes, amount in ((10.0**4, 1000), (10.0**6, 800), (10.0**6, 600))
    ]
    (drawing,) = plots.scale_curves(runs)
    assert "Rate against inodes" in drawing
    assert drawing.count("<circle") == 2, "a point for each place"
    assert drawing.count('class="spread') == 2
    loads = [result(axes={"arrivals": rate}) for rate in (100.0, 200.0)]
    (drawing,) = plots.arrival_curves(loads)
    assert drawing.count("<circle") == 6, "three percentiles at two rates"
    assert plots.scale_curves(loads) == []


def test_curves_leave_out_percentiles_of_less_than_one_operation() -> None:
    points = dict(plots._curve(result(amount=100).latency))
    assert 99.0 in points and 99.9 not in points


def test_scales() -> None:
    scale = svg.linear("x", [0, 730])
    assert scale.position(0) == 0
    assert scale.position(730) <= 1
    assert [text for _, text in scale.ticks] == ["0", "200", "400", "600", "800"]
    scale = svg.logarithmic("x", [3, 20_000])
    assert (scale.position(1), scale.position(100_000)) == (0, 1)
    scale = svg.nines("p")
    assert scale.position(90) == pytest.approx(0.25)
    assert scale.position(99.9) == pytest.approx(0.75)
    assert scale.position(100) == 1
    assert (svg.short(1_500_000), svg.short(20_000), svg.short(0.5)) == ("1.5M", "20k", "0.5")
    svg.logarithmic("x", [])  # nothing to show is no error
    svg.linear("x", [])
