"""A whole filesystem whose metadata is on three PostgreSQL servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from oastfs.client import connect
from oastfs.store import open_store
from oastfs.store.sql_driver.shards.store import ShardedStore
from tests.harness.cluster import run_oastfs
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
