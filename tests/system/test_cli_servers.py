"""The command through namenodes, with blocks on datanodes: what direct mode does not show."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.command import Command
from tests.harness.up import is_listening
from tests.harness.waiting import wait_until


@pytest.fixture
def oast(cluster: Cluster, tmp_path: Path) -> Command:
    return Command(cluster.url, tmp_path)


def test_large_and_small_files_come_back(oast: Command, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number, size in enumerate([0, 1, 65_536, 65_537, 1 << 20, 9_000_001]):
        (source / f"{number}").write_bytes(os.urandom(size))
    oast("put", "-p", source, "/tree")
    oast("cp", "-rp", "/tree", "/copy")
    oast("get", "-p", "/copy", tmp_path / "back")
    subprocess.run(["diff", "-r", source, tmp_path / "back"], check=True)
    assert oast.run("cat", "/tree/5").stdout == (source / "5").read_bytes()
    assert oast.run("tail", "-c", 70_000, "/tree/4").stdout == (source / "4").read_bytes()[-70_000:]
    assert [record["inline"] for record in oast.json("ls", "/tree")] == [True] * 3 + [False] * 3


def test_status(oast: Command, cluster: Cluster) -> None:
    oast("put", "-", "/large", stdin=b"x" * 100_000)
    status = oast.json("status")
    assert status["space"]["datanodes_live"] == 1
    assert status["filesystem"]["replication"] == 1
    assert [d["data_port"] for d in status["datanodes"]] == [cluster.datanodes[0].port]
    text = oast("status")
    assert "state: healthy" in text
    assert f"127.0.0.1:{cluster.datanodes[0].port}" in text
    assert oast.json("datanodes")[0]["state"] == "live"
    assert oast.lines("datanodes")[0].split()[:3] == ["id", "address", "state"]
    space = oast.json("df")
    assert space["capacity"] > space["remaining"] > 0


def test_a_second_namenode_takes_over(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make_cluster(namenodes=2)
    oast = Command(cluster.url, tmp_path)
    oast("put", "-", "/f", stdin=b"x" * 100_000)
    cluster.namenodes[0].kill()
    assert len(oast("cat", "/f")) == 100_000
    oast("mkdir", "/d")
    cluster.namenodes[0].start()
    cluster.wait_for_namenodes()


def test_mount_in_the_background(oast: Command, cluster: Cluster, tmp_path: Path) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")
    mountpoint = tmp_path / "mnt"
    try:
        assert str(mountpoint) in oast("mount", cluster.url, mountpoint)
        (mountpoint / "f").write_text("x")
        assert oast("cat", "/f") == "x"
    finally:
        oast("umount", mountpoint)
    assert not os.path.ismount(mountpoint)
    assert "oastfs" in oast.fails("umount", mountpoint)
    assert "oastfs: " in oast.fails("mount", "oastfs://127.0.0.1:1", mountpoint)


def test_a_busy_mount_says_so(oast: Command, cluster: Cluster, tmp_path: Path) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")
    mountpoint = cluster.mount()
    with (mountpoint / "f").open("w"):
        assert "-l" in oast.fails("umount", mountpoint)
    oast("umount", mountpoint)


@pytest.mark.parametrize("part", ["namenode", "datanode"])
def test_port_in_use(part: str, cluster: Cluster, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        place = cluster.metadata_url if part == "namenode" else tmp_path / "volume"
        done = run_oastfs(part, place, "--port", port, "--http-port", "0", check=False)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["namenode", "lmdb:///nowhere/at/all", "--port", "0"], 1, "/nowhere/at/all"),
        (["namenode", "lmdb:///etc", "--port", "0"], 1, "/etc"),
        (["namenode", "postgresql+psycopg2://u@127.0.0.1:9/db", "--port", "0"], 1, "does not answer"),
        (["namenode", "lmdb:///x", "--host", "0.0.0.0"], 2, "--insecure"),
        (["datanode", "/tmp/x", "--host", "::"], 2, "--insecure"),
        (["datanode", "/proc/nowhere", "--port", "0"], 1, "/proc/nowhere"),
        (["format", "oastfs://localhost:8020"], 1, "oastfs://localhost:8020"),
        (["format", "lmdb:///proc/nowhere"], 1, "/proc/nowhere"),
        (["mount", "lmdb:///nowhere", "/nowhere/mnt", "--foreground"], 1, "/nowhere"),
        (["umount", "/nowhere"], 1, "/nowhere"),
    ],
)
def test_wrong_use_of_servers(arguments: list[str], code: int, message: str) -> None:
    if arguments[0] in ("namenode", "datanode"):
        arguments = [*arguments, "--http-port", "0"]
    if arguments[0] == "namenode":
        arguments = [*arguments, "--control-port", "0"]
    done = run_oastfs(*arguments, check=False)
    assert done.returncode == code, done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_formatting_twice_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path / 'store'}"
    run_oastfs("format", url)
    oast = Command(url, tmp_path)
    oast("touch", "/f")
    assert "already" in oast.fails("format", url)
    assert oast.lines("ls") == ["f"]
    assert "inline limit" in oast.fails("format", f"{url}-other", "--inline-limit", "1G")
    assert "block size" in oast.fails("format", f"{url}-other", "--block-size", "1000")


def test_servers_stop_on_both_signals(cluster: Cluster) -> None:
    for server in (cluster.datanodes[0], cluster.namenodes[0]):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(server.pid, number)
            assert server.wait() == 0, server.name
            server.start()
            wait_until(partial(is_listening, server.port), f"{server.name} to listen", 30)


def test_put_reports_a_filesystem_without_datanodes(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = make_cluster(datanodes=0)
    oast = Command(cluster.url, tmp_path)
    oast("put", "-", "/small", stdin=b"x" * 65_536)
    assert "datanode" in oast.fails("put", "-", "/large", stdin=b"x" * 65_537)


def test_get_ends_when_the_namenode_does(oast: Command, cluster: Cluster, tmp_path: Path) -> None:
    for number in range(3):
        oast("put", "-", f"/{number}", stdin=b"x" * 1000)
    cluster.namenodes[0].kill()
    error = oast.fails("get", "/0", tmp_path / "out")
    assert "namenode" in error
    cluster.namenodes[0].start()
    cluster.wait_for_namenodes()
    wait_until(lambda: oast.run("get", "/0", tmp_path / "out").returncode == 0, "the namenode")


def test_servers_tell_a_service_manager_that_they_are_ready(tmp_path: Path) -> None:
    """As systemd's units of Type=notify want it; each once it serves."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(f"{tmp_path}/notify")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
            cluster = Cluster(tmp_path / "cluster", datanodes=1)
            with cluster:
                assert [manager.recv(100) for _ in range(2)] == [b"READY=1\n"] * 2
                cluster.mount()
                assert manager.recv(100) == b"READY=1\n"
