"""What the metadata on Citus costs next to plain PostgreSQL, with one worker and more.

    python -m bench.citus [--workers 1 2] [--shards 32] [--callers 4] [--count 30] [--rounds 3]

It starts the servers itself, which takes a PostgreSQL with Citus (scripts/build_citus.sh): for each store its
database servers and one namenode, and as many callers as threads of this process. The stores take turns, so
that whatever else the machine does meets all. Figures are medians of the rounds: operations a second of
all callers, and trips to the database for each as the namenode counts them.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from oastfs.bench.servers import HOST, Namenode, Namenodes
from oastfs.client import connect
from oastfs.core.types import SUPERUSER
from tests.harness.citus import MISSING, CitusCluster, is_installed
from tests.harness.postgresql import PostgresServer

OPERATIONS = ("create", "stat", "rename")
DEPTH = "/a/b/c"


class Engine(NamedTuple):
    """A store, and the namenode on it."""

    name: str
    namenode: Namenode

    @property
    def url(self) -> str:
        """The namenode's."""
        return f"oastfs://{HOST}:{self.namenode.port}"

    def trips(self) -> float:
        """To the database so far."""
        connection = http.client.HTTPConnection(HOST, self.namenode._http_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = re.search(r"^oastfs_store_trips(?:\{.*?\})? (\S+)$", page, re.MULTILINE)
        assert found, "the namenode tells no trips"
        return float(found[1])


@contextmanager
def engines(workers: Sequence[int], shards: int, directory: Path) -> Iterator[list[Engine]]:
    """Plain PostgreSQL, and Citus with these numbers of workers."""
    with ExitStack() as stack:
        urls = {}
        server = PostgresServer()
        stack.callback(server.remove)
        urls["PostgreSQL"] = server.url(server.create_database())
        for count in workers:
            cluster = CitusCluster(count, {"citus.shard_count": str(shards)})
            stack.callback(cluster.remove)
            urls[f"Citus, {count} worker{'s' * (count > 1)}"] = cluster.url(cluster.create_database())
        found = []
        for number, (name, url) in enumerate(urls.items()):
            place = directory / str(number)
            place.mkdir()
            found.append(Engine(name, stack.enter_context(Namenodes(1, [url], place)).all[0]))
        yield found


def measure(engine: Engine, top: str, callers: int, count: int) -> dict[str, tuple[float, float]]:
    """Each operation's rate and trips, on files of a directory for each caller."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(engine.url)) for _ in range(callers)]
        for number in range(callers):
            clients[0].makedirs(f"{top}/{number}{DEPTH}")
        found = {}
        for operation in OPERATIONS:
            before = engine.trips()
            seconds = _together(
                [
                    partial(_repeat, fs, operation, f"{top}/{number}", count)
                    for number, fs in enumerate(clients)
                ]
            )
            done = callers * count
            found[operation] = done / seconds, (engine.trips() - before) / done
        return found


def _together(bodies: list[Callable[[], None]]) -> float:
    threads = [threading.Thread(target=body) for body in bodies]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _repeat(fs: Any, operation: str, top: str, count: int) -> None:
    metadata = fs.metadata
    for number in range(count):
        name = f"{top}{DEPTH}/{number}"
        if operation == "create":
            metadata.create(SUPERUSER, name)
        elif operation == "stat":
            metadata.stat(SUPERUSER, name)
        else:
            metadata.rename(SUPERUSER, name, f"{top}/a/{number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not is_installed():
        raise SystemExit(MISSING)
    with (
        tempfile.TemporaryDirectory() as place,
        engines(options.workers, options.shards, Path(place)) as all_of_them,
    ):
        told: dict[str, list[dict[str, tuple[float, float]]]] = {one.name: [] for one in all_of_them}
        for number in range(options.rounds + 1):
            for engine in all_of_them:
                figures = measure(engine, f"/round{number}", options.callers, options.count)
                if number:  # the first one is for warming up
                    told[engine.name].append(figures)
    print(f"{'':20}" + "".join(f"{operation + '/s, trips':>20}" for operation in OPERATIONS))
    for name, rounds in told.items():
        row = ""
        for operation in OPERATIONS:
            rate, trips = (statistics.median(one[operation][at] for one in rounds) for at in (0, 1))
            row += f"{rate:>12.0f}  {trips:>6.2f}"
        print(f"{name:20}{row}")


if __name__ == "__main__":
    main()
