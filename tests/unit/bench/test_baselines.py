"""Kept figures of benchmarks: what is kept, and that slower code is told from a slower machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import baselines
from bench.calibration import KINDS, Yardsticks

KEPT = sorted((Path(__file__).parents[3] / "bench" / "baselines").glob("*.json"))


def benchmark(name: str, kind: str, seconds: float, yardstick_us: float, **more: Any) -> dict[str, Any]:
    stats = dict.fromkeys(baselines._STATS, seconds) | {"data": [seconds] * 100}
    info = {"bound_by": kind, "yardsticks_us": dict.fromkeys(KINDS, 1.0) | {kind: yardstick_us}, **more}
    return {
        "fullname": f"bench/test_x.py::{name}",
        "name": name,
        "group": None,
        "extra_info": info,
        "stats": stats,
    }


def document(*benchmarks: dict[str, Any], brand: str = "one", node: str = "secret") -> dict[str, Any]:
    return {
        "machine_info": {"node": node, "python_version": "3.11", "cpu": {"brand_raw": brand, "count": 2}},
        "commit_info": {"id": "abc", "time": "now", "dirty": False, "branch": "main"},
        "version": "5",
        "datetime": "now",
        "benchmarks": list(benchmarks),
    }


def test_what_is_kept_compares_but_names_no_host_and_has_no_raw_times() -> None:
    full = document(benchmark("a", "processor", 0.2, 10.0))
    kept = baselines.prune(full)
    assert "secret" not in json.dumps(kept) and "data" not in kept["benchmarks"][0]["stats"]
    (one,) = baselines.compare(kept, full)
    assert one.ratio == 1
    assert baselines.same_machine(kept, full)
    assert not baselines.same_machine(kept, document(brand="another"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_slower_machine_is_not_slower_code(kind: str) -> None:
    kept = document(benchmark("a", kind, 0.2, 10.0), benchmark("b", kind, 0.1, 10.0))
    new = document(benchmark("a", kind, 0.6, 30.0), benchmark("b", kind, 0.6, 30.0))
    compared = baselines.compare(kept, new)
    assert [one.machine_ratio for one in compared] == [3.0, 3.0]
    assert [one.ratio for one in compared] == pytest.approx([1.0, 2.0])


def test_a_burst_of_the_disk_is_not_the_machine() -> None:
    """What waits is compared by the whole run's yardstick, work by that of its own moment."""
    kept = document(*(benchmark(name, "sync", 0.1, 300.0) for name in "abc"))
    new = document(
        *(benchmark(name, "sync", 0.1, us) for name, us in zip("abc", (9000.0, 300.0, 310.0), strict=True))
    )
    assert [one.machine_ratio for one in baselines.compare(kept, new)] == [310 / 300] * 3


def test_a_yardstick_that_was_disturbed_makes_nothing_slower() -> None:
    kept = document(benchmark("a", "wakeup", 0.2, 100.0))
    (one,) = baselines.compare(kept, document(benchmark("a", "wakeup", 0.2, 40.0)))
    assert one.ratio == pytest.approx(2.5)
    assert one.surely(same=True) == pytest.approx(1.0)
    assert one.surely(same=False) == pytest.approx(2.5)


def test_what_is_measured_again_counts_if_it_was_better() -> None:
    kept = document(*(benchmark(name, "processor", 0.1, 10.0) for name in "abc"))
    first = baselines.compare(kept, document(*(benchmark(name, "processor", 0.3, 10.0) for name in "abc")))
    second = document(benchmark("a", "processor", 0.1, 10.0), benchmark("b", "processor", 0.4, 10.0))
    ratios = [one.ratio for one in baselines.better(first, baselines.compare(kept, second))]
    assert ratios == pytest.approx([1.0, 3.0, 3.0])


@pytest.mark.parametrize(("load", "told"), [(0.5, False), (8.0, True)])
def test_a_busy_machine_is_told(tmp_path: Path, load: float, told: bool) -> None:
    one = document(benchmark("a", "processor", 0.1, 10.0, waiting_per_core=load))
    (tmp_path / "one.json").write_text(json.dumps(one))
    arguments = ["compare", str(tmp_path / "one.json"), str(tmp_path / "one.json")]
    done = CliRunner().invoke(baselines.main, arguments)
    assert done.exit_code == 0, done.output
    assert ("busy with other work" in done.output) is told


def test_figures_are_added_to_those_that_are_kept() -> None:
    kept = document(benchmark("a", "sync", 0.1, 10.0), benchmark("b", "sync", 0.1, 10.0))
    new = document(benchmark("b", "sync", 0.2, 10.0), benchmark("c", "sync", 0.3, 10.0))
    together = baselines.merged(kept, new)["benchmarks"]
    assert [(one["name"], one["stats"]["median"]) for one in together] == [("a", 0.1), ("b", 0.2), ("c", 0.3)]


def test_loads_of_a_fixed_time_are_compared_by_their_calls() -> None:
    kept = document(benchmark("a", "wakeup", 3.0, 10.0, calls_per_second=1000.0))
    new = document(benchmark("a", "wakeup", 3.0, 10.0, calls_per_second=500.0))
    assert baselines.compare(kept, new)[0].ratio == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("brand", "options", "fails"),
    [("one", [], True), ("another", [], False), ("another", ["--limit", "50"], True)],
)
def test_the_command(tmp_path: Path, brand: str, options: list[str], fails: bool) -> None:
    files = {
        "kept": document(benchmark("a", "memory", 0.2, 10.0), benchmark("gone", "memory", 1, 1)),
        "new": document(benchmark("a", "memory", 0.36, 10.0), benchmark("more", "memory", 1, 1), brand=brand),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    arguments = ["compare", str(tmp_path / "kept"), str(tmp_path / "new"), *options]
    done = CliRunner().invoke(baselines.main, arguments)
    assert done.exit_code == (1 if fails else 0), done.output
    assert "test_x.py::a" in done.output and "1.80" in done.output
    assert "No kept figures of bench/test_x.py::more" in done.output


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_the_kept_files_are_pruned(path: Path) -> None:
    kept = json.loads(path.read_text())
    assert baselines.prune(kept) == kept
    assert len(baselines.compare(kept, kept)) == len(kept["benchmarks"]) > 20


def test_yardsticks(tmp_path: Path) -> None:
    measuring = Yardsticks(tmp_path)
    try:
        measured = measuring.measure_us()
    finally:
        measuring.close()
    assert measured.keys() == set(KINDS)
    assert all(value > 0 for value in measured.values())
