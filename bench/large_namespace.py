"""What depends on how much there is, or must not: a namenode's start and memory, the first entry of a huge
directory, moving and deleting a huge tree, and what callers notice while its space is taken back.

    python -m bench.large_namespace lmdb:///srv/large [--files N] [--entries N] [--tree N] [--json]

It makes what is not there yet, ``/large/files``, ``/large/directory`` and ``/large/tree`` (which is deleted
at the end, and made again by the next run), starts a namenode of its own on the store, and calls through it.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from oastfs.bench.histogram import Histogram
from oastfs.bench.servers import HOST, Namenode
from oastfs.client import Filesystem, connect
from oastfs.core.errors import DeadlineExceeded, OastError
from oastfs.core.types import SUPERUSER, FileStatus, WriteRequest
from oastfs.namenode.filesystem import format_store, is_formatted
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.schema import INODE, RECLAIM_ID
from oastfs.store.transaction import Store

FILES, ENTRIES, TREE = "/large/files", "/large/directory", "/large/tree"
BATCH_FILES = 1000
LISTINGS, MOVES, STARTS, STAT_ROUNDS = 50, 20, 3, 3
NEAR_FILES, SAMPLE_FILES = 10_000, 10_000
IDLE_SECONDS = 3.0
RECLAIM_SECONDS_MAX = 600.0
START_SECONDS_MAX = 60.0


def tree_path(top: str, number: int) -> str:
    """The n-th file of a tree, of 1,000 in each directory."""
    directory = number // BATCH_FILES
    return f"{top}/{directory // 1000:04}/{directory % 1000:03}/image{number:09}.jpg"


def entry_path(top: str, number: int) -> str:
    """The n-th file of one directory."""
    return f"{top}/image{number:09}.jpg"


def make(namespace: Namespace, top: str, count: int, path: Callable[[str, int], str]) -> None:
    """Empty files, unless there are some."""
    if isinstance(namespace.stat_many(SUPERUSER, [top])[0], FileStatus):
        return
    for start in range(0, count, BATCH_FILES):
        paths = [path(top, number) for number in range(start, min(start + BATCH_FILES, count))]
        namespace.write_many(SUPERUSER, [WriteRequest(one, b"") for one in paths], True)


def memory_mb(pid: int) -> tuple[float, float]:
    """(resident without what is mapped of the store, its own alone) of a process."""
    resident = own = 0
    mapped = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            mapped = line.endswith("/data.mdb")
        elif not mapped and (found := re.match(r"(Rss|Private_Clean|Private_Dirty):\s+(\d+) kB", line)):
            resident += int(found[2]) if found[1] == "Rss" else 0
            own += int(found[2]) if found[1] != "Rss" else 0
    return resident / 1024, own / 1024


@contextmanager
def running(metadata: str) -> Iterator[tuple[Namenode, Filesystem, float]]:
    """A namenode, a client of it, and the seconds from its start to the first answered call."""
    with tempfile.TemporaryDirectory(prefix="oastfs-bench-") as directory:
        namenode = Namenode(1, [metadata], Path(directory))
        began = time.perf_counter()
        namenode.start()
        try:
            with _first_call(f"oastfs://{HOST}:{namenode.port}") as filesystem:
                yield namenode, filesystem, time.perf_counter() - began
        finally:
            namenode.stop()


def _first_call(url: str) -> Filesystem:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            filesystem = connect(url)
            filesystem.stat("/")
            return filesystem
        except OastError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def times_ms(count: int, call: Callable[[int], object], pause_seconds: float = 0.0) -> dict[str, float]:
    """Median and longest of some calls."""
    taken = []
    for number in range(count):
        time.sleep(pause_seconds)
        began = time.perf_counter()
        call(number)
        taken.append(1000 * (time.perf_counter() - began))
    return {"median_ms": round(statistics.median(taken), 3), "longest_ms": round(max(taken), 3)}


def first_entries(metadata: str, namenode: Namenode, filesystem: Filesystem) -> dict[str, dict[str, float]]:
    """Time to the first entry of the large directory, by the ways to it."""

    def first(listing: Callable[[], Iterable[Any]]) -> dict[str, float]:
        # Clients read ahead: what one listing has asked for is no part of the next one's time.
        return times_ms(LISTINGS, lambda _: next(iter(listing())), 0.05)

    hdfs = _hdfs(namenode)
    with connect(metadata) as direct:
        return {
            "library": first(lambda: direct.listdir(ENTRIES)),
            "native client": first(lambda: filesystem.listdir(ENTRIES)),
            "hdfs client": first(lambda: hdfs.list_status(ENTRIES, False)),
        }


def _hdfs(namenode: Namenode) -> Any:
    import hdfs_native

    return hdfs_native.Client(f"hdfs://{HOST}:{namenode.port}")


def stat_rates(
    metadata: str, namenode: Namenode, filesystem: Filesystem, files: int
) -> dict[str, dict[str, float]]:
    """Stats a second of files of ten directories, and of random ones among all, in turn. The same ones each
    time, and once before the clock runs: what is measured is a store that is in memory."""
    chosen = random.Random(2)
    samples = [
        [tree_path(FILES, chosen.randrange(most)) for _ in range(min(SAMPLE_FILES, files))]
        for most in (min(NEAR_FILES, files), files)
    ]
    found = {}
    with connect(metadata) as direct:
        ways: dict[str, Callable[[str], object]] = {
            "library": direct.stat,
            "native client": filesystem.stat,
            "hdfs client": _hdfs(namenode).get_file_info,
        }
        for way, stat in ways.items():
            rates: list[list[float]] = [[], []]
            for round_number in range(1 + STAT_ROUNDS):
                for paths, measured in zip(samples, rates, strict=True):
                    began = time.perf_counter()
                    for path in paths:
                        stat(path)
                    if round_number:
                        measured.append(len(paths) / (time.perf_counter() - began))
            near, far = map(statistics.median, rates)
            found[way] = {"near": round(near), "all": round(far), "ratio": round(far / near, 2)}
    return found


class Bystander:
    """One caller of small operations in turn, on files that have nothing to do with what goes on."""

    def __init__(self, filesystem: Filesystem, files: int) -> None:
        self._filesystem, self._files = filesystem, files
        self._random = random.Random(1)
        self.made = 0
        """Directories, in all."""

    def call_until(self, done: Callable[[], bool]) -> dict[str, dict[str, float]]:
        """Latencies in milliseconds."""
        stats, mkdirs = Histogram(), Histogram()
        top = f"/large/made-{time.time_ns():x}"
        self._filesystem.makedirs(top)
        self.made += 1
        while not done():
            path = tree_path(FILES, self._random.randrange(self._files))
            began = time.perf_counter_ns()
            self._filesystem.stat(path)
            middle = time.perf_counter_ns()
            self._filesystem.mkdir(f"{top}/{self.made}")
            mkdirs.record(time.perf_counter_ns() - middle)
            stats.record(middle - began)
            self.made += 1
        return {
            name: {
                "calls": one.count,
                "p50_ms": round(one.percentile(50) / 1e6, 3),
                "p99_ms": round(one.percentile(99) / 1e6, 3),
                "longest_ms": round(one.max / 1e6, 3),
            }
            for name, one in (("stat", stats), ("mkdir", mkdirs))
        }


def delete_and_watch(store: Store, filesystem: Filesystem, files: int) -> dict[str, Any]:
    """Delete the tree, and call other things until its space is taken back."""
    bystander = Bystander(filesystem, files)
    deadline = time.monotonic() + IDLE_SECONDS
    before = bystander.call_until(lambda: time.monotonic() > deadline)
    inodes, made = store.count(INODE), bystander.made
    answered = times_ms(1, lambda _: filesystem.rmtree(TREE))
    answered_at = began_at = time.monotonic()

    def done() -> bool:
        nonlocal began_at
        now = time.monotonic()
        if store.count(INODE) >= inodes:
            began_at = now  # the job looks once a second whether there is anything to do
        if now > answered_at + RECLAIM_SECONDS_MAX:
            raise DeadlineExceeded(f"the space was not taken back within {RECLAIM_SECONDS_MAX:g} s")
        return store.read(lambda tx: not any(True for _ in tx.scan(INODE, (RECLAIM_ID,), limit=1)))

    meanwhile = bystander.call_until(done)
    ended_at = time.monotonic()
    reclaimed = inodes - (store.count(INODE) - (bystander.made - made))
    return {
        "answered_ms": answered["longest_ms"],
        "reclaimed_inodes": reclaimed,
        "reclaimed_per_second": round(reclaimed / (ended_at - began_at)),
        "seconds_to_all": round(ended_at - answered_at, 2),
        "others_before": before,
        "others_meanwhile": meanwhile,
    }


def measure(metadata: str, files: int, entries: int, tree: int) -> dict[str, Any]:
    """All figures of a store that nobody else uses."""
    store = open_store(metadata, create=True)
    if not is_formatted(store):
        format_store(store)
    with_store = Namespace(store)
    for top, count, path in (
        (FILES, files, tree_path), (ENTRIES, entries, entry_path), (TREE, tree, tree_path)
    ):  # fmt: skip
        make(with_store, top, count, path)
    found: dict[str, Any] = {"inodes": store.count(INODE)}
    starts = []
    for _ in range(STARTS):
        with running(metadata) as (namenode, filesystem, seconds):
            starts.append(round(seconds, 3))
    found["start_seconds"] = starts
    with running(metadata) as (namenode, filesystem, _):
        found["first_entry"] = first_entries(metadata, namenode, filesystem)
        found["stat_per_second"] = stat_rates(metadata, namenode, filesystem, files)
        places = (TREE, TREE + "-moved")
        moves = times_ms(MOVES, lambda n: filesystem.rename(places[n % 2], places[(n + 1) % 2]))
        found["move"] = moves
        found["delete"] = delete_and_watch(store, filesystem, files)
        found["memory_mb"], found["own_memory_mb"] = (round(mb, 1) for mb in memory_mb(namenode.pid))
    store.close()
    return found


@click.command()
@click.argument("metadata")
@click.option("--files", default=1_000_000, show_default=True, help="Of the namespace besides.")
@click.option("--entries", default=1_000_000, show_default=True, help="Of the large directory.")
@click.option("--tree", default=1_000_000, show_default=True, help="Files of the tree that is deleted.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def main(metadata: str, files: int, entries: int, tree: int, as_json: bool) -> None:
    """Measure a large namespace on the embedded store METADATA."""
    found = measure(metadata, files, entries, tree)
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, figures in parts:
            click.echo(f"{name} {part}".strip().ljust(36) + f"{figures}")


if __name__ == "__main__":
    main()
