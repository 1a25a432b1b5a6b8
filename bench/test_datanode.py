"""What a datanode costs: checksums, one block written and read over loopback and by descriptor, small reads.

Run with ``pytest bench/test_datanode.py``. The datanode is a process of its own, as in use; the writer and
reader here are the plainest possible. Rates of bytes are in ``extra_info``.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    BlockId,
    ChecksumKind,
    PacketHeader,
    Stage,
    Target,
    TransferConnection,
    check_response,
    checksum_chunks,
    first_bad_chunk,
    read_request,
    write_request,
)
from tests.harness.ports import free_port
from tests.harness.process import OASTFS

BLOCK_BYTES = 128 * 1024 * 1024
PACKET_BYTES = 64 * 1024
WINDOW_PACKETS = 80
HOST = "127.0.0.1"
_ids = count(1)


class Datanode:
    """A process on a directory of its own, below the working directory (not on a memory filesystem)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.socket = str(directory / "sock")
        options = ["--namenode", f"{HOST}:1", "--port", str(self.port), "--http-port", str(free_port())]
        options += ["--local-socket", self.socket, "--scrub-rate", "0"]
        self.process = subprocess.Popen(
            [OASTFS, "datanode", str(directory / "v"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
                return
            except OastError:
                assert time.monotonic() < deadline, "the datanode does not come up"
                time.sleep(0.05)

    def connect(self) -> TransferConnection:
        return TransferConnection.open(HOST, self.port, 60)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def datanodes() -> Iterator[list[Datanode]]:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as directory:
        started = []
        for number in range(3):
            path = Path(directory) / str(number)
            path.mkdir()
            started.append(Datanode(path))
        yield started
        for datanode in started:
            datanode.stop()


def write(datanodes: list[Datanode], content: memoryview) -> BlockId:
    """One block through a pipeline, durable on return."""
    block = BlockId(next(_ids) << 10, 1)
    window = threading.Semaphore(WINDOW_PACKETS)
    packets = range(0, len(content), PACKET_BYTES)
    with datanodes[0].connect() as connection:
        targets = [Target(HOST, datanode.port) for datanode in datanodes]
        connection.send(write_request(block, targets, Stage.PIPELINE_SETUP_CREATE))
        check_response(connection.receive_message(pb.BlockOpResponse))

        def acknowledge() -> None:
            for _ in range(len(packets) + 1):
                connection.receive_message(pb.PipelineAck)
                window.release()

        acknowledger = threading.Thread(target=acknowledge)
        acknowledger.start()
        for seqno, at in enumerate(packets):
            piece = content[at : at + PACKET_BYTES]
            checksums = checksum_chunks(ChecksumKind.CRC32C, 512, piece)
            window.acquire()
            connection.send_packet(PacketHeader(at, seqno, False, len(piece)), checksums, piece)
        connection.send_packet(PacketHeader(len(content), len(packets), True, 0), b"", b"")
        acknowledger.join()
    return block


def read(connection: TransferConnection, block: BlockId, offset: int, length: int, checksums: bool) -> int:
    """A range of a block, verified if it has checksums; bytes received."""
    connection.send(read_request(block, offset, length, send_checksums=checksums))
    check_response(connection.receive_message(pb.BlockOpResponse))
    place = memoryview(bytearray(1024 * 1024))
    received = 0
    while True:
        header, sums = connection.receive_packet_head()
        if header.last:
            break
        data = place[: header.data_bytes]
        connection.receive_data(data)
        if checksums:
            assert first_bad_chunk(ChecksumKind.CRC32C, 512, data, sums) is None
        received += header.data_bytes
    connection.send_message(pb.ClientReadStatus(status=pb.CHECKSUM_OK))
    return received


def rate(benchmark: Any, size: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["MB/s (best)"] = round(size / benchmark.stats.stats.min / 1e6)
        benchmark.extra_info["MB/s (median)"] = round(size / benchmark.stats.stats.median / 1e6)


@pytest.mark.parametrize("kind", [ChecksumKind.CRC32C, ChecksumKind.CRC32])
def test_checksums_of_a_packet(benchmark: Any, kind: ChecksumKind) -> None:
    data = memoryview(os.urandom(PACKET_BYTES))
    benchmark(checksum_chunks, kind, 512, data)
    rate(benchmark, PACKET_BYTES)


@pytest.mark.bound_by("memory")
@pytest.mark.parametrize("replicas", [1, 3])
def test_write_a_block(benchmark: Any, datanodes: list[Datanode], replicas: int) -> None:
    content = memoryview(os.urandom(BLOCK_BYTES))
    benchmark.pedantic(write, (datanodes[:replicas], content), rounds=5, warmup_rounds=1)
    rate(benchmark, BLOCK_BYTES)


@pytest.mark.bound_by("wakeup")
@pytest.mark.parametrize("size", [1024, 100_000])
def test_write_a_small_block(benchmark: Any, datanodes: list[Datanode], size: int) -> None:
    content = memoryview(os.urandom(size))
    benchmark.pedantic(write, (datanodes[:1], content), rounds=300, warmup_rounds=10)


@pytest.mark.bound_by("memory")
@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("local", [False, True], ids=["tcp", "unix"])
def test_read_a_block(benchmark: Any, datanodes: list[Datanode], checksums: bool, local: bool) -> None:
    datanode = datanodes[0]
    block = write([datanode], memoryview(os.urandom(BLOCK_BYTES)))
    connect: Callable[[], TransferConnection] = datanode.connect
    if local:
        connect = lambda: TransferConnection.open_local(datanode.socket, 60)  # noqa: E731
    with connect() as connection:
        arguments = (connection, block, 0, BLOCK_BYTES, checksums)
        assert benchmark.pedantic(read, arguments, rounds=8, warmup_rounds=1) == BLOCK_BYTES
    rate(benchmark, BLOCK_BYTES)


@pytest.mark.bound_by("memory")
def test_read_a_block_by_descriptor(benchmark: Any, datanodes: list[Datanode]) -> None:
    block = write(datanodes[:1], memoryview(os.urandom(BLOCK_BYTES)))
    place = memoryview(bytearray(1024 * 1024))
    with TransferConnection.open_local(datanodes[0].socket, 60) as connection:

        def read_all() -> None:
            data, meta = connection.request_descriptors(block)
            for at in range(0, BLOCK_BYTES, len(place)):
                os.preadv(data, [place], at)
                sums = os.pread(meta, len(place) // 128, 7 + at // 128)
                assert first_bad_chunk(ChecksumKind.CRC32C, 512, place, sums) is None
            os.close(data)
            os.close(meta)

        benchmark.pedantic(read_all, rounds=8, warmup_rounds=1)
    rate(benchmark, BLOCK_BYTES)


@pytest.mark.bound_by("wakeup")
@pytest.mark.parametrize("size", [4096, 65_536])
def test_small_reads(benchmark: Any, datanodes: list[Datanode], size: int) -> None:
    block = write(datanodes[:1], memoryview(os.urandom(16 * 1024 * 1024)))
    offsets = iter((number * 7919 * 4096) % (15 * 1024 * 1024) for number in count())
    with datanodes[0].connect() as connection:
        benchmark(lambda: read(connection, block, next(offsets), size, True))


@pytest.mark.bound_by("wakeup")
def test_descriptors_passed(benchmark: Any, datanodes: list[Datanode]) -> None:
    block = write(datanodes[:1], memoryview(os.urandom(100_000)))
    with TransferConnection.open_local(datanodes[0].socket, 60) as connection:

        def take() -> None:
            for descriptor in connection.request_descriptors(block):
                os.close(descriptor)

        benchmark(take)
