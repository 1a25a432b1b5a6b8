"""``oastfs bench scale``: rates along an axis, of a namespace or of the servers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oastfs.cli.bench.measuring import deliver, measure, tasks_of
from oastfs.cli.bench.options import Common, common_options

if TYPE_CHECKING:
    from oastfs.bench.results import Result

NAMESPACE_AXES = ("files", "directory", "depth")
_DEFAULT_POINTS: dict[str, tuple[int, ...]] = {
    "files": (10_000, 100_000, 1_000_000),
    "directory": (1000, 10_000, 100_000),
    "depth": (1, 2, 4, 8, 16, 32),
    "callers": (1, 2, 4, 8, 16),
    "namenodes": (1, 2, 3),
    "shards": (),
}


@click.command("scale")
@click.argument("axis", type=click.Choice(list(_DEFAULT_POINTS)))
@click.option("--at", "points", multiple=True, type=int, help="A point of the axis; several, which grow.")
@click.option(
    "--operation",
    "operations",
    multiple=True,
    help="files, directory, depth: stat, open, list, create, chmod, rename.",
)
@click.option(
    "--workload", default="spotify", show_default=True, help="callers, namenodes, shards: what to run."
)
@click.option("--metadata", multiple=True, help="namenodes, shards: a store, its shards separated by commas.")
@click.option("--seconds", default=3.0, show_default=True, help="How long each operation at each point.")
@common_options
def scale_command(
    common: Common,
    axis: str,
    points: tuple[int, ...],
    operations: tuple[str, ...],
    workload: str,
    metadata: tuple[str, ...],
    seconds: float,
) -> None:
    """Rates along AXIS: what happens to them as something grows.

    \b
    files      files of the namespace, in all
    directory  entries of one directory
    depth      directories above each file
    callers    callers at once
    namenodes  namenodes, started on the store of --metadata (a new embedded one without)
    shards     servers of a store: a --metadata for each point, on which it makes a filesystem
    """
    chosen = points or _DEFAULT_POINTS[axis]
    if axis in NAMESPACE_AXES:
        settings: dict[str, Any] = {"axis": axis, "points": chosen, "operations": operations or None}
        results = measure(
            common, [(task, {}) for task in tasks_of(common, "scale", settings, seconds=seconds)]
        )
    elif axis == "callers":
        tasks = [
            (replace(task, callers=point), {"callers": float(point)})
            for point in chosen
            for task in tasks_of(common, workload, {}, seconds=seconds)
        ]
        results = measure(common, tasks)
    else:
        if common.targets:
            raise click.UsageError(f"{axis} are started on --metadata; there is no --target")
        stores = _stores(axis, chosen, metadata)
        results = list(_on_own_servers(common, axis, stores, workload, seconds))
    deliver(common, results)


def _stores(axis: str, points: Iterable[int], metadata: tuple[str, ...]) -> list[tuple[int, str]]:
    """(point, metadata URLs or '' for a new embedded store) of each point."""
    if axis == "shards":
        if not metadata:
            raise click.UsageError("shards needs --metadata, once for each number of servers")
        return [(len(shards_of(urls)), urls) for urls in metadata]
    if len(metadata) > 1:
        raise click.UsageError("namenodes takes one --metadata, its shards separated by commas")
    return [(point, metadata[0] if metadata else "") for point in points]


def shards_of(urls: str) -> list[str]:
    """The URLs of a store's shards."""
    from oastfs.client.url import metadata_urls

    return metadata_urls(urls)


def _on_own_servers(
    common: Common, axis: str, stores: list[tuple[int, str]], workload: str, seconds: float
) -> Iterator[Result]:
    for turn in range(common.repeat):
        for point, urls in stores:
            with _servers(point if axis == "namenodes" else 1, urls) as target:
                once = replace(common, targets=(target,), repeat=1, seed=common.seed + turn)
                tasks = [
                    (task, {axis: float(point)}) for task in tasks_of(once, workload, {}, seconds=seconds)
                ]
                # Its ports say nothing, and would make a line of each point.
                yield from (replace(result, target=f"by {axis}") for result in measure(once, tasks))


@contextmanager
def _servers(count: int, urls: str) -> Iterator[str]:
    """The URL of namenodes that run as long as the context."""
    from oastfs.bench.servers import Namenodes

    with tempfile.TemporaryDirectory(prefix="oastfs-bench-") as directory:
        metadata = shards_of(urls) if urls else [f"lmdb://{directory}/store"]
        with Namenodes(count, metadata, Path(directory)) as namenodes:
            yield namenodes.url
