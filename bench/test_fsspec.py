"""Many small files by URL: fsspec's batches, in direct mode and through a namenode process.

Run: ``pytest bench/test_fsspec.py``. A round's time divided by ``files`` (extra info) is the cost of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from tests.harness.cluster import Cluster

FILES = 10_000
CONTENT = b"x" * 1024


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("fsspec"), datanodes=0) as running:
        yield running
        OastFileSystem.clear_instance_cache()


@pytest.fixture(params=["direct", "namenode"])
def fs(request: pytest.FixtureRequest, cluster: Cluster) -> OastFileSystem:
    if request.param == "direct":
        filesystem = fsspec.filesystem("oastfs", metadata=cluster.metadata_url)
    else:
        filesystem, _ = fsspec.core.url_to_fs(cluster.url)
    assert isinstance(filesystem, OastFileSystem)
    return filesystem


@pytest.fixture
def paths(fs: OastFileSystem) -> list[str]:
    files = {f"/bench/{number:05}": CONTENT for number in range(FILES)}
    if not fs.exists("/bench"):
        fs.pipe(files)
    return list(files)


OPERATIONS: dict[str, Callable[[OastFileSystem, list[str]], Any]] = {
    "cat": lambda fs, paths: fs.cat(paths),
    "cat_ranges": lambda fs, paths: fs.cat_ranges([*paths], 10, 20),
    "info_many": lambda fs, paths: fs.info_many(paths),
    "ls": lambda fs, paths: fs.ls("/bench"),
    "glob": lambda fs, paths: fs.glob("/bench/*7"),
    "pipe": lambda fs, paths: fs.pipe(dict.fromkeys(paths, CONTENT)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_many_small_files(benchmark: Any, fs: OastFileSystem, paths: list[str], operation: str) -> None:
    benchmark.extra_info["files"] = FILES
    benchmark.pedantic(OPERATIONS[operation], (fs, paths), rounds=5, warmup_rounds=1)


def test_put_and_get_of_a_tree(benchmark: Any, fs: OastFileSystem, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(2_000):
        (source / f"{number:05}").write_bytes(CONTENT)

    def round_trip() -> None:
        fs.put(f"{source}/", "/tree", recursive=True)
        fs.get("/tree/", str(tmp_path / "out"), recursive=True)

    benchmark.extra_info["files"] = 2_000
    benchmark.pedantic(round_trip, rounds=3)
