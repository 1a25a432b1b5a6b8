"""Three datanodes, replication 2: one dies, one lies, one comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oastfs.store import open_store
from oastfs.store.schema import BLOCK, DATANODE, REPLICA, STORAGE
from oastfs.store.transaction import Transaction
from tests.harness.cluster import Cluster, Datanode
from tests.harness.waiting import wait_until

FILES = 12
FILE_BYTES = 3_000_000
SETTLE_SECONDS = 90


@pytest.fixture
def trio(make_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_cluster(
        datanodes=3,
        replication=2,
        format_options=["--block-size", "1048576"],
        namenode_options=["--dead-after", "4"],
    )
    cluster.allow_in_logs(".*")  # a datanode that vanishes is reported
    return cluster


def content(number: int) -> bytes:
    return bytes([number]) + os.urandom(16) * (FILE_BYTES // 16)


def replicas(cluster: Cluster) -> dict[int, list[tuple[int, bool]]]:
    """Of each block: its good replicas, as (datanode id, whether that datanode is live)."""

    def read(tx: Transaction) -> dict[int, list[tuple[int, bool]]]:
        storages = {key[0]: row.datanode_id for key, row in tx.scan(STORAGE)}
        live = {key[0]: row.state == 0 for key, row in tx.scan(DATANODE)}
        stamps = {row.block_id: row.generation_stamp for _, row in tx.scan(BLOCK)}
        found: dict[int, list[tuple[int, bool]]] = {block_id: [] for block_id in stamps}
        for (block_id, storage_id), row in tx.scan(REPLICA):
            if not row.corrupt and row.generation_stamp >= stamps[int(block_id)]:
                datanode_id = storages[int(storage_id)]
                found[int(block_id)].append((datanode_id, live[datanode_id]))
        return found

    store = open_store(cluster.metadata_url)
    try:
        return store.read(read)
    finally:
        store.close()


def wait_for_replication(cluster: Cluster, what: str, total: int | None = None) -> None:
    """Until every block has two live replicas (and ``total`` in all, if given)."""

    def settled() -> bool:
        found = replicas(cluster)
        live_enough = all(sum(live for _, live in places) == 2 for places in found.values())
        return live_enough and (total is None or all(len(places) == total for places in found.values()))

    wait_until(settled, what, SETTLE_SECONDS, 0.5)


class Traffic(threading.Thread):
    """Reads and writes all the time, and keeps the first error."""

    def __init__(self, filesystem: Any, contents: dict[str, bytes]) -> None:
        super().__init__(daemon=True)
        self.filesystem, self.contents = filesystem, contents
        self.error: BaseException | None = None
        self.rounds = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                for path, data in self.contents.items():
                    assert self.filesystem.read_bytes(path) == data, f"{path}: wrong bytes"
                fresh = content(self.rounds % 256)
                self.filesystem.write_bytes(f"/traffic{self.rounds % 5}", fresh)
                assert self.filesystem.read_bytes(f"/traffic{self.rounds % 5}") == fresh
                self.rounds += 1
        except BaseException as error:
            self.error = error

    def finish(self) -> None:
        self.stopping.set()
        self.join(60)
        assert not self.is_alive(), "reads or writes hang"
        if self.error is not None:
            raise self.error


def filled(cluster: Cluster) -> tuple[Any, dict[str, bytes]]:
    filesystem = cluster.connect()
    contents = {f"/f{number}": content(number) for number in range(FILES)}
    for path, data in contents.items():
        filesystem.write_bytes(path, data)
    return filesystem, contents


@pytest.mark.timeout(400)
def test_a_datanode_dies_and_comes_back(trio: Cluster) -> None:
    filesystem, contents = filled(trio)
    traffic = Traffic(filesystem, contents)
    traffic.start()
    wait_until(lambda: traffic.rounds >= 1 or traffic.error, "traffic")
    victim = trio.datanodes[0]
    victim.kill()
    trio.wait_for_datanodes(2, SETTLE_SECONDS)
    before = traffic.rounds
    wait_until(lambda: traffic.rounds > before or traffic.error, "reads and writes after the loss", 60)
    traffic.finish()
    wait_for_replication(trio, "lost replicas made anew")
    victim.start()
    trio.wait_for_datanodes(3, SETTLE_SECONDS)
    wait_for_replication(trio, "surplus replicas removed", total=2)
    for path, data in contents.items():
        assert filesystem.read_bytes(path) == data


def block_files(datanode: Datanode) -> list[Path]:
    """Data files of final replicas, the largest first."""
    found = [
        path
        for volume in datanode.volumes
        for path in volume.rglob("blk_*")
        if path.is_file() and path.suffix != ".meta" and path.stat().st_size > 100_000
    ]
    return sorted(found, key=lambda path: -path.stat().st_size)


@pytest.mark.timeout(400)
def test_a_corrupt_replica_is_replaced(trio: Cluster) -> None:
    filesystem, contents = filled(trio)
    fullest = max(trio.datanodes, key=lambda datanode: len(block_files(datanode)))
    damaged = block_files(fullest)[:5]
    assert len(damaged) == 5
    for path in damaged:
        with path.open("r+b") as file:
            file.seek(70_000)
            flipped = bytes(byte ^ 0xFF for byte in file.read(8))
            file.seek(70_000)
            file.write(flipped)
    for name, data in contents.items():
        assert filesystem.read_bytes(name) == data

    def healed() -> bool:
        # Readers report what they meet; what they do not meet the scrubber finds in time.
        for path, data in contents.items():
            assert filesystem.read_bytes(path) == data
        return bool(filesystem.statfs().under_replicated == 0) and all(
            len(places) == 2 for places in replicas(trio).values()
        )

    wait_until(healed, "two good replicas of every block", SETTLE_SECONDS, 0.5)


@pytest.mark.timeout(400)
def test_deleted_files_free_their_blocks(trio: Cluster) -> None:
    filesystem, contents = filled(trio)
    for path in contents:
        filesystem.remove(path)
    wait_until(
        lambda: not any(block_files(datanode) for datanode in trio.datanodes),
        "block files of deleted files to go",
        SETTLE_SECONDS,
        0.5,
    )
    assert replicas(trio) == {}
