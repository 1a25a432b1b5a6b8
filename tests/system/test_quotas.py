"""Quotas while many write at once, through several namenodes and past them: never one name too many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from oastfs.client.filesystem import Filesystem, connect
from oastfs.core.errors import NameQuotaExceeded, SpaceQuotaExceeded
from oastfs.core.types import SUPERUSER, Fault, WriteRequest
from tests.harness.cluster import Cluster

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("quotas"), namenodes=2, datanodes=0) as cluster:
        yield cluster


@pytest.fixture
def clients(cluster: Cluster) -> Iterator[list[Filesystem]]:
    """Two of each namenode, and two in direct mode."""
    urls = [*(namenode.url for namenode in cluster.namenodes), cluster.metadata_url]
    with ExitStack() as opened:
        yield [opened.enter_context(connect(url, caller=SUPERUSER)) for url in urls * 2]


def test_no_name_too_many(clients: list[Filesystem]) -> None:
    clients[0].metadata.mkdirs(SUPERUSER, "/names")
    clients[0].metadata.set_quota(SUPERUSER, "/names", 101, -1)

    def fill(number: int) -> int:
        for made in range(200):
            try:
                clients[number].metadata.mkdirs(SUPERUSER, f"/names/{number}-{made}")
            except NameQuotaExceeded:
                return made
        raise AssertionError("the quota was never reached")

    with ThreadPoolExecutor(len(clients)) as threads:
        made = list(threads.map(fill, range(len(clients))))
    assert sum(made) == 100
    for client in clients:
        usage = client.metadata.quota_usage(SUPERUSER, "/names")
        assert (usage.names, usage.name_quota) == (101, 101)


def test_no_byte_too_many(clients: list[Filesystem]) -> None:
    clients[0].metadata.mkdirs(SUPERUSER, "/space")
    clients[0].metadata.set_quota(SUPERUSER, "/space", -1, 1_000_000)

    def fill(number: int) -> int:
        """Bytes that were written, in batches of which a part may be refused."""
        written = 0
        for count in range(100):
            requests = [
                WriteRequest(f"/space/{number}-{count}-{one}", b"x" * (1_000 + one)) for one in range(10)
            ]
            answers = clients[number].metadata.write_many(SUPERUSER, requests)
            for request, answer in zip(requests, answers, strict=True):
                if not isinstance(answer, Fault):
                    written += len(request.data)
            if any(isinstance(answer, Fault) for answer in answers):
                return written
        raise AssertionError("the quota was never reached")

    with ThreadPoolExecutor(len(clients)) as threads:
        written = sum(threads.map(fill, range(len(clients))))
    usage = clients[0].metadata.quota_usage(SUPERUSER, "/space")
    assert usage.space == written and 998_000 < written <= 1_000_000
    with pytest.raises(SpaceQuotaExceeded):
        clients[1].metadata.write_file(SUPERUSER, "/space/more", b"x" * 2_000)


def test_the_first_quota_holds_for_who_writes_already(clients: list[Filesystem]) -> None:
    """A directory is given its quota while others fill it: from then on none of them may pass it."""
    clients[0].metadata.mkdirs(SUPERUSER, "/late")

    def fill(number: int) -> None:
        for count in range(300):
            try:
                clients[number].metadata.mknod(SUPERUSER, f"/late/{number}-{count}", 0o644)
            except NameQuotaExceeded:
                return

    with ThreadPoolExecutor(len(clients)) as threads:
        filling = [threads.submit(fill, number) for number in range(1, len(clients))]
        while len(clients[0].metadata.listdir(SUPERUSER, "/late").entries) < 50:
            assert not all(one.done() for one in filling)
        clients[0].metadata.set_quota(SUPERUSER, "/late", 400, -1)
        for one in filling:
            one.result()
    usage = clients[0].metadata.quota_usage(SUPERUSER, "/late")
    entries = len(clients[0].metadata.listdir(SUPERUSER, "/late", "", 10_000).entries)
    assert usage.names == entries + 1 == 400
