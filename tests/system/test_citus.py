"""A whole filesystem whose metadata is on Citus: a coordinator and two workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from oastfs.client import connect
from oastfs.store import open_store
from oastfs.store.sql_driver.citus.store import CitusStore
from tests.harness.citus import CitusCluster
from tests.harness.cluster import Cluster, run_oastfs

pytestmark = pytest.mark.long

SMALL = b"small" * 100
LARGE = os.urandom(3 << 20)


@pytest.fixture
def empty_citus_database(citus_cluster: CitusCluster) -> Iterator[str]:
    """The name of a database with the extension and nothing else in it."""
    name = citus_cluster.create_database()
    yield name
    assert citus_cluster.settled(name), citus_cluster.prepared(name)


@pytest.mark.timeout(600)
def test_all_faces_of_a_filesystem_on_citus(
    citus_cluster: CitusCluster, empty_citus_database: str, make_cluster: Callable[..., Cluster]
) -> None:
    """Through namenodes, in direct mode and by the mount: all see the same, a worker's crash or not."""
    url = citus_cluster.url(empty_citus_database)
    cluster = make_cluster(
        namenodes=2,
        datanodes=1,
        replication=1,
        metadata=[url],
        format_options=["--block-size", "1048576"],
    )
    cluster.allow_in_logs(r"namenode.*(lost|unreachable|unavailable|cannot be reached|worker failed)")
    first, second = cluster.namenodes
    with connect(first.url) as one, connect(second.url) as other, connect(metadata=url) as direct:
        for number in range(12):
            one.makedirs(f"/d{number}/sub")
            one.write_bytes(f"/d{number}/sub/small", SMALL + bytes([number]))
        one.write_bytes("/large", LARGE)
        assert other.read_bytes("/large") == direct.read_bytes("/large") == LARGE
        for number in range(6):
            other.rename(f"/d{number}/sub", f"/d{number + 6}/moved")
        for number in range(6):
            assert one.read_bytes(f"/d{number + 6}/moved/small") == SMALL + bytes([number])
            assert not one.exists(f"/d{number}/sub")
        mounted = cluster.mount(cluster.url)
        (mounted / "d8" / "by the mount").write_bytes(SMALL)
        (mounted / "d8" / "by the mount").rename(mounted / "d9" / "moved there")
        assert one.read_bytes("/d9/moved there") == SMALL
        worker = citus_cluster.workers[0]
        worker.crash()
        worker.start()
        for number in range(6):
            assert other.read_bytes(f"/d{number + 6}/moved/small") == SMALL + bytes([number])
            direct.write_bytes(f"/d{number}/after", SMALL)
            assert (mounted / f"d{number}" / "after").read_bytes() == SMALL
        other.rmtree("/d7")
        assert not direct.exists("/d7/moved")
    store = open_store(url)
    assert isinstance(store, CitusStore)
    store.close()
    assert run_oastfs("cat", f"{url}!/d9/moved there").stdout == SMALL.decode()
    nodes = citus_cluster.coordinator.execute(
        "SELECT count(DISTINCT nodename || nodeport) FROM citus_shards", empty_citus_database
    )
    assert nodes[0][0] == len(citus_cluster.workers), "the rows are to be on all workers"
