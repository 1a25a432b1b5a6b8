"""A whole filesystem whose metadata is on three PostgreSQL servers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from oastfs.client import connect
from oastfs.core.errors import AlreadyExists
from oastfs.core.types import SUPERUSER
from oastfs.store import open_store
from oastfs.store.sql_driver.shards.store import ShardedStore
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.postgresql import ShardServers
from tests.harness.up import Up

SMALL = b"small" * 100
LARGE = os.urandom(3 << 20)


@pytest.fixture
def empty_shards(shard_servers: ShardServers) -> Iterator[list[str]]:
    """Three databases without anything in them."""
    urls = shard_servers.create_databases()
    yield urls
    for server, url in zip(shard_servers.servers, urls, strict=True):
        server.drop_database(url.rpartition("/")[2])


@pytest.mark.timeout(300)
def test_up_on_three_shards(tmp_path: Path, empty_shards: list[str]) -> None:
    """Through namenodes, in direct mode, and by fsspec: all see the same."""
    options = [word for url in empty_shards for word in ("--metadata", url)]
    up = Up(tmp_path, *options, "--namenodes", "2")
    up.start()
    try:
        up.wait_ready()
        with connect(up.url) as fs, connect(metadata=empty_shards) as direct:
            for number in range(12):
                fs.makedirs(f"/d{number}/sub")
                fs.write_bytes(f"/d{number}/sub/small", SMALL + bytes([number]))
            fs.write_bytes("/large", LARGE)
            assert direct.read_bytes("/large") == LARGE
            for number in range(6):
                direct.rename(f"/d{number}/sub", f"/d{number + 6}/moved")
            for number in range(6):
                assert fs.read_bytes(f"/d{number + 6}/moved/small") == SMALL + bytes([number])
                assert not fs.exists(f"/d{number}/sub")
            direct.write_bytes("/direct", SMALL)
            assert fs.read_bytes("/direct") == SMALL
        by_fsspec = fsspec.filesystem("oastfs", metadata=empty_shards, skip_instance_cache=True)
        assert by_fsspec.cat_file("/direct") == SMALL
        by_fsspec.rm("/d7", recursive=True)
        assert not by_fsspec.exists("/d7/moved")
        joined = ",".join(empty_shards)
        assert run_oastfs("cat", f"{joined}!/direct").stdout == SMALL.decode()
        mounted = tmp_path / "mounted"
        run_oastfs("mount", joined, str(mounted))
        try:
            (mounted / "d8" / "by the mount").write_bytes(SMALL)
            (mounted / "d8" / "by the mount").rename(mounted / "d9" / "moved there")
            assert by_fsspec.cat_file("/d9/moved there") == SMALL
        finally:
            run_oastfs("umount", str(mounted))
    finally:
        up.ensure_stopped()
    up.check_logs()
    run_oastfs("fsck", *empty_shards)
    store = open_store(empty_shards)
    assert isinstance(store, ShardedStore)
    assert all(not store.recovery.prepared(number) for number in range(3))
    store.close()
    wrong = run_oastfs("fsck", *empty_shards[::-1], check=False)
    assert wrong.returncode != 0
    assert "shards in their order" in wrong.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [800, pytest.param(10_000, marks=pytest.mark.long)])
def test_creates_in_one_directory_by_eight_clients(
    empty_shards: list[str], make_cluster: Callable[..., Cluster], count: int
) -> None:
    """Through three namenodes: each name is there, once, and every client made what it was told it made."""
    cluster = make_cluster(namenodes=3, datanodes=0, metadata=empty_shards)
    with connect(cluster.url) as fs:
        fs.makedirs("/d")
    made: list[list[str]] = [[] for _ in range(8)]
    errors: list[BaseException] = []

    def create(number: int) -> None:
        try:
            with connect(cluster.namenodes[number % 3].url) as fs:
                # Every name is tried by two clients: one of them is told that it is there.
                for name in range(number // 2, count, 4):
                    try:
                        fs.metadata.create(SUPERUSER, f"/d/{name}")
                        made[number].append(str(name))
                    except AlreadyExists:
                        continue
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(280)
        assert not thread.is_alive(), "a client hangs"
    assert errors == []
    everything = sorted(name for some in made for name in some)
    assert everything == sorted(str(name) for name in range(count))
    with connect(cluster.url) as fs:
        assert sorted(entry.name for entry in fs.listdir("/d")) == everything
