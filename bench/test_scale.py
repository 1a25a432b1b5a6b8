"""Does it get slower, or fatter, as the namespace grows? OASTFS_BENCH_INODES says how far (default 1M).

Prints bytes on disk for each inode, and stat and create rates in the full store beside those in one of 10,000
files, measured in turn: ``stat_same_files`` over as many files in both, which shows what the size of the
store costs; ``stat_all_files`` over all files of each, which shows the processor's caches as well.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from oastfs.core.types import SUPERUSER, WriteRequest
from oastfs.namenode.filesystem import format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store

INODES = int(os.environ.get("OASTFS_BENCH_INODES", "1000000"))
FILES_PER_DIRECTORY = 1000
STATS, CREATES, ROUNDS = 20_000, 4_000, 5


def opened(path: Path) -> Namespace:
    store = open_store(f"lmdb://{path}", create=True)
    format_store(store)
    return Namespace(store, owns_store=True)


def file_path(number: int) -> str:
    directory = number // FILES_PER_DIRECTORY
    return f"/data/{directory // 1000:04}/{directory % 1000:03}/image{number:09}.jpg"


def load(namespace: Namespace, count: int) -> None:
    for start in range(0, count, FILES_PER_DIRECTORY):
        numbers = range(start, start + FILES_PER_DIRECTORY)
        namespace.mkdirs(SUPERUSER, file_path(start).rpartition("/")[0])
        namespace.write_many(SUPERUSER, [WriteRequest(file_path(number), b"") for number in numbers])


def own_memory_kb() -> int:
    """Memory of this process, without the pages of the store's file that the system maps into it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


def stat_rate(namespace: Namespace, count: int, seed: int) -> float:
    paths = [file_path(number) for number in random.Random(seed).choices(range(count), k=STATS)]
    started = time.perf_counter()
    for path in paths:
        namespace.stat(SUPERUSER, path)
    return STATS / (time.perf_counter() - started)


def create_rate(namespace: Namespace, tag: int) -> float:
    """Creates in batches of 100: the cost of the inserts rather than of the disk's sync."""
    namespace.mkdirs(SUPERUSER, f"/new/{tag}")
    started = time.perf_counter()
    for start in range(0, CREATES, 100):
        requests = [WriteRequest(f"/new/{tag}/{start + number}", b"") for number in range(100)]
        namespace.write_many(SUPERUSER, requests)
    return CREATES / (time.perf_counter() - started)


@pytest.mark.timeout(7200)
def test_scale(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    small, large = opened(tmp_path / "small"), opened(tmp_path / "large")
    base_inodes = 10_000
    load(small, base_inodes)
    before_kb = own_memory_kb()
    started = time.perf_counter()
    load(large, INODES)
    info = benchmark.extra_info
    info["inodes"] = INODES
    info["loaded_per_second"] = round(INODES / (time.perf_counter() - started))
    info["bytes_per_inode"] = round(large.store.usage()[0] / INODES, 1)
    ratios: dict[str, list[float]] = {"stat_same_files": [], "stat_all_files": [], "create": []}
    for number in range(ROUNDS):
        base = stat_rate(small, base_inodes, number)
        ratios["stat_same_files"].append(stat_rate(large, base_inodes, number) / base)
        ratios["stat_all_files"].append(stat_rate(large, INODES, number) / base)
        ratios["create"].append(create_rate(large, number) / create_rate(small, number))
    for name, values in ratios.items():
        info[f"{name}_rate_ratio_median"] = round(sorted(values)[ROUNDS // 2], 3)
    info["own_memory_growth_mb"] = (own_memory_kb() - before_kb) // 1024
    print(f"\n{dict(info)}")
    benchmark.pedantic(stat_rate, args=(large, INODES, 99), rounds=3)
    small.close()
    large.close()
