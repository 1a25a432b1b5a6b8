"""kill -9 of every kind of process under a mixed load: what was acknowledged is there, nothing is torn."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, Mount
from tests.harness.load import verify
from tests.harness.process import Server
from tests.harness.waiting import wait_until

KILLS = 20
PAUSE_SECONDS = 1.0
ROOT_OF_TESTS = Path(__file__).parents[2]


class Worker(Server):
    """A load process."""

    def __init__(self, cluster: Cluster, number: int, target: str) -> None:
        self.number, self.target = number, target
        self.journal = cluster.directory / f"journal-{number}"
        arguments = [
            sys.executable,
            "-m",
            "tests.harness.load",
            target,
            str(number),
            str(self.journal),
            "3600",
        ]
        super().__init__(
            f"worker-{number}",
            arguments,
            cluster.directory / f"worker-{number}.log",
            {"PYTHONPATH": str(ROOT_OF_TESTS)},
        )

    def check(self) -> int:
        """Verify all slots; how many operations were acknowledged."""
        return verify(self.target, self.number, self.journal)


def restart(server: Server) -> None:
    """Start a killed process again; a mount's stale mount point is its own business."""
    server.start()
    wait_until(lambda: server.alive, f"{server.name} after its restart")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1])
def test_kill_everything(make_cluster: Callable[..., Cluster], seed: int) -> None:
    """Twenty kills, spread over namenodes, datanodes, the mount and the clients."""
    chance = random.Random(seed)
    cluster = make_cluster(
        namenodes=2,
        datanodes=3,
        replication=2,
        format_options=["--block-size", "1048576"],
        namenode_options=["--dead-after", "5"],
    )
    cluster.allow_in_logs(".*")  # peers that vanish are reported: that is the point of the test
    mount_point = cluster.mount()
    workers = [
        Worker(cluster, 1, cluster.url),
        Worker(cluster, 2, cluster.metadata_url),
        Worker(cluster, 3, str(mount_point)),
    ]
    for worker in workers:
        worker.start()
    kinds: list[list[Server]] = [
        list(cluster.namenodes),
        list(cluster.datanodes),
        list(cluster.mounts),
        list(workers),
    ]
    try:
        for number in range(KILLS):
            time.sleep(PAUSE_SECONDS)  # let work be under way
            victim = chance.choice(kinds[number % len(kinds)])
            print(f"kill {number}: {victim.name}")
            if isinstance(victim, Worker):
                victim.check_alive()
            victim.kill()
            restart(victim)
        acknowledged = _settle_and_check(cluster, workers)
    finally:
        for worker in workers:
            if worker.alive:
                worker.kill()
    assert min(acknowledged) > 20, f"too little was done to prove anything: {acknowledged}"


def _settle_and_check(cluster: Cluster, workers: list[Worker]) -> list[int]:
    for worker in workers:
        worker.check_alive()  # a worker that found a wrong byte has ended
        worker.kill()
    cluster.wait_for_namenodes()
    cluster.wait_for_datanodes(len(cluster.datanodes))
    acknowledged = [worker.check() for worker in workers]
    print(f"acknowledged operations: {acknowledged}")
    mount = cluster.mounts[0]
    assert isinstance(mount, Mount)
    listing = subprocess.run(
        ["ls", "-lR", str(mount.path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert listing.returncode == 0, listing.stderr
    return acknowledged
