"""The mount in direct mode with one datanode on this machine, replication 1: from one caller and from four.

Through libfuse only from four: it carries requests out one after the other. A round does ``operations`` of
its extra info (all callers together) or moves ``bytes``. Each caller is a process with a directory of its
own. What the kernel had cached is dropped before rounds that read; that takes root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.harness.cluster import Cluster

FILES = 250
CONTENT = b"x" * 4096
LARGE_BYTES = 256 * 1024 * 1024
PIECE = os.urandom(1 << 20)
CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY


@pytest.fixture(scope="module", params=["kernel", "mfusepy"])
def mountpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with Cluster(tmp_path_factory.mktemp(request.param)) as cluster:
        cluster.fsck_at_end = False
        yield cluster.mount(options=["--binding", request.param])


@pytest.fixture(params=[1, 4])
def callers(request: pytest.FixtureRequest, mountpoint: Path) -> Iterator[Pool]:
    if request.param == 1 and "mfusepy" in request.node.name:
        pytest.skip("one caller through libfuse takes minutes, and four show the same")
    with get_context("fork").Pool(request.param) as pool:
        yield pool


def create(directory: Path) -> None:
    for number in range(FILES):
        descriptor = os.open(directory / str(number), CREATE)
        os.write(descriptor, CONTENT)
        os.close(descriptor)


def stat(directory: Path) -> None:
    for number in range(FILES):
        (directory / str(number)).stat()


def read(directory: Path) -> None:
    for number in range(FILES):
        descriptor = os.open(directory / str(number), os.O_RDONLY)
        assert len(os.read(descriptor, 8192)) == len(CONTENT)
        os.close(descriptor)


def rename(directory: Path) -> None:
    for number in range(FILES):
        (directory / str(number)).rename(directory / f"{number}r")


def rename_back(directory: Path) -> None:
    for number in range(FILES):
        (directory / f"{number}r").rename(directory / str(number))


def remove(directory: Path) -> None:
    for number in range(FILES):
        (directory / str(number)).unlink()


def drop_caches(pages: bool = False) -> None:
    """Make the kernel forget inodes and entries; with ``pages`` all unused pages, too."""
    Path("/proc/sys/vm/drop_caches").write_text("3" if pages else "2")


@pytest.fixture
def directories(mountpoint: Path, callers: Pool) -> list[Path]:
    size = callers._processes  # type: ignore[attr-defined]  # nothing public tells it
    made = [mountpoint / f"caller-{number}" for number in range(size)]
    for directory in made:
        directory.mkdir(exist_ok=True)
        for path in directory.iterdir():
            path.unlink()
    return made


Work = Callable[[Path], None]


def measure(
    benchmark: BenchmarkFixture,
    callers: Pool,
    directories: list[Path],
    work: Work,
    before: Work | None = None,
    after: Work | None = None,
) -> None:
    def prepare() -> None:
        if before is not None:
            callers.map(before, directories, chunksize=1)
        drop_caches()

    def finish() -> None:
        if after is not None:
            callers.map(after, directories, chunksize=1)

    benchmark.extra_info["operations"] = FILES * len(directories)
    benchmark.pedantic(
        lambda: callers.map(work, directories, chunksize=1), setup=prepare, teardown=finish, rounds=3
    )


@pytest.mark.bound_by("wakeup")
def test_create(benchmark: BenchmarkFixture, callers: Pool, directories: list[Path]) -> None:
    """Files of 4 KiB: open, write, close."""
    measure(benchmark, callers, directories, create, after=remove)


@pytest.mark.bound_by("wakeup")
@pytest.mark.parametrize("work", [stat, read])
def test_uncached(benchmark: BenchmarkFixture, callers: Pool, directories: list[Path], work: Work) -> None:
    """stat, and open + read + close, of files that the kernel does not know."""
    callers.map(create, directories, chunksize=1)
    measure(benchmark, callers, directories, work)
    callers.map(remove, directories, chunksize=1)


@pytest.mark.bound_by("wakeup")
def test_rename(benchmark: BenchmarkFixture, callers: Pool, directories: list[Path]) -> None:
    callers.map(create, directories, chunksize=1)
    measure(benchmark, callers, directories, rename, after=rename_back)
    callers.map(remove, directories, chunksize=1)


@pytest.mark.bound_by("wakeup")
def test_remove(benchmark: BenchmarkFixture, callers: Pool, directories: list[Path]) -> None:
    measure(benchmark, callers, directories, remove, before=create)


def test_list(benchmark: BenchmarkFixture, mountpoint: Path) -> None:
    """A directory with names and attributes, as ls -l reads it."""
    directory = mountpoint / "listed"
    directory.mkdir()
    create(directory)

    def listing() -> None:
        assert sum(entry.stat().st_size > 0 for entry in os.scandir(directory)) == FILES

    benchmark.extra_info["operations"] = FILES
    benchmark.pedantic(listing, setup=drop_caches, rounds=5)


def write_large(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in range(LARGE_BYTES // len(PIECE)):
            file.write(PIECE)
        os.fsync(file.fileno())


def read_large(path: Path) -> None:
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


@pytest.mark.bound_by("sync")
def test_write_large(benchmark: BenchmarkFixture, mountpoint: Path) -> None:
    """Sequentially, with fsync at the end."""
    benchmark.extra_info["bytes"] = LARGE_BYTES
    benchmark.pedantic(lambda: write_large(mountpoint / "large"), rounds=3)


@pytest.mark.bound_by("memory")
def test_read_large(benchmark: BenchmarkFixture, mountpoint: Path) -> None:
    """Sequentially; what the kernel had of the mount is dropped, the datanode's disk is cached."""
    write_large(mountpoint / "large")
    benchmark.extra_info["bytes"] = LARGE_BYTES
    benchmark.pedantic(lambda: read_large(mountpoint / "large"), setup=drop_caches, rounds=3)
