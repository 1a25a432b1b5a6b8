"""Damaged streams of real clients against running servers: nobody else notices, and nothing is left behind.

The seed is printed; OASTFS_FUZZ_SEED replays it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.inline_blocks import inline_block_id
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, TransferConnection, check_response, read_request
from oastfs.wire.transfer.messages import checksum_request
from tests.harness.cluster import HOST, Cluster
from tests.harness.fuzzing import Deliverer, Fuzzer
from tests.harness.process import Server
from tests.harness.recording import Recording, load

RECORDINGS = Path(__file__).parent / "recordings"
WORKERS = 4
WARM_UP_CASES = 600
GROWTH_BYTES_MAX = 64 * 1024 * 1024
CALL_SECONDS_MAX = 15.0
SMALL = b"healthy" * 100
LARGE = bytes(range(256)) * 2000
VERDICT = b"\x02\x08\x06"


class Health:
    """Another client, whose calls have to go on succeeding, and whose files stay what they are."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._fs = cluster.connect()
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self.calls = 0
        self.longest_seconds = 0.0
        self._fs.mkdir("/healthy")
        self._fs.write_bytes("/healthy/small", SMALL)
        self._fs.write_bytes("/healthy/large", LARGE)
        self.inline = BlockId(inline_block_id(self._fs.stat("/healthy/small").inode_id), 1, len(SMALL))
        opened = self._fs.metadata.open(self._fs.caller, "/healthy/large", 0, len(LARGE))
        block = opened.blocks[0]
        self.block = BlockId(block.block_id, block.generation_stamp, block.length)
        self._running = self._thread.submit(self._run)

    def check(self) -> None:
        """Raise what went wrong so far."""
        if self._running.done():
            self._running.result()

    def finish(self) -> None:
        self._stop.set()
        self._running.result()
        self._thread.shutdown()

    def _run(self) -> None:
        while not self._stop.is_set():
            for call in (self._native, self._from_namenode, self._from_datanode):
                started = time.monotonic()
                call()
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - started)
                self.calls += 1
            time.sleep(0.01)

    def _native(self) -> None:
        path = f"/healthy/{self.calls % 10}"
        self._fs.write_bytes(path, SMALL)
        assert self._fs.read_bytes(path) == SMALL
        assert self._fs.read_bytes("/healthy/large") == LARGE

    def _from_namenode(self) -> None:
        assert _read(self._cluster.namenodes[0].port, self.inline) == SMALL

    def _from_datanode(self) -> None:
        found = _read(self._cluster.datanodes[0].port, self.block)
        assert found == LARGE[: self.block.length]


def _read(port: int, block: BlockId) -> bytes:
    with TransferConnection.open(HOST, port, CALL_SECONDS_MAX) as connection:
        connection.send(read_request(block, 0, block.length))
        check_response(connection.receive_message(pb.BlockOpResponse))
        found = bytearray()
        while not (packet := connection.receive_packet()).header.last:
            found += packet.data
        connection.send(VERDICT)
        return bytes(found)


def _recordings(health: Health) -> list[Recording]:
    """Those in files, and reads of blocks that are there."""
    found = [one for path in sorted(RECORDINGS.glob("*.txt")) for one in load(path)]
    for server, block in (("namenode", health.inline), ("datanode", health.block)):
        reads = [read_request(block, 5, 300) + VERDICT, read_request(block, 0, block.length) + VERDICT]
        reads += [checksum_request(block), checksum_request(block, composite=True)]
        found += [Recording("made", server, b"".join(reads))] * 5
    return found


def _anonymous_bytes(pid: int) -> int:
    """Memory of a process without what it maps of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


def _fuzz(cluster: Cluster, seed: int, seconds: float) -> None:
    health = Health(cluster)
    fuzzer = Fuzzer(seed, _recordings(health), health.block.block_id)
    namenode, datanode = cluster.namenodes[0], cluster.datanodes[0]
    servers: list[Server] = [namenode, datanode]
    ports = {"namenode": namenode.port, "datanode": datanode.port}
    numbers, at_start = count(), [0, 0]
    deadline = time.monotonic() + seconds

    def work() -> int:
        deliverer = Deliverer(ports)
        while time.monotonic() < deadline:
            number = next(numbers)
            if number == WARM_UP_CASES:
                at_start[:] = [_anonymous_bytes(server.pid) for server in servers]
            deliverer.deliver(fuzzer.case(number))
            for server in servers:
                server.check_alive()
            health.check()
        deliverer.close()
        return deliverer.answered

    with ThreadPoolExecutor(WORKERS) as executor:
        answered = sum(one.result() for one in [executor.submit(work) for _ in range(WORKERS)])
    cases = next(numbers)
    health.finish()
    print(f"{cases} cases, {health.calls} calls beside them, the longest {health.longest_seconds:.2f} s")
    assert cases > 2 * WARM_UP_CASES and health.calls > 10
    assert answered > cases // 50, "hardly any undamaged stream was answered"
    assert health.longest_seconds < CALL_SECONDS_MAX
    for server, before in zip(servers, at_start, strict=True):
        grown = _anonymous_bytes(server.pid) - before
        print(f"{server.name} has grown by {grown / 2**20:.1f} MiB")
        assert grown < GROWTH_BYTES_MAX, f"{server.name} has grown by {grown} bytes"


def _seed() -> int:
    seed = int(os.environ.get("OASTFS_FUZZ_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"OASTFS_FUZZ_SEED={seed}")
    return seed


def test_damaged_streams(make_cluster: Callable[..., Any]) -> None:
    _fuzz(make_cluster(), _seed(), 12.0)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_damaged_streams_for_long(make_cluster: Callable[..., Any]) -> None:
    _fuzz(make_cluster(), _seed(), 600.0)
