"""``oastfs bench plan``: how large a system has to be for a load, from what was measured on this one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from oastfs.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from oastfs.bench.capacity import Check, Plan
    from oastfs.bench.results import Result

_FACTORS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}


def rate_number(text: str) -> float:
    """A number with k, M or G behind it. Raises ValueError, which click reports."""
    return float(text[:-1]) * _FACTORS[text[-1]] if text[-1:] in _FACTORS else float(text)


@click.command("plan")
@click.argument(
    "files", nargs=-1, required=True, metavar="RESULTS...", type=click.Path(exists=True, dir_okay=False)
)
@click.option(
    "--rate", "rates", type=rate_number, multiple=True, required=True, help="Operations a second: 50k, 1.2M."
)
@click.option("--workload", default="spotify", show_default=True, help="Whose operations.")
@click.option("--target", help="The target whose runs count, if there are several.")
@click.option("--utilisation", default=0.7, show_default=True, help="How busy cores may be.")
@click.option(
    "--shard-cores", default=16, show_default=True, type=click.IntRange(1), help="Of a database server."
)
@json_option
def plan_command(
    files: tuple[str, ...],
    rates: tuple[float, ...],
    workload: str,
    target: str | None,
    utilisation: float,
    shard_cores: int,
    as_json: bool,
) -> None:
    """How many namenodes, database servers and cores a load needs.

    RESULTS are files of `oastfs bench … --out`, with runs through namenodes of the machine that measured: of
    the workload or, for spotify, of all single operations. If there are several, each is predicted from the
    others, to show how far the model can be believed.
    """
    from oastfs.bench import capacity
    from oastfs.bench.results import from_document, read_document

    documents = [read_document(path) for path in files]
    results = [result for document in documents for result in from_document(document)]
    if target is not None:
        results = [result for result in results if result.target == target]
    costs = capacity.costs_of(results, workload)
    plans = [capacity.plan(costs, rate, utilisation=utilisation, shard_cores=shard_cores) for rate in rates]
    checks = capacity.check(results, workload, documents[0]["machine"]["cores"])
    if as_json:
        print_json(
            {
                "plans": [dataclasses.asdict(one) for one in plans],
                "checks": [_check_record(one) for one in checks],
                "assumptions": capacity.ASSUMPTIONS,
            }
        )
        return
    _print(plans, checks, shard_cores, capacity.ASSUMPTIONS)


def _print(plans: list[Plan], checks: list[Check], shard_cores: int, assumptions: tuple[str, ...]) -> None:
    costs = plans[0].costs
    parts = ", ".join(f"{part} {used:.1f} us" for part, used in costs.cpu_us.items())
    click.echo(f"One operation: {parts} of CPU; {costs.trips:.2f} trips; {costs.latency_us:,.0f} us\n")
    rows = [
        [
            f"{one.rate:,.0f}",
            f"{one.namenodes:,}",
            f"{one.database_cores:,.1f}" if costs.database_us else "-",
            f"{one.shards:,}" if costs.database_us else "-",
            f"{one.trips_per_second:,.0f}",
            f"{one.under_way:,.0f}",
            f"{one.client_cores:,.0f}",
        ]
        for one in plans
    ]
    shards = f"shards of {shard_cores} cores"
    headers = ("rate/s", "namenodes", "database cores", shards, "trips/s", "under way", "client cores")
    print_table(headers, rows, right=range(7))
    if not costs.database_us:
        click.echo("The runs were on an embedded store: all namenodes have to be on its machine.")
    if checks:
        click.echo("\nEach run predicted from the others:")
        print_table(
            ("callers", "namenodes", "measured/s", "predicted/s", "ratio"),
            map(_check_row, checks),
            right=range(5),
        )
    click.echo("\nAssumed:")
    for text in assumptions:
        click.echo(f"- {text}")


def _namenodes(result: Result) -> int:
    from oastfs.bench.capacity import namenodes_of

    return namenodes_of(result)


def _check_row(check: Check) -> list[str]:
    result = check.result
    rates = [f"{rate:,.0f}" for rate in (result.rate, check.predicted)]
    return [str(result.callers), str(_namenodes(result)), *rates, f"{check.ratio:.2f}"]


def _check_record(check: Check) -> dict[str, object]:
    return {
        "target": check.result.target,
        "callers": check.result.callers,
        "namenodes": _namenodes(check.result),
        "measured": check.result.rate,
        "predicted": check.predicted,
        "ratio": check.ratio,
    }
