"""`oastfs query` as people use it: forms of output, errors, and its memory."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oastfs.client import connect
from oastfs.store import open_store
from oastfs.store.schema import INODE, ROOT_ID, Inode
from tests.harness.cluster import Cluster
from tests.harness.command import Command, peak_mebibytes


@pytest.fixture
def oast(metadata_url: str, tmp_path: Path) -> Command:
    with connect(metadata_url) as fs:
        fs.makedirs("/d/e")
        for number in range(5):
            fs.write_bytes(f"/d/e/{number}, with\na break", b"x" * number)
    return Command(metadata_url, tmp_path)


def test_forms_of_output(oast: Command, metadata_url: str) -> None:
    sql = "select path, size, null as nothing from files order by size desc"
    rows = oast.json("query", sql)
    assert [row["size"] for row in rows] == [4, 3, 2, 1, 0]
    assert rows[0] == {"path": "/d/e/4, with\na break", "size": 4, "nothing": None}
    read = list(csv.DictReader(io.StringIO(oast("query", sql, "--format", "csv"))))
    assert [row["path"] for row in read] == [row["path"] for row in rows]
    assert read[0]["nothing"] == ""
    table = oast.lines("query", "select path, total_size from directories order by path")
    assert table == ["path  total_size", "/             10", "/d            10", "/d/e          10"]
    assert oast("query", "--metadata", metadata_url, "-", stdin=b"select 40 + 2 as n") == " n\n42\n"
    assert oast(
        "query", "--store", metadata_url.removeprefix("lmdb://"), "select 1 as n, 2 as n", "--json"
    ) == ('[\n{"n": 1, "n_1": 2}\n]\n')
    assert any(line.startswith("files        path") for line in oast.lines("query", "--tables"))
    assert {"table", "column", "type", "meaning"} == set(oast.json("query", "--tables")[0])


def test_a_file_can_be_written(oast: Command, tmp_path: Path) -> None:
    oast("query", "copy (select path, size from files) to 'files.parquet'")
    assert (tmp_path / "files.parquet").stat().st_size > 0


def test_what_is_refused(oast: Command, tmp_path: Path) -> None:
    assert 'column "nope" not found' in oast.fails("query", "select nope from files")
    assert "syntax error" in oast.fails("query", "selec")
    assert "what is the question" in oast.fails("query", code=2)
    assert "no store" in oast.fails("query", "--store", tmp_path / "nothing", "select 1 from files")
    assert "--store or --metadata" in oast.fails(
        "query", "--store", "/x", "--metadata", "lmdb:///x", "s", code=2
    )
    oast.environment["OASTFS_URL"] = "oastfs://localhost:8020"
    assert "which metadata store" in oast.fails("query", "select 1", code=2)


def test_without_duckdb_it_says_what_to_install(oast: Command) -> None:
    for package in ("duckdb", "pyarrow"):
        program = f"import sys; sys.modules['{package}'] = None\nfrom oastfs.cli import main\nmain()"
        done = subprocess.run(
            [sys.executable, "-c", program, "query", "select 1"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert f"the package {package}" in done.stderr
        assert "pip install 'oastfs[query]'" in done.stderr


def test_blocks_of_real_datanodes(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make_cluster(datanodes=2, replication=2, format_options=["--block-size", "1048576"])
    with connect(cluster.url) as fs:
        fs.write_bytes("/large", bytes(5 << 19))
    oast = Command(cluster.metadata_url, tmp_path)
    sql = "select path, size, space, blocks, inline, replication from files"
    assert oast.json("query", sql) == [
        {"path": "/large", "size": 5 << 19, "space": 5 << 20, "blocks": 3, "inline": False, "replication": 2}
    ]
    sql = "select count(*) as n, min(replicas) as fewest, sum(b.size) as bytes from blocks b"
    assert oast.json("query", sql) == [{"n": 3, "fewest": 2, "bytes": 5 << 19}]
    sql = "select port, count(*) as n from replicas join datanodes using (datanode_id) group by 1 order by 1"
    ports = sorted(datanode.port for datanode in cluster.datanodes)
    assert oast.json("query", sql) == [{"port": port, "n": 3} for port in ports]
    assert {row["state"] for row in oast.json("query", "select state from datanodes")} == {"live"}


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_namespace(metadata_url: str, tmp_path: Path) -> None:
    """With 64 MB for DuckDB, twice 90 MB of long names that pass through it take no more than twice 30."""
    store = open_store(metadata_url)
    peaks = []
    for number in range(450_000):
        if number % 10_000 == 0:
            inodes = [Inode(n + 5000, 0o100644, 1, 1, n, 1, 2, 3) for n in range(number, number + 10_000)]
            store.load(INODE, [((ROOT_ID, f"{'n' * 180}{one.id:08}"), one) for one in inodes])
        if number in (150_000, 449_999):
            sql = "select count(*), max(path), sum(size) from files"
            peak = peak_mebibytes("query", "--metadata", metadata_url, "--memory", "64MB", sql)
            # The pages of LMDB's file count as well, though the kernel may take them back at any time.
            peaks.append(peak - (store.usage()[0] >> 20))
    store.close()
    print(f"peaks in MiB, without LMDB's file: {peaks}")
    assert peaks[1] < peaks[0] + 50
