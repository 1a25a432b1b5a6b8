"""Rates and latencies from two looks at counters."""

from __future__ import annotations

import json
import math

import pytest

from oastfs.cli.stats.gather import Look, Part, parse
from oastfs.cli.stats.rates import rates
from oastfs.cli.stats.show import Screen
from oastfs.namenode.server.metrics import Metrics


def look(*parts: Part) -> Look:
    return Look({(part.kind, part.name): part for part in parts})


def namenode(metrics: Metrics, at: float, name: str = "n1") -> Part:
    from prometheus_client import generate_latest

    return Part("namenode", name, at, parse(generate_latest(metrics.registry).decode()))


def test_calls_of_namenodes_are_added_up() -> None:
    """From real metrics: 300 fast calls and 3 slow ones in 3 s, and an error, on two namenodes."""
    metrics, other = Metrics(), Metrics()
    metrics.gauge("oastfs_hint_paths", "", lambda: metrics.verb("stat").count)
    metrics.gauge("oastfs_hint_paths_known", "", lambda: metrics.verb("stat").count / 4)
    metrics.verb("stat").observe(10**9)  # before the first look
    before = look(namenode(metrics, 10.0), namenode(other, 10.0, "n2"))
    for _ in range(300):
        metrics.verb("stat").observe(100_000)
    for _ in range(3):
        other.verb("stat").observe(40_000_000)
    other.verb("mkdirs").observe_error(2_000_000, "AlreadyExists")
    found = rates(before, look(namenode(metrics, 13.0), namenode(other, 13.0, "n2")))
    stat, mkdirs = found.operations
    assert (stat.kind, mkdirs.kind) == ("stat", "mkdirs")
    assert stat.per_second == pytest.approx(101)
    assert stat.mean_ms == pytest.approx((300 * 0.1 + 3 * 40) / 303)
    assert 0.1 <= stat.p99_ms <= 0.14, "303 calls: the 300th is a fast one"
    assert mkdirs.errors_per_second == pytest.approx(1 / 3)
    assert mkdirs.p99_ms == pytest.approx(2.097152)
    first, second = found.parts
    assert first.per_second == pytest.approx(100)
    assert first.figures["cache_hits"] == pytest.approx(0.25)
    assert math.isnan(second.figures["cache_hits"])
    assert second.mean_ms == pytest.approx((3 * 40 + 2) / 4)
    assert found.seconds == 3.0


def test_datanodes_and_mounts() -> None:
    def datanode(at: float, read: float, written: float) -> Part:
        text = (
            f"# TYPE oastfs_datanode_bytes_read counter\noastfs_datanode_bytes_read_total {read}\n"
            f"# TYPE oastfs_datanode_bytes_written counter\noastfs_datanode_bytes_written_total {written}\n"
            "# TYPE oastfs_datanode_replicas gauge\noastfs_datanode_replicas 7\n"
        )
        return Part("datanode", "d", at, parse(text))

    def mount(at: float, count: int, timed: int, seconds: float) -> Part:
        figures = {"lookup": {"count": count, "timed": timed, "seconds": seconds}}
        return Part("mount", "/mnt", at, operations=figures)

    found = rates(
        look(datanode(1, 0, 50), mount(1, 5, 0, 0)), look(datanode(3, 4096, 50), mount(3, 25, 10, 0.002))
    )
    datanodes, mounts = found.parts
    assert datanodes.figures["read_bytes_per_second"] == 2048
    assert datanodes.figures["written_bytes_per_second"] == 0
    assert datanodes.figures["replicas"] == 7
    assert mounts.per_second == 10
    (lookup,) = found.mount_operations
    assert lookup.per_second == 10
    assert lookup.mean_ms == pytest.approx(0.2)
    assert found.operations == []


def test_parts_that_come_go_begin_anew_or_do_not_answer() -> None:
    metrics = Metrics()
    metrics.verb("stat").observe(1000)
    full, empty = namenode(metrics, 1.0), namenode(Metrics(), 2.0)
    restarted = rates(look(full), look(empty))
    assert restarted.operations == []
    assert restarted.parts[0].per_second == 0
    assert rates(look(), look(full)).parts[0].amiss == "just begun"
    silent = Part("namenode", "n1", 2.0, amiss="refused")
    assert rates(look(full), look(silent)).parts[0].amiss == "refused"
    assert rates(look(silent), look(full)).parts[0].amiss == "just begun"
    assert rates(look(full), look()).parts == []


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics()
    before = look(namenode(metrics, 1.0), Part("datanode", "d", 1.0, amiss="gone"))
    metrics.verb("stat").observe(100_000)
    found = rates(before, look(namenode(metrics, 2.0), Part("datanode", "d", 2.0, amiss="gone")))
    with Screen("oastfs://h:1", as_json=False) as screen:
        screen.show(found)
    text = capsys.readouterr().out
    assert "oastfs://h:1" in text
    assert "stat" in text
    assert "datanode d: gone" in text
    with Screen("oastfs://h:1", as_json=True) as screen:
        screen.show(found)
    record = json.loads(capsys.readouterr().out)
    assert record["operations"][0]["kind"] == "stat"
    assert record["parts"][0]["figures"]["cache_hits"] is None
    assert record["parts"][1] == {
        "kind": "datanode", "name": "d", "per_second": None, "mean_ms": None, "figures": {}, "amiss": "gone",
    }  # fmt: skip
