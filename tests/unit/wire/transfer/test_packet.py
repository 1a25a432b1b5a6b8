"""Packet headers by hand against protobuf's own coding, and their bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.packet import (
    PACKET_BYTES_MAX,
    PacketHeader,
    check_chunks,
    decode_header,
    decode_lengths,
    encode_header,
    encode_prefix,
)

headers = st.builds(
    PacketHeader,
    offset=st.integers(0, 2**63 - 1),
    seqno=st.integers(-1, 2**63 - 1),
    last=st.booleans(),
    data_bytes=st.integers(0, 2**31 - 1),
    sync=st.booleans(),
    staged=st.booleans(),
    placed=st.booleans(),
)


@given(headers)
def test_header_is_what_protobuf_writes(header: PacketHeader) -> None:
    message = pb.PacketHeader(
        offsetInBlock=header.offset,
        seqno=header.seqno,
        lastPacketInBlock=header.last,
        dataLen=header.data_bytes,
    )
    if header.sync:
        message.syncBlock = True
    if header.placed:
        message.placed = True
    if header.staged:
        message.staged = True
    assert encode_header(header) == message.SerializeToString()
    assert decode_header(encode_header(header)) == header


def test_fields_in_another_order_are_read_too() -> None:
    encoded = encode_header(PacketHeader(512, 7, False, 100, True))
    reordered = encoded[25:] + encoded[9:18] + encoded[:9] + encoded[18:25]
    assert decode_header(reordered) == PacketHeader(512, 7, False, 100, True)


@given(st.binary(max_size=64))
def test_random_headers_end_in_a_protocol_error_or_a_header(data: bytes) -> None:
    try:
        header = decode_header(data)
    except ProtocolError:
        return
    assert header.offset >= 0 and header.data_bytes >= 0 and header.seqno >= -1


@pytest.mark.parametrize("header", [PacketHeader(-1, 0, False, 0), PacketHeader(0, -2, False, 0)])
def test_negative_fields_are_refused(header: PacketHeader) -> None:
    with pytest.raises(ProtocolError):
        decode_header(encode_header(header))


def test_prefix_holds_both_lengths() -> None:
    prefix = encode_prefix(PacketHeader(0, 0, False, 1000), 8)
    assert decode_lengths(prefix) == (1008, 25)


@pytest.mark.parametrize(
    ("payload", "header"), [(3, 25), (PACKET_BYTES_MAX + 1, 25), (2**32 - 1, 25), (4, 0), (4, 65), (4, 65535)]
)
def test_lengths_out_of_bounds_are_refused(payload: int, header: int) -> None:
    with pytest.raises(ProtocolError, match="out of bounds"):
        decode_lengths(payload.to_bytes(4, "big") + header.to_bytes(2, "big"))


def test_number_of_checksums_is_checked() -> None:
    check_chunks(PacketHeader(0, 0, False, 1025), 12, 512)
    check_chunks(PacketHeader(0, 0, False, 1025), 0, 0)
    with pytest.raises(ProtocolError):
        check_chunks(PacketHeader(0, 0, False, 1025), 8, 512)
    with pytest.raises(ProtocolError):
        check_chunks(PacketHeader(0, 0, False, 1025), 4, 0)
