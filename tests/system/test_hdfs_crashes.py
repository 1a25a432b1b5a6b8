"""kill -9 of namenodes, datanodes and clients while an HDFS client writes: what was acknowledged is there."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.harness import hdfs_load
from tests.harness.cluster import HOST, Cluster, Datanode, Namenode
from tests.harness.process import Server
from tests.harness.up import is_listening
from tests.harness.waiting import wait_until

KILLS = 15
PAUSE_SECONDS = 1.0
WORKERS = 3
ROOT_OF_TESTS = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(find_spec("hdfs_native") is None, reason="needs hdfs-native")


class Worker(Server):
    """A load process."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.directory = f"/load-{number}"
        self.journal = cluster.directory / f"journal-{number}"
        namenodes = ",".join(f"{HOST}:{one.port}" for one in cluster.namenodes)
        arguments = [sys.executable, "-m", "tests.harness.hdfs_load", namenodes]
        super().__init__(
            f"worker-{number}",
            [*arguments, self.directory, str(self.journal)],
            cluster.directory / f"worker-{number}.log",
            {"PYTHONPATH": str(ROOT_OF_TESTS)},
        )


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seed", "namenodes"), [(1, 2), (2, 1)])
def test_nothing_that_was_acknowledged_is_lost(
    make_cluster: Callable[..., Cluster], seed: int, namenodes: int
) -> None:
    chance = random.Random(seed)
    cluster = make_cluster(
        namenodes=namenodes, datanodes=3, replication=2, namenode_options=["--dead-after", "5"]
    )
    cluster.allow_in_logs(".*")  # peers that vanish are reported: that is the point of the test
    workers = [Worker(cluster, number) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    kinds: list[list[Server]] = [list(cluster.namenodes), list(cluster.datanodes), list(workers)]
    try:
        for number in range(KILLS):
            time.sleep(PAUSE_SECONDS)  # let work be under way
            victim = chance.choice(kinds[number % len(kinds)])
            print(f"kill {number}: {victim.name}")
            victim.kill()
            victim.start()
            _wait_for(cluster, victim)
        time.sleep(PAUSE_SECONDS)
    finally:
        for worker in workers:
            if worker.alive:
                worker.kill()
    cluster.wait_for_namenodes()
    cluster.wait_for_datanodes(len(cluster.datanodes))
    counts = [_check(cluster, worker) for worker in workers]
    print(f"files, of them acknowledged, inline: {counts}")
    assert min(acknowledged for _, acknowledged, _ in counts) > 10, f"too little was done: {counts}"
    assert sum(inline for _, _, inline in counts) > 10, f"too little was inline: {counts}"


def _wait_for(cluster: Cluster, server: Server) -> None:
    """A server serves again: else all of them would be gone at once, and nothing would be done."""
    if isinstance(server, Namenode):
        cluster.wait_for_namenodes()
    elif isinstance(server, Datanode):
        wait_until(partial(is_listening, server.port), server.name)


def _check(cluster: Cluster, worker: Worker) -> tuple[int, int, int]:
    """Close what a killed writer left open, and compare all files; (all, acknowledged, inline) counts."""
    journal = hdfs_load.read_journal(worker.journal)
    acknowledged_files = inline = 0
    with cluster.connect(keep=False) as fs:
        for number, (acknowledged, attempted) in journal.items():
            path = f"{worker.directory}/{number}"
            if acknowledged < 0 and not fs.exists(path):
                continue
            recover = partial(fs.metadata.recover_lease, fs.caller, path)
            wait_until(recover, f"{path} to be closed", 60)
            found = fs.read_bytes(path)
            assert len(found) >= acknowledged, f"{path}: {len(found)} bytes of {acknowledged}"
            assert len(found) <= attempted, f"{path}: {len(found)} bytes, {attempted} were written"
            assert found == hdfs_load.stream(number, len(found)), f"{path} is not what was written"
            acknowledged_files += acknowledged >= 0
            inline += bool(found) and fs.metadata.open(fs.caller, path, 0, len(found)).data is not None
    return len(journal), acknowledged_files, inline
