"""``oastfs bench``: what a filesystem does on this machine."""

from __future__ import annotations

import click

from oastfs.cli.location import split
from oastfs.cli.output import json_option, print_json, print_table


@click.command("bench")
@click.argument("workloads", nargs=-1)
@click.option("--target", "targets", multiple=True, help="A URL or a directory; several are compared.")
@click.option(
    "--callers", default=4, show_default=True, type=click.IntRange(1, 1024), help="Callers at once."
)
@click.option(
    "--processes", default=0, type=click.IntRange(0, 256), help="Processes for them (0: a core each)."
)
@click.option("--count", default=0, type=click.IntRange(0), help="Files a caller (0: the workload's own).")
@click.option("--size", "size_bytes", default=-1, type=click.IntRange(-1), help="Bytes a file.")
@click.option("--base", default="/bench", show_default=True, help="Directory to work in; cleaned up after.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1, 100), help="Interleaved runs.")
@json_option
def bench_command(
    workloads: tuple[str, ...],
    targets: tuple[str, ...],
    callers: int,
    processes: int,
    count: int,
    size_bytes: int,
    base: str,
    repeat: int,
    as_json: bool,
) -> None:
    """Measure a filesystem, or several side by side.

    Runs WORKLOADS (all but the streams if none is named) on each target in turn.

    \b
    create write mkdir stat open read read-many list rename chmod remove stream-write stream-read
    """
    from oastfs.bench import report
    from oastfs.bench.load import Options, Result, run
    from oastfs.bench.workloads import WORKLOADS

    for name in workloads:
        if name not in WORKLOADS:
            raise click.UsageError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    chosen = workloads or [name for name, workload in WORKLOADS.items() if workload.unit == "operations"]
    results: list[Result] = []
    for _ in range(repeat):
        for name in chosen:
            for target in targets or (split("/")[0],):
                results.append(run(Options(name, target, callers, processes, count, size_bytes, base)))
    if as_json:
        print_json(report.as_json(results))
    else:
        print_table(report.HEADERS, report.as_rows(results), right=range(2, 7))
