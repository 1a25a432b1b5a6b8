"""Pauses on their way into the table, JSON and the page, alone and beside rates."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from oastfs.bench import failover_report, results
from oastfs.bench.failover import Options, Result
from oastfs.bench.histogram import Histogram
from oastfs.bench.html import page
from oastfs.bench.processes import Usage
from oastfs.core.errors import InvalidArgument


def runs() -> list[Result]:
    return [
        Result(Options(("lmdb:///srv/x",), "oastfs", 3, 2), 1200, [], 0.002, [0.056, 0.058]),
        Result(Options(("lmdb:///srv/x",), "java", 3, 2), 900, ["OSError: <gone>"], 0.005, [1.9, 0.15]),
    ]


def kept(document: dict[str, object]) -> dict[str, object]:
    """As it is after a file."""
    read: dict[str, object] = json.loads(json.dumps(document))
    return read


def rates() -> dict[str, object]:
    histogram = Histogram()
    histogram.record(50_000)
    one = results.Result(
        "stat", "stat", "oastfs://a:1", 1, 1, "operations", 1, 0.5, {"stat": histogram}, Usage()
    )
    return kept(results.to_document([one]))


def test_json_keeps_all_that_was_measured_but_the_address_of_the_store() -> None:
    document = kept(failover_report.to_document(runs()))
    assert failover_report.is_document(document)
    back = failover_report.from_document(document)
    assert failover_report.rows(back) == failover_report.rows(runs())
    assert failover_report.settings(back) == failover_report.settings(runs())
    assert [one.failures for one in back] == [[], ["OSError: <gone>"]]
    assert "srv/x" not in json.dumps(document["results"])


def test_other_documents_are_told_apart() -> None:
    assert not failover_report.is_document(rates())
    assert not failover_report.is_document({"results": []})
    with pytest.raises(InvalidArgument, match="failover"):
        results.from_document(kept(failover_report.to_document(runs())))


@pytest.mark.parametrize("beside_rates", [False, True])
def test_the_page_shows_each_pause(beside_rates: bool) -> None:
    documents = [kept(failover_report.to_document(runs()))] + ([rates()] if beside_rates else [])
    html = page(documents)
    for row in failover_report.rows(runs()):
        for cell in row:
            assert f"<td>{cell}</td>" in html
    for tip in ("oastfs: kill 2, pause, ms 58", "java: kill 1, pause, ms 1,900", "longest pause: 1,900 ms"):
        assert f"<title>{tip}" in html, tip
    assert "OSError: &lt;gone&gt;" in html
    assert ("Latency curves" in html or "All results" in html) == beside_rates
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_repeated_runs_of_a_client_are_one_line() -> None:
    line, bars = failover_report.figures([*runs(), *runs()])
    assert line.count('<path class="line') == 2
    assert "oastfs: kill 4, pause, ms 58" in line
    assert bars.count("longest pause: ") == 2
