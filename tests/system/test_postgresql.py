"""A whole filesystem whose metadata is in a PostgreSQL database."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oastfs.client import connect
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.postgresql import PostgresServer
from tests.harness.up import Up
from tests.harness.waiting import wait_until

SMALL = b"small" * 100
LARGE = os.urandom(3 << 20)


@pytest.fixture
def crashing_postgresql() -> Iterator[PostgresServer]:
    """A server of the test's own."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.mark.timeout(300)
def test_two_namenodes_one_of_which_is_killed(
    empty_database: str, make_cluster: Callable[..., Cluster]
) -> None:
    cluster = make_cluster(
        namenodes=2,
        datanodes=1,
        replication=1,
        metadata=[empty_database],
        format_options=["--block-size", "1048576"],
    )
    cluster.allow_in_logs(r"namenode.*(lost|unreachable|unavailable|cannot be reached)")
    first, second = cluster.namenodes
    with connect(first.url) as one, connect(second.url) as other:
        for number in range(20):
            one.makedirs(f"/d{number % 3}", exist_ok=True)
            one.write_bytes(f"/d{number % 3}/small{number}", SMALL + bytes([number]))
        one.write_bytes("/large", LARGE)
        assert other.read_bytes("/large") == LARGE
        assert other.read_bytes("/d1/small1") == SMALL + b"\x01"
        other.rename("/d1", "/moved")
        assert not one.exists("/d1")
    with connect(cluster.url) as fs:
        fs.write_bytes("/before", SMALL)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        fs.write_bytes("/after", LARGE[: 2 << 20])
        assert fs.read_bytes("/before") == SMALL
        assert fs.read_bytes("/after") == LARGE[: 2 << 20]
        assert fs.read_bytes("/moved/small4") == SMALL + b"\x04"
    first.start()
    with connect(empty_database) as direct:
        assert direct.read_bytes("/after") == LARGE[: 2 << 20]
        direct.write_bytes("/direct", SMALL)
    assert run_oastfs("cat", f"{empty_database}!/direct").stdout.encode() == SMALL


@pytest.mark.timeout(300)
def test_a_crash_of_the_database_loses_nothing_that_was_acknowledged(
    crashing_postgresql: PostgresServer, make_cluster: Callable[..., Cluster]
) -> None:
    """Twice, under four writers. Calls wait for the server; those just being committed are asked again."""
    server = crashing_postgresql
    url = server.url(server.create_database())
    cluster = make_cluster(namenodes=2, datanodes=0, metadata=[url])
    cluster.allow_in_logs(".*")  # a database that is gone is complained of
    acknowledged: list[str] = []
    refused: list[str] = []
    stop = threading.Event()

    def write(number: int) -> None:
        with connect(cluster.url) as fs:
            turn = 0
            while not stop.is_set():
                turn += 1
                path = f"/{number}.{turn}"
                try:
                    fs.write_bytes(path, path.encode())
                    acknowledged.append(path)
                except OSError as error:
                    refused.append(str(error))

    def wait_for_files(what: str) -> None:
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 50, what, 60)

    writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(2):
        wait_for_files("files to be written")
        server.stop(signal.SIGQUIT)
        server.start()
    wait_for_files("files to be written again")
    stop.set()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive(), "a writer hangs"
    assert refused == []
    with connect(cluster.url) as fs:
        found = dict(zip(acknowledged, fs.read_many(acknowledged), strict=True))
    assert found == {path: path.encode() for path in acknowledged}


@pytest.mark.timeout(300)
def test_up_with_its_metadata_in_a_database(tmp_path: Path, empty_database: str) -> None:
    up = Up(tmp_path, "--metadata", empty_database, "--namenodes", "2")
    up.start()
    try:
        up.wait_ready()
        (tmp_path / "file").write_bytes(LARGE)
        run_oastfs("put", str(tmp_path / "file"), f"{up.url}/file")
        assert run_oastfs("ls", f"{empty_database}!/").stdout.split() == ["file"]
        with connect(up.url) as fs:
            assert fs.read_bytes("/file") == LARGE
    finally:
        up.ensure_stopped()
    up.check_logs()
    run_oastfs("fsck", empty_database)


@pytest.mark.timeout(120)
def test_a_mount_straight_on_the_database(empty_database: str, make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(datanodes=1, replication=1, metadata=[empty_database])
    mount = cluster.mount(empty_database)
    (mount / "d").mkdir()
    (mount / "d/small").write_bytes(SMALL)
    (mount / "large").write_bytes(LARGE)
    (mount / "d").rename(mount / "e")
    assert (mount / "e/small").read_bytes() == SMALL
    with connect(cluster.url) as fs:
        assert fs.read_bytes("/large") == LARGE
        fs.write_bytes("/e/other", SMALL)
    wait_until(lambda: (mount / "e/other").read_bytes() == SMALL, "what a namenode's client wrote", 10)
    assert sorted(path.name for path in (mount / "e").iterdir()) == ["other", "small"]
