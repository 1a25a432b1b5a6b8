"""`oastfs up`: the whole of it comes up, stays up, and goes down cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.cli.plan import socket_path
from tests.harness.cluster import run_oastfs
from tests.harness.process import OASTFS
from tests.harness.up import HOST, Up, can_unshare, is_listening, is_running
from tests.harness.waiting import wait_until

# A /dev with all but /dev/fuse, seen by the command that follows only.
WITHOUT_FUSE = (
    "unshare",
    "--mount",
    "bash",
    "-c",
    "keep=$(mktemp -d) && mkdir $keep/nodes $keep/shm && mount --bind /dev/shm $keep/shm"
    " && cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom $keep/nodes"
    " && mount -t tmpfs tmpfs /dev && cp -a $keep/nodes/* /dev && mkdir /dev/shm"
    " && mount --move $keep/shm /dev/shm"
    ' && ln -s /proc/self/fd /dev/fd && exec "$@"',
    "bash",
)

StartUp = Callable[..., Up]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[StartUp]:
    """Start `oastfs up` in the test's directory; whatever is started is stopped at the end."""
    started: list[Up] = []

    def start(*options: str, ready: bool = True, **keywords: Any) -> Up:
        server = Up(tmp_path, *options, **keywords)
        started.append(server)
        server.start()
        if ready:
            server.wait_ready()
        return server

    yield start
    for server in started:
        try:
            server.ensure_stopped()
        finally:
            print(server.log_tails())
            if os.path.ismount(server.mount):
                subprocess.run(["fusermount3", "-uz", str(server.mount)], check=False)


def needs_mount() -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")


def put(server: Up, path: str, data: bytes) -> None:
    command = [OASTFS, "put", "-", server.url + path]
    subprocess.run(command, input=data, check=True, timeout=60)


def cat(url: str) -> str:
    return run_oastfs("cat", url).stdout


def answers(url: str) -> bool:
    return run_oastfs("cat", url, check=False).stdout == "before"


def test_everything_answers_and_stops_cleanly(up: StartUp) -> None:
    needs_mount()
    server = up(mount=True)
    ready = server.wait_ready()
    assert f"hdfs://localhost:{server.port}" in ready
    assert f"oastfs://localhost:{server.port}" in ready
    assert f"mount {server.mount}" in ready
    metrics = f"http://localhost:{server.http_port}/metrics"
    assert metrics in ready
    assert b"oastfs_" in urllib.request.urlopen(metrics, timeout=10).read()

    (server.mount / "by-path").write_bytes(b"1" * 200_000)
    assert cat(f"{server.url}/by-path") == "1" * 200_000
    put(server, "/by-url", b"2")
    assert (server.mount / "by-url").read_text() == "2"
    assert cat(f"{server.metadata_url}!/by-url") == "2"

    children = server.children()
    assert sorted(children) == ["datanode", "mount", "namenode"]
    assert server.terminate() == 0
    assert not os.path.ismount(server.mount)
    assert not any(map(is_running, children.values()))
    assert not is_listening(server.port) and not is_listening(server.datanode_port)
    run_oastfs("fsck", server.metadata_url)
    server.check_logs()


def test_a_second_start_finds_the_data(up: StartUp) -> None:
    first = up()
    assert "new filesystem" in first.log_text()
    put(first, "/small", b"small")
    put(first, "/large", b"0123456789" * 100_000)
    os.kill(first.pid, signal.SIGINT)
    assert first.wait() == 0
    second = up("--replication", "2", "--inline-limit", "1K")
    text = second.log_text()
    assert "existing filesystem" in text
    assert "replication stays 1" in text
    assert "inline limit stays 65536" in text
    assert cat(f"{second.url}/small") == "small"
    assert len(cat(f"{second.url}/large")) == 1_000_000
    assert second.terminate() == 0
    run_oastfs("fsck", second.metadata_url)
    second.check_logs()


def test_several_of_each(up: StartUp) -> None:
    server = up("--namenodes", "2", "--datanodes", "3")
    assert f"localhost:{server.port},localhost:{server.port + 1}" in server.wait_ready()
    assert "replication 3" in server.log_text()
    put(server, "/large", b"x" * 300_000)
    second = f"oastfs://{HOST}:{server.port + 1}"
    assert len(cat(f"{second}/large")) == 300_000
    assert server.terminate() == 0
    run_oastfs("fsck", server.metadata_url)
    server.check_logs()


def test_children_that_die_are_started_again(up: StartUp) -> None:
    needs_mount()
    server = up(mount=True)
    (server.mount / "f").write_text("before")
    for name in ("namenode", "datanode", "mount"):
        pid = server.children()[name]
        os.kill(pid, signal.SIGKILL)

        def again(name: str = name, pid: int = pid) -> bool:
            return server.children().get(name, pid) != pid

        wait_until(again, f"another {name}", 30)
        wait_until(lambda: answers(f"{server.url}/f"), f"an answer after the {name}'s end", 60)
        wait_until(lambda: (server.mount / "f").read_text() == "before", "the mount", 60)
    assert server.log_text().count("was ended by SIGKILL; starting it again") == 3
    put(server, "/large", b"x" * 300_000)
    assert server.terminate() == 0
    assert not os.path.ismount(server.mount)
    run_oastfs("fsck", server.metadata_url)


def test_children_do_not_outlive_a_killed_supervisor(up: StartUp) -> None:
    server = up()
    children = server.children()
    server.kill()
    wait_until(lambda: not any(map(is_running, children.values())), "the end of the parts", 30)


def test_without_fuse_everything_else_comes_up(up: StartUp) -> None:
    if not can_unshare("--mount"):
        pytest.skip("hiding /dev/fuse takes a mount namespace")
    server = up(mount=True, prefix=WITHOUT_FUSE)
    lines = [line for line in server.log_text().splitlines() if line.startswith("no mount")]
    assert len(lines) == 1
    assert "/dev/fuse is missing" in lines[0] and "--device /dev/fuse" in lines[0]
    assert "mount" not in server.wait_ready()
    put(server, "/f", b"x")
    assert cat(f"{server.url}/f") == "x"
    assert server.terminate() == 0


def test_a_port_in_use_is_told(up: StartUp) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = up("--port", str(port), ready=False)
        assert server.wait() == 1
    text = server.log_text()
    assert f"port {port} on {HOST} is in use" in text and "--port" in text
    assert text.count("\n") == 1
    assert not server.store.exists()


def test_a_store_is_run_once(up: StartUp) -> None:
    first = up()
    second = up(ready=False)
    assert second.wait() == 1
    assert f"is run by process {first.pid} already" in second.log_text().splitlines()[-1]


def test_a_directory_of_other_things_is_left_alone(up: StartUp, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.txt").write_text("precious")
    server = up(ready=False)
    assert server.wait() == 1
    assert "other things" in server.log_text()
    assert server.log_text().count("\n") == 1
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "--insecure"),
        (["--datanodes", "-1"], "datanodes"),
        (["--inline-limit", "lots"], "no size"),
    ],
)
def test_wrong_usage(up: StartUp, options: list[str], message: str) -> None:
    server = up(*options, ready=False)
    assert server.wait() == 2
    assert message in server.log_text()
    assert not server.store.exists()


def test_an_open_address_says_what_it_means(up: StartUp) -> None:
    server = up("--host", "0.0.0.0", "--insecure")
    assert "no authentication" in server.log_text()
    assert "no authentication" in (server.store / "logs" / "namenode-1.log").read_text()
    put(server, "/f", b"x")
    assert server.terminate() == 0


def test_the_socket_of_a_long_path(tmp_path: Path) -> None:
    """It is kept in a directory of its own, that must be ours and goes again."""
    long = tmp_path / ("long" * 40)
    server = Up(long)
    directory = socket_path(server.store, "datanode-1").parent
    assert not directory.is_relative_to(server.store)
    server.start()
    try:
        server.wait_ready()
        assert [one.name for one in directory.iterdir()] == ["datanode-1.sock"]
    finally:
        server.ensure_stopped()
    assert not directory.exists()
    directory.mkdir()
    directory.chmod(0o777)
    refused = Up(long)
    refused.start()
    try:
        wait_until(lambda: not is_running(refused.pid), "a refusal", 30)
        assert "is not ours alone" in refused.log_tails()
    finally:
        refused.ensure_stopped()
        directory.rmdir()
