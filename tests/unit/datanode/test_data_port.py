"""The data port, as clients of every kind use it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import BlockNotFound, ConnectionLost, CorruptBlock, InvalidArgument, OastError
from oastfs.core.errors import Unsupported as UnsupportedOperation
from oastfs.datanode.layout import META_HEADER
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    HEARTBEAT_SEQNO,
    BlockId,
    ChecksumKind,
    PacketHeader,
    Stage,
    TransferConnection,
    check_response,
    checksum_chunks,
    read_request,
)
from oastfs.wire.transfer.checksum import crc32c
from oastfs.wire.transfer.messages import checksum_request, transfer_request, write_request
from oastfs.wire.transfer.ops import Op, encode_request
from tests.unit.datanode.peer import Node, Pipeline, nodes, read_block, receive_range, write_block

BLOCK = BlockId(1024, 1001)
CONTENT = os.urandom(300_000)
OK = [pb.SUCCESS]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with nodes(tmp_path, 1, local=True) as (one,):
        yield one


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 65_536, 65_537, 1_500_123])
def test_what_is_written_is_read(node: Node, size: int) -> None:
    content = os.urandom(size)
    write_block([node.target], BLOCK, content)
    assert read_block(node.target, BLOCK, 0, size) == content
    assert node.store.get(1024).final


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (511, 2), (700, 70_000), (299_999, 1), (300_000, 0)])
@pytest.mark.parametrize("checksums", [True, False])
def test_ranges(node: Node, offset: int, length: int, checksums: bool) -> None:
    write_block([node.target], BLOCK, CONTENT)
    wanted = CONTENT[offset : offset + length]
    assert read_block(node.target, BLOCK, offset, length, send_checksums=checksums) == wanted


def test_a_connection_serves_many_operations(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with node.connect() as connection:
        for offset in range(0, 200_000, 50_000):
            assert read_block(connection, BLOCK, offset, 1000) == CONTENT[offset : offset + 1000]
        connection.send(read_request(BLOCK, 0, 5) + b"")
        assert receive_range(connection, 0, 5) == CONTENT[:5]


def test_a_request_beyond_the_end_is_refused(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with pytest.raises(InvalidArgument, match="300000 are here"):
        read_block(node.target, BLOCK, 299_999, 2)
    with pytest.raises(BlockNotFound):
        read_block(node.target, BlockId(2048, 1), 0, 1)
    with pytest.raises(BlockNotFound, match="older"):
        read_block(node.target, BlockId(1024, 1002), 0, 1)


@pytest.mark.parametrize("kind", list(ChecksumKind))
@pytest.mark.parametrize("chunk", [512, 1000, 4096])
def test_checksums_of_every_kind_become_crc32c(node: Node, kind: ChecksumKind, chunk: int) -> None:
    write_block([node.target], BLOCK, CONTENT, kind=kind, chunk=chunk, packet=chunk * 7)
    assert read_block(node.target, BLOCK, 0, len(CONTENT)) == CONTENT
    meta = node.store.get(1024).meta_path.read_bytes()
    assert meta == META_HEADER + checksum_chunks(ChecksumKind.CRC32C, 512, CONTENT)


def test_packets_that_repeat_a_partial_chunk(node: Node) -> None:
    """As Java does after hflush: the next packet begins at the last chunk's boundary again."""
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, CONTENT[:700]) == OK
    assert read_block(node.target, BLOCK, 0, 700) == CONTENT[:700]
    assert pipeline.put(512, CONTENT[512:900]) == OK
    assert pipeline.put(512, CONTENT[512:5000]) == OK
    assert read_block(node.target, BLOCK, 600, 4400) == CONTENT[600:5000]
    assert pipeline.finish(5000) == OK
    assert read_block(node.target, BLOCK, 0, 5000) == CONTENT[:5000]


def test_appending_in_the_middle_of_a_chunk(node: Node) -> None:
    """As Java and hdfs-native do: a first packet that completes the chunk, with a checksum of its own."""
    write_block([node.target], BLOCK, CONTENT[:700])
    block = BlockId(1024, 1001, 700)
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_APPEND, new_stamp=1002)
    assert pipeline.put(700, CONTENT[700:1024]) == OK
    assert pipeline.put(1024, CONTENT[1024:3000]) == OK
    assert pipeline.finish(3000) == OK
    assert read_block(node.target, BlockId(1024, 1002), 0, 3000) == CONTENT[:3000]


def test_appending_with_an_unchanged_stamp(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT[:700])
    pipeline = Pipeline([node.target], BlockId(1024, 1001, 700), Stage.PIPELINE_SETUP_APPEND)
    assert pipeline.put(700, b"more") == OK
    assert pipeline.finish(704) == OK
    assert read_block(node.target, BLOCK, 0, 704) == CONTENT[:700] + b"more"


def test_heartbeats_are_acknowledged(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    pipeline.connection.send_packet(PacketHeader(0, HEARTBEAT_SEQNO, False, 0), b"", b"")
    ack = pipeline.ack()
    assert (ack.seqno, list(ack.reply)) == (HEARTBEAT_SEQNO, OK)
    assert pipeline.put(0, b"data") == OK
    assert pipeline.finish(4) == OK


def test_a_packet_of_sixteen_mebibytes_less_its_checksums(node: Node) -> None:
    content = os.urandom(16 * 1024 * 1024 - 200_000)
    write_block([node.target], BLOCK, content, packet=len(content))
    assert read_block(node.target, BLOCK, 0, len(content)) == content


def test_damaged_packets_are_refused_by_their_checksum(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, CONTENT[:1024]) == OK
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, b"other" * 200)
    pipeline.connection.send_packet(PacketHeader(1024, 1, False, 1000), checksums, b"wrong" * 200)
    ack = pipeline.ack()
    assert (ack.seqno, list(ack.reply)) == (1, [pb.ERROR_CHECKSUM])
    with pytest.raises(ConnectionLost):
        pipeline.ack()
    pipeline.close()
    assert read_block(node.target, BLOCK, 0, 1024) == CONTENT[:1024]


def test_a_writer_that_disappears_leaves_what_was_acknowledged(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, CONTENT[:5000]) == OK
    pipeline.close()
    assert read_block(node.target, BLOCK, 0, 5000) == CONTENT[:5000]
    block = BlockId(1024, 1001, 5000)
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_STREAMING_RECOVERY, new_stamp=1002)
    assert pipeline.put(5000, CONTENT[5000:9000]) == OK
    assert pipeline.finish(9000) == OK
    assert read_block(node.target, BlockId(1024, 1002), 0, 9000) == CONTENT[:9000]


def test_close_recovery_finishes_a_block_whose_last_answer_was_lost(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, CONTENT[:5000]) == OK
    pipeline.close()
    block = BlockId(1024, 1001, 5000)
    Pipeline([node.target], block, Stage.PIPELINE_CLOSE_RECOVERY, new_stamp=1002).close()
    assert read_block(node.target, BlockId(1024, 1002), 0, 5000) == CONTENT[:5000]


def test_stages_that_set_up_nothing_are_refused(node: Node) -> None:
    with pytest.raises(InvalidArgument, match="DATA_STREAMING"):
        Pipeline([node.target], BLOCK, Stage.DATA_STREAMING)


def test_a_block_is_not_made_twice(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with pytest.raises(BlockNotFound, match="here already"):
        Pipeline([node.target], BLOCK)
    assert read_block(node.target, BLOCK, 0, len(CONTENT)) == CONTENT


# --- checksums of whole blocks ----------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1000, 1024, 299_999])
def test_block_checksums(node: Node, length: int) -> None:
    write_block([node.target], BLOCK, CONTENT)
    covered = CONTENT[: length or len(CONTENT)]
    with node.connect() as connection:
        connection.send(checksum_request(BlockId(1024, 1001, length)))
        response = connection.receive_message(pb.BlockOpResponse)
        crcs = checksum_chunks(ChecksumKind.CRC32C, 512, covered)
        assert response.checksumResponse.blockChecksum == hashlib.md5(crcs).digest()
        assert response.checksumResponse.bytesPerCrc == 512
        assert response.checksumResponse.crcPerBlock == len(crcs) // 4
        connection.send(checksum_request(BlockId(1024, 1001, length), composite=True))
        response = connection.receive_message(pb.BlockOpResponse)
        assert response.checksumResponse.blockChecksum == crc32c(covered).to_bytes(4, "big")
        assert response.checksumResponse.blockChecksumOptions.blockChecksumType == pb.COMPOSITE_CRC


# --- copies -----------------------------------------------------------------------------------------


def test_transfer_of_a_final_replica(tmp_path: Path) -> None:
    with nodes(tmp_path, 2) as (one, two):
        write_block([one.target], BLOCK, CONTENT)
        with one.connect() as connection:
            connection.send(transfer_request(BLOCK, [two.target], client_name="c"))
            check_response(connection.receive_message(pb.BlockOpResponse))
        assert two.store.get(1024).final
        assert two.changes[0][0].value == "received"
        assert read_block(two.target, BLOCK, 0, len(CONTENT)) == CONTENT


def test_transfer_of_a_replica_that_is_being_written(tmp_path: Path) -> None:
    """A client mends its pipeline with a new datanode, then goes on with both."""
    with nodes(tmp_path, 2) as (one, two):
        pipeline = Pipeline([one.target], BLOCK)
        assert pipeline.put(0, CONTENT[:70_000]) == OK
        pipeline.close()
        with one.connect() as connection:
            connection.send(transfer_request(BLOCK, [two.target], client_name="c"))
            check_response(connection.receive_message(pb.BlockOpResponse))
        assert not two.store.get(1024).final
        block = BlockId(1024, 1001, 70_000)
        stage = Stage.PIPELINE_SETUP_STREAMING_RECOVERY
        pipeline = Pipeline([one.target, two.target], block, stage, new_stamp=1002)
        assert pipeline.put(70_000, CONTENT[70_000:80_000]) == OK * 2
        assert pipeline.finish(80_000) == OK * 2
        for node in (one, two):
            assert read_block(node.target, BlockId(1024, 1002), 0, 80_000) == CONTENT[:80_000]


def test_a_copy_that_is_not_wanted_says_why(tmp_path: Path) -> None:
    with nodes(tmp_path, 2) as (one, two):
        for node in (one, two):
            write_block([node.target], BLOCK, CONTENT)
        with one.connect() as connection:
            connection.send(transfer_request(BLOCK, [two.target]))
            response = connection.receive_message(pb.BlockOpResponse)
            assert response.status == pb.ERROR and "here already" in response.message


def test_a_damaged_replica_does_not_spread(tmp_path: Path) -> None:
    with nodes(tmp_path, 2) as (one, two):
        write_block([one.target], BLOCK, CONTENT)
        path = one.store.get(1024).data_path
        path.write_bytes(b"rotten" + path.read_bytes()[6:])
        with one.connect() as connection:
            connection.send(transfer_request(BLOCK, [two.target]))
            assert connection.receive_message(pb.BlockOpResponse).status == pb.ERROR_CHECKSUM
        assert two.store.find(1024) is None


# --- short circuit ----------------------------------------------------------------------------------


def test_descriptors_are_passed_over_the_unix_socket(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with TransferConnection.open_local(node.server.local_socket, 5) as connection:
        for _ in range(2):
            data, meta = connection.request_descriptors(BLOCK)
            assert os.pread(data, len(CONTENT), 0) == CONTENT
            assert os.pread(meta, 7, 0) == META_HEADER
            with pytest.raises(OSError):
                os.write(data, b"x")
            os.close(data)
            os.close(meta)
        with pytest.raises(BlockNotFound):
            connection.request_descriptors(BlockId(9, 9))


def test_descriptors_show_updates_and_outlive_deletion(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with TransferConnection.open_local(node.server.local_socket, 5) as connection:
        data, meta = connection.request_descriptors(BLOCK)
    block = BlockId(1024, 1001, len(CONTENT))
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_APPEND, new_stamp=1002)
    assert pipeline.put(1000, b"updated") == OK
    assert pipeline.finish() == OK
    assert os.pread(data, 7, 1000) == b"updated"
    node.store.delete(1024, 1002)
    assert os.pread(data, 1000, 0) == CONTENT[:1000]
    write_block([node.target], BlockId(1024, 1003), b"new")
    assert os.pread(data, 1000, 0) == CONTENT[:1000]
    os.close(data)
    os.close(meta)


def test_descriptors_are_not_passed_over_tcp(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with node.connect() as connection, pytest.raises(UnsupportedOperation, match="Unix socket"):
        connection.request_descriptors(BLOCK)


def test_blocks_are_read_over_the_unix_socket_too(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with TransferConnection.open_local(node.server.local_socket, 5) as connection:
        assert read_block(connection, BLOCK, 0, len(CONTENT)) == CONTENT
        message = pb.ShortCircuitShmRequest(clientName="java")
        connection.send(encode_request(Op.REQUEST_SHORT_CIRCUIT_SHM, message))
        assert connection.receive_message(pb.ShortCircuitShmResponse).status == pb.ERROR_UNSUPPORTED


# --- trouble ----------------------------------------------------------------------------------------


def test_missing_files_are_noticed_by_a_reader(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    node.store.get(1024).data_path.unlink()
    with pytest.raises(BlockNotFound, match="gone"):
        read_block(node.target, BLOCK, 0, 1)
    assert [(change.value, block_id) for change, block_id in node.changes] == [("missing", 1024)]


def test_a_readers_complaint_reaches_the_scrubber(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    with node.connect() as connection:
        connection.send(read_request(BLOCK, 0, 100))
        connection.receive_message(pb.BlockOpResponse)
        while not connection.receive_packet().header.last:
            pass
        connection.send_message(pb.ClientReadStatus(status=pb.ERROR_CHECKSUM))
        assert read_block(connection, BLOCK, 0, 1) == CONTENT[:1]
    assert node.complaints == [1024]


def test_known_corrupt_replicas_are_not_served(node: Node) -> None:
    write_block([node.target], BLOCK, CONTENT)
    node.store.mark_corrupt(node.store.get(1024))
    with pytest.raises(BlockNotFound, match="corrupt"):
        read_block(node.target, BLOCK, 0, 1)
    with pytest.raises(CorruptBlock):
        Pipeline([node.target], BlockId(1024, 1001, 10), Stage.PIPELINE_SETUP_APPEND, new_stamp=1002)


def test_operations_that_no_client_needs_are_refused_with_an_answer(node: Node) -> None:
    header = pb.BaseHeader(block=pb.ExtendedBlock(poolId="", blockId=1, generationStamp=1))
    with node.connect() as connection:
        connection.send(encode_request(Op.COPY_BLOCK, pb.OpCopyBlock(header=header)))
        response = connection.receive_message(pb.BlockOpResponse)
        assert response.status == pb.ERROR_UNSUPPORTED


def test_a_new_block_without_room_is_refused(node: Node) -> None:
    node.store.volumes[0].reserved_bytes = 1 << 60
    with pytest.raises(BlockNotFound, match="room"):
        Pipeline([node.target], BLOCK)
    assert len(node.store) == 0


def test_packets_with_the_wrong_number_of_checksums_end_the_connection(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    pipeline.connection.send_packet(PacketHeader(0, 0, False, 1000), b"\0" * 4, b"x" * 1000)
    with pytest.raises(OastError):
        pipeline.ack()
    pipeline.close()
    assert node.store.get(1024).length == 0


def test_bytes_per_checksum_out_of_bounds(node: Node) -> None:
    with node.connect() as connection:
        request = write_request(BLOCK, [node.target], Stage.PIPELINE_SETUP_CREATE, bytes_per_checksum=0)
        connection.send(request)
        assert connection.receive_message(pb.BlockOpResponse).status == pb.ERROR_INVALID
    assert len(node.store) == 0
