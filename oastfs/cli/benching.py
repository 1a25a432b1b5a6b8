"""``oastfs bench``: what a filesystem does on this machine."""

from __future__ import annotations

import click

from oastfs.cli.location import split
from oastfs.cli.output import json_option, print_json, print_table, printable


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
@click.option("--through", "faces", multiple=True, help="failover: oastfs, fsspec, mount, hdfs-native, java.")
@click.option(
    "--namenodes", default=3, show_default=True, type=click.IntRange(2, 16), help="failover: to start."
)
@click.option(
    "--kills", default=6, show_default=True, type=click.IntRange(1, 1000), help="failover: how many."
)
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
    faces: tuple[str, ...],
    namenodes: int,
    kills: int,
    as_json: bool,
) -> None:
    """Measure a filesystem, or several side by side.

    Runs WORKLOADS (all but the streams if none is named) on each target in turn.

    \b
    create write mkdir stat open read read-many list rename chmod remove stream-write stream-read

    failover runs alone, on metadata URLs: it starts namenodes of its own on that store, kills the one in use
    again and again, and tells how long calls paused and how many failed.
    """
    if "failover" in workloads:
        if len(workloads) > 1 or not targets:
            raise click.UsageError("failover runs alone, and its --target is the URL of a metadata store")
        _failover(targets, faces or ("oastfs",), namenodes, kills, callers, as_json)
        return
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


def _failover(
    metadata: tuple[str, ...],
    faces: tuple[str, ...],
    namenodes: int,
    kills: int,
    callers: int,
    as_json: bool,
) -> None:
    from oastfs.bench import report
    from oastfs.bench.faces import FACES
    from oastfs.bench.failover import Options, Result, run

    for face in faces:
        if face not in FACES:
            raise click.UsageError(f"no client {face!r}; there are {', '.join(FACES)}")
    results: list[Result] = [run(Options(metadata, face, namenodes, kills, callers)) for face in faces]
    if as_json:
        print_json(report.failover_json(results))
        return
    print_table(report.FAILOVER_HEADERS, report.failover_rows(results), right=range(1, 7))
    for result in results:
        for failure in result.failures:
            click.echo(f"failed through {result.options.through}: {printable(failure)}")
