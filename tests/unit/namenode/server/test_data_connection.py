"""Data transfer on the namenode's port: inline files and holes as blocks, to clients good and bad."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import BlockNotFound, ConnectionLost, InvalidArgument, OastError, Unsupported
from oastfs.core.inline_blocks import hole_block_id, inline_block_id
from oastfs.core.types import SUPERUSER
from oastfs.namenode.server.process import Endpoints, namenode_thread
from oastfs.namenode.server.rpc import RpcLimits
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    BlockId,
    Op,
    Stage,
    Target,
    TransferConnection,
    check_response,
    first_bad_chunk,
    read_request,
    write_request,
)
from oastfs.wire.transfer.checksum import ChecksumKind
from oastfs.wire.transfer.messages import checksum_request, short_circuit_request, transfer_request
from oastfs.wire.transfer.ops import encode_request
from tests.harness.waiting import wait_until
from tests.unit.namenode.server.conftest import HOST, make_config

ROOT = SUPERUSER
MIB = 1024 * 1024


def open_data(endpoints: Endpoints) -> TransferConnection:
    return TransferConnection.open(HOST, endpoints.port, 20)


@pytest.fixture
def data(endpoints: Endpoints) -> Iterator[TransferConnection]:
    with open_data(endpoints) as connection:
        yield connection


def put(remote: RemoteMetadata, path: str, content: bytes) -> BlockId:
    """Write an inline file; its block."""
    status = remote.write_file(ROOT, path, content)
    return BlockId(inline_block_id(status.inode_id), 1, len(content))


def receive(connection: TransferConnection, offset: int, length: int, checksums: bool = True) -> bytes:
    """What an answer to READ_BLOCK holds, verified; the verdict is not sent."""
    response = connection.receive_message(pb.BlockOpResponse)
    check_response(response)
    skipped = offset - response.readOpChecksumInfo.chunkOffset
    found = bytearray()
    while not (packet := connection.receive_packet()).header.last:
        if checksums:
            assert first_bad_chunk(ChecksumKind.CRC32C, 512, packet.data, packet.checksums) is None
        found += packet.data
    return bytes(found[skipped : skipped + length])


def read(
    connection: TransferConnection, block: BlockId, offset: int, length: int, checksums: bool = True
) -> bytes:
    connection.send(read_request(block, offset, length, send_checksums=checksums))
    found = receive(connection, offset, length, checksums)
    connection.send_message(pb.ClientReadStatus(status=pb.CHECKSUM_OK if checksums else pb.SUCCESS))
    return found


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("size", [1, 511, 1024, 65_536])
@pytest.mark.parametrize("checksums", [True, False])
def test_inline_files_are_blocks(
    remote: RemoteMetadata, data: TransferConnection, size: int, checksums: bool
) -> None:
    content = os.urandom(size)
    block = put(remote, "/file", content)
    assert read(data, block, 0, size, checksums) == content
    for _ in range(10):
        offset = random.randrange(size)
        length = random.randrange(size - offset + 1)
        assert read(data, block, offset, length, checksums) == content[offset : offset + length]


def test_a_second_link_does_not_hide_the_content(remote: RemoteMetadata, data: TransferConnection) -> None:
    block = put(remote, "/file", b"content")
    remote.link(ROOT, "/file", "/second")
    remote.unlink(ROOT, "/file")
    assert read(data, block, 0, 7) == b"content"


def test_what_a_truncation_upwards_adds_is_zeros(remote: RemoteMetadata, data: TransferConnection) -> None:
    put(remote, "/file", b"abc")
    for length in (1000, 3 * MIB):
        status = remote.truncate(ROOT, "/file", length)
        block = BlockId(inline_block_id(status.inode_id), 1, length)
        assert read(data, block, 0, length) == b"abc".ljust(length, b"\0")
        assert read(data, block, length - 100, 100, checksums=False) == bytes(100)


def test_holes_are_zeros_of_any_length(data: TransferConnection) -> None:
    block = BlockId(hole_block_id(4096), 1, 10 * MIB)
    assert read(data, block, 0, 10 * MIB) == bytes(10 * MIB)
    assert read(data, block, MIB + 5, MIB, checksums=False) == bytes(MIB)
    assert read(data, BlockId(hole_block_id(0), 1), 1 << 50, 1000) == bytes(1000)


@pytest.mark.parametrize("composite", [True, False])
def test_block_checksums(remote: RemoteMetadata, data: TransferConnection, composite: bool) -> None:
    content = os.urandom(1300)
    block = put(remote, "/file", content)
    hole = BlockId(hole_block_id(0), 1, 40 * MIB)
    for one, expected in (
        (block, content),
        (block._replace(length=700), content[:700]),
        (hole, bytes(40 * MIB)),
    ):
        data.send(checksum_request(one, composite=composite))
        response = data.receive_message(pb.BlockOpResponse)
        check_response(response)
        crcs = [google_crc32c.value(expected[at : at + 512]) for at in range(0, len(expected), 512)]
        md5 = hashlib.md5(struct.pack(f">{len(crcs)}I", *crcs)).digest()
        crc = google_crc32c.value(expected).to_bytes(4, "big")
        assert response.checksumResponse.blockChecksum == (crc if composite else md5)


def refused(endpoints: Endpoints, request: bytes) -> OastError:
    """What a request is refused with; the connection ends after it."""
    with open_data(endpoints) as connection:
        connection.send(request)
        response = connection.receive_message(pb.BlockOpResponse)
        with pytest.raises(ConnectionLost):
            connection.receive_message(pb.BlockOpResponse)
    with pytest.raises(OastError) as caught:
        check_response(response)
    return caught.value


def test_what_is_not_there_is_refused(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    block = put(remote, "/file", bytes(100))
    assert isinstance(refused(endpoints, read_request(block, 0, 101)), InvalidArgument)
    assert isinstance(refused(endpoints, read_request(block, 101, 0)), InvalidArgument)
    assert isinstance(refused(endpoints, read_request(BlockId(1025, 1), 0, 1)), BlockNotFound)
    root = BlockId(inline_block_id(1), 1)
    directory = BlockId(inline_block_id(remote.mkdirs(ROOT, "/d").inode_id), 1)
    for one in (root, directory, BlockId(inline_block_id(999_999_999), 1)):
        assert isinstance(refused(endpoints, read_request(one, 0, 1)), BlockNotFound)
        assert isinstance(refused(endpoints, checksum_request(one)), BlockNotFound)
    remote.unlink(ROOT, "/file")
    assert isinstance(refused(endpoints, read_request(block, 0, 1)), BlockNotFound)


def test_no_other_operation_is_carried_out(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    block, target = put(remote, "/file", bytes(100)), Target(HOST, 1)
    requests = [
        write_request(block, [target], Stage.PIPELINE_SETUP_APPEND, new_stamp=2),
        transfer_request(block, [target]),
        short_circuit_request(block),
        encode_request(Op.REQUEST_SHORT_CIRCUIT_SHM, pb.ShortCircuitShmRequest(clientName="c")),
        b"\x00\x1c" + bytes((Op.READ_METADATA,)),
    ]
    for request in requests:
        assert isinstance(refused(endpoints, request), Unsupported)
    assert remote.open(ROOT, "/file").data == bytes(100)


def test_requests_sent_ahead_are_answered_in_order(remote: RemoteMetadata, data: TransferConnection) -> None:
    content = os.urandom(2000)
    block = put(remote, "/file", content)
    verdict = b"\x02\x08\x06"
    data.send(b"".join(read_request(block, at, 1000) + verdict for at in range(500)))
    for at in range(500):
        assert receive(data, at, 1000) == content[at : at + 1000]


def test_byte_by_byte(remote: RemoteMetadata, data: TransferConnection) -> None:
    block = put(remote, "/file", b"content")
    for byte in read_request(block, 0, 7) + b"\x02\x08\x06" + read_request(block, 2, 3):
        data.send(bytes((byte,)))
    assert receive(data, 0, 7) == b"content"
    assert receive(data, 2, 3) == b"nte"


def test_figures_are_kept(endpoints: Endpoints, remote: RemoteMetadata, data: TransferConnection) -> None:
    block = put(remote, "/file", bytes(1000))
    read(data, block, 0, 1000)
    read(data, block, 0, 100)
    refused(endpoints, read_request(block, 0, 2000))
    with urllib.request.urlopen(f"http://{HOST}:{endpoints.http_port}/metrics") as answer:
        shown = answer.read().decode()
    assert 'oastfs_transfer_seconds_count{verb="READ_BLOCK"} 3.0' in shown
    assert 'oastfs_transfer_errors_total{error="InvalidArgument",verb="READ_BLOCK"} 1.0' in shown
    assert "oastfs_transfer_bytes_total 1100.0" in shown


def test_a_reader_that_stops_reading_costs_little(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    block = put(remote, "/file", b"content")
    before = resident_bytes()
    hole = BlockId(hole_block_id(0), 1, 1 << 40)
    readers = [open_data(endpoints) for _ in range(50)]
    for reader in readers:
        reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        reader.send(read_request(hole, 0, 1 << 40))
    with open_data(endpoints) as connection:
        for _ in range(200):
            assert read(connection, block, 0, 7) == b"content"
    assert resident_bytes() - before < 50 * MIB
    for reader in readers:
        reader.close()


def test_a_fast_reader_does_not_keep_others_waiting(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    hole = BlockId(hole_block_id(0), 1, 1 << 40)
    with open_data(endpoints) as reader:
        reader.send(read_request(hole, 0, 1 << 40))
        stop = threading.Event()

        def read_on() -> None:
            waste = bytearray(MIB)
            while not stop.is_set():
                reader.sock.recv_into(waste)

        thread = threading.Thread(target=read_on)
        thread.start()
        try:
            for _ in range(100):
                assert remote.stat(ROOT, "/").is_directory
        finally:
            stop.set()
            thread.join()


def test_readers_that_vanish_leave_nothing(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    hole = BlockId(hole_block_id(0), 1, 1 << 40)
    for _ in range(50):
        reader = open_data(endpoints)
        reader.send(read_request(hole, 0, 1 << 40))
        reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        reader.close()  # with a reset
    wait_until(lambda: connections(endpoints) <= 1, "connections of readers that vanished", 20)


def connections(endpoints: Endpoints) -> float:
    with urllib.request.urlopen(f"http://{HOST}:{endpoints.http_port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("oastfs_rpc_connections ")).split()[1])


def test_idle_and_stalled_readers_are_closed(tmp_path: Path) -> None:
    with namenode_thread(make_config(tmp_path, limits=RpcLimits(idle_seconds=0.3))) as endpoints:
        idle, half, stalled = (open_data(endpoints) for _ in range(3))
        read(idle, BlockId(hole_block_id(0), 1, 100), 0, 100)
        half.send(b"\x00")
        stalled.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        stalled.send(read_request(BlockId(hole_block_id(0), 1, 1 << 40), 0, 1 << 40))
        wait_until(lambda: connections(endpoints) == 0, "idle and stalled connections to be closed", 20)
        for connection in (idle, half, stalled):
            connection.close()


def test_connections_over_the_limit_are_refused(tmp_path: Path) -> None:
    with namenode_thread(make_config(tmp_path, limits=RpcLimits(connections_max=1))) as endpoints:
        block = BlockId(hole_block_id(0), 1, 100)
        with open_data(endpoints) as first:
            read(first, block, 0, 100)
            with open_data(endpoints) as second, pytest.raises(ConnectionLost):
                read(second, block, 0, 100)
            read(first, block, 0, 100)
