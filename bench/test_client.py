"""The client with one datanode on this machine, replication 1: large files, random access, small files.

The round of a throughput benchmark moves ``bytes`` of its extra info, the others do ``operations``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from oastfs.client import Filesystem, connect
from tests.harness.cluster import Cluster

LARGE_BYTES = 256 * 1024 * 1024
OPERATIONS = 500


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.fsck_at_end = False
        yield cluster


@pytest.fixture(params=["direct", "namenode"])
def filesystem(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Filesystem]:
    with connect(cluster.metadata_url if request.param == "direct" else cluster.url) as fs:
        yield fs


@pytest.fixture(params=["descriptor", "tcp"])
def way(request: pytest.FixtureRequest, filesystem: Filesystem) -> Filesystem:
    """Reads by passed file descriptor, or as from another machine."""
    if request.param == "tcp":
        filesystem.session.datanodes.is_local = lambda location: False  # type: ignore[method-assign]
    return filesystem


@pytest.mark.bound_by("sync")
@pytest.mark.parametrize("piece_bytes", [64 * 1024, 4 * 1024 * 1024])
def test_write_large(benchmark: BenchmarkFixture, filesystem: Filesystem, piece_bytes: int) -> None:
    piece = random.Random(1).randbytes(piece_bytes)

    def write() -> None:
        with filesystem.open("/large", "wb") as stream:
            for _ in range(LARGE_BYTES // piece_bytes):
                stream.write(piece)

    benchmark.extra_info["bytes"] = LARGE_BYTES
    benchmark.pedantic(write, rounds=3)


@pytest.mark.bound_by("memory")
@pytest.mark.parametrize("piece_bytes", [64 * 1024, 4 * 1024 * 1024])
def test_read_large(benchmark: BenchmarkFixture, way: Filesystem, piece_bytes: int) -> None:
    way.write_bytes("/large", random.Random(1).randbytes(LARGE_BYTES // 256) * 256)
    buffer = memoryview(bytearray(piece_bytes))

    def read() -> int:
        found = 0
        with cast("BufferedReader", way.open("/large", "rb")) as stream:
            while count := stream.readinto(buffer):
                found += count
        return found

    benchmark.extra_info["bytes"] = LARGE_BYTES
    assert benchmark.pedantic(read, rounds=3, warmup_rounds=1) == LARGE_BYTES


@pytest.mark.bound_by("wakeup")
def test_read_at_random(benchmark: BenchmarkFixture, way: Filesystem) -> None:
    way.write_bytes("/random", random.Random(1).randbytes(LARGE_BYTES // 256) * 64)
    file = way.open_file(way.stat("/random"))
    rng = random.Random(2)
    offsets = [rng.randrange(LARGE_BYTES // 4 - 4096) for _ in range(OPERATIONS)]

    def read() -> None:
        for offset in offsets:
            file.pread(offset, 4096)

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(read)
    file.close()


@pytest.mark.bound_by("sync")
def test_write_at_random(benchmark: BenchmarkFixture, filesystem: Filesystem) -> None:
    filesystem.write_bytes("/random", bytes(LARGE_BYTES // 4))
    file = filesystem.open_file(filesystem.stat("/random"), writable=True)
    rng = random.Random(2)
    offsets = [rng.randrange(LARGE_BYTES // 4 // 4096) * 4096 for _ in range(OPERATIONS)]
    piece = rng.randbytes(4096)

    def write() -> None:
        for offset in offsets:
            file.pwrite(offset, piece)
        file.fsync()

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(write)
    file.close()


@pytest.mark.bound_by("wakeup")
def test_small_files(benchmark: BenchmarkFixture, filesystem: Filesystem) -> None:
    """Read whole, one by one: a small file is one call of the metadata."""
    filesystem.write_many([(f"/small/{n}", bytes(1024)) for n in range(OPERATIONS)], parents=True)

    def read() -> None:
        for number in range(OPERATIONS):
            filesystem.read_bytes(f"/small/{number}")

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(read)


@pytest.mark.bound_by("wakeup")
def test_small_files_as_streams(benchmark: BenchmarkFixture, filesystem: Filesystem) -> None:
    filesystem.write_many([(f"/small/{n}", bytes(1024)) for n in range(OPERATIONS)], parents=True)

    def read() -> None:
        for number in range(OPERATIONS):
            with filesystem.open(f"/small/{number}", "rb") as stream:
                stream.read()

    benchmark.extra_info["operations"] = OPERATIONS
    benchmark(read)


def test_small_files_in_a_batch(benchmark: BenchmarkFixture, filesystem: Filesystem, tmp_path: Path) -> None:
    paths = [f"/batch/{number}" for number in range(20 * OPERATIONS)]
    filesystem.write_many([(path, bytes(1024)) for path in paths], parents=True)
    benchmark.extra_info["operations"] = len(paths)
    assert benchmark(lambda: sum(map(len, filesystem.read_many(paths)))) == 1024 * len(paths)  # type: ignore[arg-type]


@pytest.mark.bound_by("sync")
def test_write_small_files_in_a_batch(benchmark: BenchmarkFixture, filesystem: Filesystem) -> None:
    items = [(f"/batch/{number}", bytes(1024)) for number in range(2 * OPERATIONS)]
    benchmark.extra_info["operations"] = len(items)
    benchmark(lambda: filesystem.write_many(items, parents=True))
