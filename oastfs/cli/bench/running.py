"""The workloads as commands, each with its own options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oastfs.cli.bench.measuring import deliver, measure, tasks_of
from oastfs.cli.bench.options import Common, common_options

if TYPE_CHECKING:
    from oastfs.bench.worker import Task

_SIZE_HELP = "Sizes of files: `spotify` (a mix up to 32 KiB) or bytes."


@click.command("run")
@click.argument("workloads", nargs=-1)
@click.option("--count", default=None, type=click.IntRange(0), help="Files a caller (0: the workload's own).")
@click.option("--size", "size_bytes", default=None, type=click.IntRange(-1), help="Bytes a file.")
@click.option("--seconds", default=0.0, help="Stop after this long, done or not.")
@common_options
def run_command(
    common: Common, workloads: tuple[str, ...], count: int | None, size_bytes: int | None, seconds: float
) -> None:
    """Measure single operations; all but the streams if none is named."""
    from oastfs.bench.workloads import WORKLOADS
    from oastfs.bench.workloads.single import SINGLE

    for name in workloads:
        if name not in WORKLOADS:
            raise click.UsageError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    settings: dict[str, int | None] = {
        "count": count or None,
        "size_bytes": None if size_bytes == -1 else size_bytes,
    }
    tasks: list[tuple[Task, dict[str, float]]] = [
        (task, {})
        for name in workloads or [workload.name for workload in SINGLE]
        for task in tasks_of(
            common,
            name,
            {key: value for key, value in settings.items() if key in WORKLOADS[name].settings},
            seconds=seconds,
        )
    ]
    deliver(common, measure(common, tasks))


@click.command("spotify")
@click.option("--files", type=click.IntRange(1), help="Files of the namespace, in all.  [default: 20000]")
@click.option("--files-per-directory", type=click.IntRange(1), help="[default: 16]")
@click.option("--subdirectories", type=click.IntRange(1), help="Of each directory.  [default: 2]")
@click.option("--sizes", help=_SIZE_HELP + "  [default: 0]")
@click.option("--seconds", default=10.0, show_default=True, help="How long.")
@common_options
def spotify_command(
    common: Common,
    files: int | None,
    files_per_directory: int | None,
    subdirectories: int | None,
    sizes: str | None,
    seconds: float,
) -> None:
    """The mix of Spotify's HDFS cluster: 69 % reads, 26 % stats and listings, 5 % changes."""
    settings = {
        "files": files,
        "files_per_directory": files_per_directory,
        "subdirectories": subdirectories,
        "sizes": sizes,
    }
    tasks = tasks_of(common, "spotify", settings, seconds=seconds)
    deliver(common, measure(common, [(task, {}) for task in tasks]))


@click.command("smallfiles")
@click.option("--files", type=click.IntRange(1), help="Files in all.  [default: 5000]")
@click.option(
    "--data", type=click.Choice(["images", "files"]), help="JPEGs, or text in sizes of Spotify's mix."
)
@click.option("--distinct", type=click.IntRange(1), help="Different contents, in turn.  [default: 2048]")
@click.option(
    "--batch", type=click.IntRange(1, 10_000), help="Files read at once in batches.  [default: 256]"
)
@common_options
def smallfiles_command(
    common: Common, files: int | None, data: str | None, distinct: int | None, batch: int | None
) -> None:
    """Real images or texts: written, read in random order, by batches, and as a training epoch.

    Every read is compared with what was written. An epoch reads all files once, shuffled, by batches, and
    decodes images as a training program does.
    """
    settings = {"files": files, "data": data, "distinct": distinct, "batch": batch}
    deliver(common, measure(common, [(task, {}) for task in tasks_of(common, "smallfiles", settings)]))


@click.command("stream")
@click.option("--count", type=click.IntRange(1), help="Files a caller.  [default: 1]")
@click.option(
    "--size", "size_bytes", type=click.IntRange(1), help="Bytes a file, whole MiB.  [default: 1 GiB]"
)
@common_options
def stream_command(common: Common, count: int | None, size_bytes: int | None) -> None:
    """Large files: written, durable at the end, and read."""
    tasks = tasks_of(common, "stream", {"count": count, "size_bytes": size_bytes})
    deliver(common, measure(common, [(task, {}) for task in tasks]))


@click.command("mdtest")
@click.option("--depth", type=click.IntRange(0, 64), help="Levels below the root of each tree.  [default: 2]")
@click.option("--branch", type=click.IntRange(1), help="Directories in each.  [default: 4]")
@click.option(
    "--items", type=click.IntRange(1), help="Files and directories to work on in each.  [default: 40]"
)
@click.option("--size", "size_bytes", type=click.IntRange(0), help="Bytes a file.  [default: 0]")
@common_options
def mdtest_command(
    common: Common, depth: int | None, branch: int | None, items: int | None, size_bytes: int | None
) -> None:
    """Trees of directories and files as mdtest makes them; callers stat and read what another made."""
    settings = {"depth": depth, "branch": branch, "items": items, "size_bytes": size_bytes}
    deliver(common, measure(common, [(task, {}) for task in tasks_of(common, "mdtest", settings)]))


@click.command("latency")
@click.argument("workload", default="stat")
@click.option(
    "--rate", "rates", multiple=True, required=True, type=float, help="Arrivals a second; several in turn."
)
@click.option("--seconds", default=10.0, show_default=True, help="How long at each rate.")
@click.option("--count", type=click.IntRange(1), help="Files a caller.")
@common_options
def latency_command(
    common: Common, workload: str, rates: tuple[float, ...], seconds: float, count: int | None
) -> None:
    """Latency of WORKLOAD (a single operation, or spotify) when operations arrive at a given rate.

    Arrivals are a Poisson process and wait for no answer. Latency counts from an arrival, also while all
    callers are busy, so nothing is omitted when the target falls behind. There have to be enough callers for
    the operations that are under way at once: rate times latency.
    """
    from oastfs.bench.workloads import WORKLOADS

    if workload not in WORKLOADS:
        raise click.UsageError(f"no workload {workload!r}; there are {', '.join(WORKLOADS)}")
    name = "files" if "files" in WORKLOADS[workload].settings else "count"
    tasks = [
        (task, {"arrivals": rate})
        for rate in rates
        for task in tasks_of(common, workload, {name: count}, rate=rate, seconds=seconds)
    ]
    deliver(common, measure(common, tasks))
