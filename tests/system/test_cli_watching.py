"""`oastfs stats` and `oastfs profile` on a filesystem at work."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from oastfs.client import connect
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.command import Command


@contextmanager
def at_work(cluster: Cluster, mount: Path | None) -> Iterator[None]:
    """Small and large files are written and read until the end."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with connect(cluster.url) as fs:
                while not stop.is_set():
                    fs.write_bytes("/small", b"x")
                    fs.write_bytes("/large", bytes(1 << 20))
                    fs.read_bytes("/large")
                    fs.exists("/nowhere")
                    if mount is not None:
                        (mount / "other").write_bytes(b"y")
                        os.stat(mount / "small")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not failures, failures


@pytest.fixture
def mounted(make_cluster: Callable[..., Cluster]) -> tuple[Cluster, Path | None]:
    """Two namenodes, a datanode, and a mount where that can be."""
    cluster = make_cluster(namenodes=2)
    return cluster, cluster.mount() if os.path.exists("/dev/fuse") else None


def test_stats_of_all_parts(mounted: tuple[Cluster, Path | None], tmp_path: Path) -> None:
    cluster, mount = mounted
    oast = Command(cluster.url, tmp_path)
    with at_work(cluster, mount):
        record = oast.json("stats", "--once", "--interval", "2")
        text = oast("stats", cluster.metadata_url, "--count", "2", "--interval", "0.5")
        lines = oast.lines("stats", "--json", "--count", "2", "--interval", "0.3")
    assert len([json.loads(line) for line in lines]) == 2
    parts = {(part["kind"], part["name"]): part for part in record["parts"]}
    namenodes = [part for (kind, _), part in parts.items() if kind == "namenode"]
    assert len(namenodes) == 2
    assert sum(part["figures"]["leader"] for part in namenodes) == 1
    operations = {one["kind"]: one for one in record["operations"]}
    assert operations["write_file"]["per_second"] > 0
    assert 0 < operations["write_file"]["mean_ms"] < 10_000
    assert operations["write_file"]["p99_ms"] > 0
    assert operations["stat"]["errors_per_second"] > 0
    (datanode,) = [part for (kind, _), part in parts.items() if kind == "datanode"]
    assert datanode["figures"]["written_bytes_per_second"] > 0
    if mount is not None:
        assert parts["mount", str(mount)]["per_second"] > 0
        timed = [one for one in record["mount_operations"] if one["mean_ms"] is not None]
        assert timed
        assert all(one["mean_ms"] > 0 for one in timed)
        assert str(mount) in text
    assert text.count("namenode  ") == 2
    assert "write_file" in text


def test_a_namenode_that_is_gone_is_told(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make_cluster(namenodes=2, datanodes=0)
    cluster.namenodes[1].kill()
    record = Command(cluster.namenodes[0].url, tmp_path).json("stats", "--once", "--interval", "0.3")
    assert ["does not answer" in part["amiss"] for part in record["parts"]].count(True) == 1


def test_profiles_of_all_parts(mounted: tuple[Cluster, Path | None], tmp_path: Path) -> None:
    cluster, mount = mounted
    oast = Command(cluster.url, tmp_path)
    with at_work(cluster, mount):
        servers = {"namenode": cluster.namenodes[0], "datanode": cluster.datanodes[0]}
        if mount is not None:
            servers["fuse"] = cluster.mounts[0]
        for name, server in servers.items():
            told = oast("profile", server.pid, "--seconds", "1.5", "-o", f"{name}.svg")
            assert told.startswith(f"{name}.svg: ")
            names = {g.get("data-n", "") for g in ElementTree.parse(tmp_path / f"{name}.svg").iter()}
            assert any(one.startswith(f"oastfs/{name}/") for one in names), (name, names)
        for server in (cluster.namenodes[0], cluster.datanodes[0]):
            address = f"127.0.0.1:{server.http_port}"
            text = oast("profile", address, "--seconds", "0.5", "--wall", "--folded", "-o", "-")
            assert "MainThread;" in text
            oast("profile", f"http://{address}/", "--seconds", "0.2")
            assert (tmp_path / f"profile-{address.replace(':', '-')}.svg").exists()


def test_what_cannot_be_profiled(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make_cluster(datanodes=0)
    oast = Command(cluster.url, tmp_path)
    assert "no part of OastFS" in oast.fails("profile", os.getpid())
    assert "not HTTP" in oast.fails("profile", f"127.0.0.1:{cluster.namenodes[0].port}")
    assert "neither the id" in oast.fails("profile", "somewhere", code=2)
    assert "give a PID" in oast.fails("profile", "localhost:1", "--py-spy", code=2)
    cluster.namenodes[0].terminate()
    assert "does not answer" in oast.fails("profile", f"127.0.0.1:{cluster.namenodes[0].http_port}")


def test_py_spy_looks_from_outside_where_it_may(cluster: Cluster, tmp_path: Path) -> None:
    pid = str(cluster.namenodes[0].pid)
    done = run_oastfs(
        "profile", pid, "--py-spy", "--wall", "--seconds", "1", "-o", tmp_path / "out.svg", check=False
    )
    if done.returncode == 0:
        assert "oastfs" in (tmp_path / "out.svg").read_text()
    else:
        assert "py-spy may not look" in done.stderr
