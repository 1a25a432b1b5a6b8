"""Figures of benchmarks that are kept to compare with: pruning them, and comparing new ones.

    python -m bench.baselines save NEW KEPT [--add]
    python -m bench.baselines compare KEPT NEW [--limit PERCENT] [--again]

A kept file is pytest-benchmark's JSON without its raw times. Every benchmark has the machine's yardsticks
of its own moment (``calibration.py``) and says which of them bounds it. What is compared is how often a
benchmark's time holds its yardstick: on the same machine that takes out what else was going on there, and
on another one it is the only comparison there is. A benchmark is slower by how much that multiple has grown.

A yardstick may have been disturbed as well as a benchmark: to wake another process takes a third of the
time on a machine that happens to be awake. So on the same kind of machine only that counts as slower which is
so by the plain times, too. What seems slower is measured once more (``--again``), and counts if it is so both
times.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.calibration import FASTEST_COUNTS

BUSY_PER_CORE = 2.0
"""With so many threads waiting for each core the benchmarks are not alone: theirs are hardly ever more."""
LIMIT_PERCENT, LIMIT_ELSEWHERE_PERCENT = 50.0, 100.0
"""How much slower than the kept figures is a failure: on the same machine, and on another."""
_STATS = ("min", "max", "mean", "median", "stddev", "iqr", "rounds", "iterations", "ops")
_MACHINE = ("machine", "processor", "release", "system", "python_version", "python_implementation")
_CPU = ("brand_raw", "count", "arch", "l2_cache_size", "l3_cache_size")


def prune(document: dict[str, Any]) -> dict[str, Any]:
    """What compares: statistics, yardsticks and the machine; no raw times, names of hosts or paths."""
    machine = document["machine_info"]
    cpu = {name: machine["cpu"][name] for name in _CPU if name in machine.get("cpu", {})}
    return {
        "machine_info": {**{name: machine.get(name) for name in _MACHINE}, "cpu": cpu},
        "commit_info": {name: document["commit_info"].get(name) for name in ("id", "time", "dirty")},
        "version": document["version"],
        "datetime": document["datetime"],
        "benchmarks": [
            {
                "fullname": one["fullname"],
                "name": one["name"],
                "group": one["group"],
                "extra_info": one["extra_info"],
                "stats": {name: one["stats"][name] for name in _STATS},
            }
            for one in document["benchmarks"]
        ],
    }


def same_machine(kept: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two documents are of machines of one kind: processor, cores, Python."""

    def of(document: dict[str, Any]) -> list[Any]:
        machine = document["machine_info"]
        cpu = machine.get("cpu", {})
        return [cpu.get("brand_raw"), cpu.get("count"), *(machine.get(name) for name in _MACHINE[-2:])]

    return of(kept) == of(new)


@dataclass(frozen=True)
class Comparison:
    """One benchmark in two documents; seconds of a round, or of one of many calls at once."""

    name: str
    bound_by: str
    kept_seconds: float
    new_seconds: float
    machine_ratio: float
    """New over kept of the yardstick: above 1 where the machine is slower now."""

    @property
    def ratio(self) -> float:
        """New over kept, the machine's part taken out: above 1 where the code is slower."""
        return self.new_seconds / self.kept_seconds / self.machine_ratio

    def surely(self, same: bool) -> float:
        """By how much it is slower at least; ``same``: the two are of machines of one kind."""
        return min(self.ratio, self.new_seconds / self.kept_seconds) if same else self.ratio


def compare(kept: dict[str, Any], new: dict[str, Any]) -> list[Comparison]:
    """All benchmarks that both documents have, in the order of the new one."""
    before = {one["fullname"]: one for one in kept["benchmarks"]}
    found = []
    for one in new["benchmarks"]:
        if (old := before.get(one["fullname"])) is None:
            continue
        kind = one["extra_info"]["bound_by"]
        yardsticks = [_yardstick_us(document, each) for document, each in ((kept, old), (new, one))]
        machine_ratio = yardsticks[1] / yardsticks[0]
        found.append(Comparison(one["fullname"], kind, _seconds(old), _seconds(one), machine_ratio))
    return found


def _yardstick_us(document: dict[str, Any], one: dict[str, Any]) -> float:
    """Of the benchmark's own moment; of what waits, the median of its file, as disks have bursts."""
    kind, file = one["extra_info"]["bound_by"], _file_of(one)
    if kind in FASTEST_COUNTS:
        return float(one["extra_info"]["yardsticks_us"][kind])
    beside = [each for each in document["benchmarks"] if _file_of(each) == file]
    return statistics.median(float(each["extra_info"]["yardsticks_us"][kind]) for each in beside)


def _file_of(one: dict[str, Any]) -> str:
    return str(one["fullname"]).partition("::")[0]


def _seconds(one: dict[str, Any]) -> float:
    # A load of a fixed time always takes that time: it says itself what it did.
    per_second = one["extra_info"].get("calls_per_second")
    if per_second:
        return 1 / float(per_second)
    statistic = "min" if one["extra_info"]["bound_by"] in FASTEST_COUNTS else "median"
    return float(one["stats"][statistic])


def better(first: Sequence[Comparison], second: Sequence[Comparison]) -> list[Comparison]:
    """Of benchmarks that were measured again, the better time of two."""
    again = {one.name: one for one in second}
    return [min(one, again.get(one.name, one), key=lambda each: each.ratio) for one in first]


def merged(kept: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Kept figures, with those of a new document in the place of theirs or behind them."""
    fresh = {one["fullname"]: one for one in new["benchmarks"]}
    together = [fresh.pop(one["fullname"], one) for one in kept["benchmarks"]]
    return {**kept, "benchmarks": [*together, *fresh.values()]}


def rows(comparisons: Sequence[Comparison], limit: float, same: bool) -> list[list[str]]:
    """Lines of a table: the slowest last, where one looks."""
    return [
        [
            one.name.removeprefix("bench/"),
            one.bound_by,
            f"{1000 * one.kept_seconds:.3f}",
            f"{1000 * one.new_seconds:.3f}",
            f"{one.new_seconds / one.kept_seconds:.2f}",
            f"{one.machine_ratio:.2f}",
            f"{one.ratio:.2f}{' slower' if one.surely(same) > limit else ''}",
        ]
        for one in sorted(comparisons, key=lambda one: one.ratio)
    ]


HEADERS = ("benchmark", "bound by", "kept ms", "now ms", "ratio", "machine", "ratio without the machine's")


@click.group()
def main() -> None:
    """Kept figures of benchmarks."""


@main.command("save")
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("kept", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--add", is_flag=True, help="Keep what KEPT has and NEW lacks.")
def save_command(new: Path, kept: Path, add: bool) -> None:
    """Keep what compares of the document NEW as KEPT."""
    document = prune(json.loads(new.read_text()))
    if add:
        document = merged(json.loads(kept.read_text()), document)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    click.echo(f"{kept}: {len(document['benchmarks'])} benchmarks")


@main.command("compare")
@click.argument("kept", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--limit", "limit_percent", type=float, help="How much slower fails (50, elsewhere 100).")
@click.option("--again", is_flag=True, help="Measure once more what seems slower.")
def compare_command(kept: Path, new: Path, limit_percent: float | None, again: bool) -> None:
    """Compare the document NEW with KEPT; fails if a benchmark is slower by more than the limit."""
    old, now = json.loads(kept.read_text()), json.loads(new.read_text())
    same = same_machine(old, now)
    if limit_percent is None:
        limit_percent = LIMIT_PERCENT if same else LIMIT_ELSEWHERE_PERCENT
    limit = 1 + limit_percent / 100
    comparisons = compare(old, now)
    if not comparisons:
        raise click.ClickException("the two have no benchmark in common")
    slower = [one.name for one in comparisons if one.surely(same) > limit]
    if slower and again:
        comparisons = better(comparisons, compare(old, _measured_again(slower)))
        slower = [one.name for one in comparisons if one.surely(same) > limit]
    _show(comparisons, limit, same)
    missing = {one["fullname"] for one in now["benchmarks"]} - {one.name for one in comparisons}
    for name in sorted(missing):
        click.echo(f"No kept figures of {name}")
    if (load := _load(now)) > BUSY_PER_CORE:
        click.echo(f"The machine was busy with other work (load {load:.1f} for each core): measure again.")
    if slower:
        raise click.ClickException(f"{len(slower)} slower by more than {limit_percent:g} %")


def _measured_again(names: Sequence[str]) -> dict[str, Any]:
    """Run these benchmarks alone; what came out."""
    click.echo(f"{len(names)} seem slower: measuring them again")
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "again.json"
        command = [sys.executable, "-m", "pytest", *names, "-q", "--benchmark-only", "--timeout", "1800"]
        subprocess.run([*command, f"--benchmark-json={results}"], check=True, stdout=subprocess.DEVNULL)
        document: dict[str, Any] = json.loads(results.read_text())
        return document


def _load(document: dict[str, Any]) -> float:
    """How many threads ran or waited for each core, typically; 0 if it was not noted."""
    noted = (one["extra_info"].get("waiting_per_core", 0.0) for one in document["benchmarks"])
    return statistics.median(float(each) for each in noted)


def _show(comparisons: Sequence[Comparison], limit: float, same: bool) -> None:
    lines = [list(HEADERS), *rows(comparisons, limit, same)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADERS))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    middle = statistics.median(one.ratio for one in comparisons)
    where = "a machine of the same kind" if same else "another kind of machine: read ratios with care"
    click.echo(f"\nKept on {where}. {len(comparisons)} compared, median ratio {middle:.2f}.")


if __name__ == "__main__":
    main()
