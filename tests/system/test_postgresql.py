"""A whole filesystem whose metadata is in a PostgreSQL database."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from oastfs.client import connect
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.up import Up

SMALL = b"small" * 100
LARGE = os.urandom(3 << 20)


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
