"""The buffer gives the same items however the bytes were cut, and bounds what it believes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError, Unsupported
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.buffer import TransferBuffer
from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks
from oastfs.wire.transfer.messages import BlockId, read_request
from oastfs.wire.transfer.ops import Op, encode_delimited, encode_request, encode_varint
from oastfs.wire.transfer.packet import PACKET_BYTES_MAX, PacketHeader, encode_prefix


def packet_bytes(seqno: int, data: bytes) -> bytes:
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, data)
    return encode_prefix(PacketHeader(0, seqno, False, len(data)), len(checksums)) + checksums + data


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=3000), max_size=8), st.integers(1, 5000), st.integers(64, 4096))
def test_packets_come_out_however_the_bytes_were_cut(contents: list[bytes], cut: int, capacity: int) -> None:
    stream = b"".join(packet_bytes(number, data) for number, data in enumerate(contents))
    buffer = TransferBuffer(capacity, 8 * capacity)
    found = []
    for at in range(0, len(stream), cut):
        buffer.feed(stream[at : at + cut])
        while packet := buffer.take_packet():
            assert bytes(packet.raw) == packet_bytes(packet.header.seqno, bytes(packet.data))
            found.append(bytes(packet.data))
    assert found == contents
    assert len(buffer) == 0


def test_requests_messages_and_packets_follow_each_other() -> None:
    buffer = TransferBuffer(64)
    buffer.feed(
        read_request(BlockId(7, 1001), 512, 100)
        + encode_delimited(pb.ClientReadStatus(status=pb.CHECKSUM_OK))
        + packet_bytes(3, b"hello")
    )
    request = buffer.take_request()
    assert request is not None
    op, message = request
    assert op is Op.READ_BLOCK and isinstance(message, pb.OpReadBlock)
    assert (message.header.baseHeader.block.blockId, message.offset, message.len) == (7, 512, 100)
    status = buffer.take_message(pb.ClientReadStatus)
    assert status is not None and status.status == pb.CHECKSUM_OK
    head = buffer.take_packet_head()
    assert head is not None
    assert head[0].data_bytes == 5 and len(head[1]) == 4
    assert bytes(buffer.take(3)) + bytes(buffer.take(99)) == b"hello"
    assert buffer.take_packet() is None


def test_head_of_a_packet_comes_before_its_data() -> None:
    whole = packet_bytes(0, b"x" * 100_000)
    buffer = TransferBuffer(64)
    buffer.feed(whole[:-99_000])
    head = buffer.take_packet_head()
    assert head is not None and head[0].data_bytes == 100_000
    assert bytes(buffer.take(100_000)) == b"x" * 1000


def test_a_message_longer_than_the_limit_is_refused_before_it_is_read() -> None:
    buffer = TransferBuffer(64)
    buffer.feed(b"\x00\x1c\x50" + encode_varint(2**30))
    with pytest.raises(ProtocolError, match="out of bounds"):
        buffer.take_request()


@pytest.mark.parametrize("prefix", [b"\x00\x1b\x50", b"\x00\x1c\x00", b"GET", b"\xff\xff\xff"])
def test_wrong_versions_and_operations_are_refused(prefix: bytes) -> None:
    buffer = TransferBuffer(64)
    buffer.feed(prefix + b"\x00")
    with pytest.raises(ProtocolError):
        buffer.take_request()


def test_it_grows_while_reads_fill_it() -> None:
    buffer = TransferBuffer(64 * 1024, 256 * 1024)
    rooms = []
    for _ in range(6):
        room = buffer.writable()
        rooms.append(len(room))
        buffer.received(len(room))
        assert len(buffer.take(1 << 20)) == len(room)
    assert rooms == [64 * 1024, 128 * 1024, 256 * 1024, 256 * 1024, 256 * 1024, 256 * 1024]


@pytest.mark.parametrize("op", [Op.READ_METADATA, Op.BLOCK_GROUP_CHECKSUM])
def test_operations_without_a_message_are_named(op: Op) -> None:
    buffer = TransferBuffer(64)
    buffer.feed(b"\x00\x1c" + bytes((op,)) + b"\x00")
    with pytest.raises(Unsupported, match=op.name):
        buffer.take_request()


def test_data_longer_than_its_packet_is_refused() -> None:
    header = encode_prefix(PacketHeader(0, 0, False, 1000), 0)[6:]
    for take in (TransferBuffer.take_packet, TransferBuffer.take_packet_head):
        buffer = TransferBuffer(64)
        buffer.feed((14).to_bytes(4, "big") + len(header).to_bytes(2, "big") + header + b"x" * 10)
        with pytest.raises(ProtocolError, match="longer than the packet"):
            take(buffer)


@given(st.binary(max_size=400), st.sampled_from(["request", "packet", "head", "message"]))
def test_random_bytes_end_in_a_protocol_error_or_wait_for_more(data: bytes, what: str) -> None:
    buffer = TransferBuffer(64)
    buffer.feed(data)
    try:
        if what == "request":
            buffer.take_request()
        elif what == "packet":
            buffer.take_packet()
        elif what == "head":
            buffer.take_packet_head()
        else:
            buffer.take_message(pb.PipelineAck)
    except (ProtocolError, Unsupported):
        return
    assert len(buffer.writable()) > 0
    assert len(buffer.writable()) <= PACKET_BYTES_MAX + 8192


@given(st.sampled_from(list(Op)), st.binary(max_size=200))
def test_random_bodies_of_known_operations(op: Op, body: bytes) -> None:
    buffer = TransferBuffer(64)
    buffer.feed(b"\x00\x1c" + bytes((op,)) + encode_varint(len(body)) + body)
    try:
        assert buffer.take_request() is not None
    except (ProtocolError, Unsupported):
        pass


def test_the_bytes_of_a_request() -> None:
    message = pb.ShortCircuitShmRequest(clientName="c")
    assert encode_request(Op.REQUEST_SHORT_CIRCUIT_SHM, message) == b"\x00\x1c\x59\x03\x0a\x01c"
