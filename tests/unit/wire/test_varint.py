"""Varints: every length, and what is cut off or too long."""

from __future__ import annotations

import pytest
from google.protobuf.internal.encoder import _EncodeVarint  # type: ignore[attr-defined]  # not a public one
from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError
from oastfs.wire.varint import decode_delimited, decode_varint, encode_delimited, encode_varint


@given(st.integers(0, 2**64 - 1))
def test_as_protobuf_encodes_them(value: int) -> None:
    expected = bytearray()
    _EncodeVarint(expected.extend, value)
    assert encode_varint(value) == bytes(expected)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=4), st.binary(max_size=4))
def test_round_trip_inside_other_bytes(value: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(value)
    assert decode_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9])
def test_cut_off(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="ends inside"):
        decode_varint(data, 0)


def test_longer_than_ten_bytes() -> None:
    with pytest.raises(ProtocolError, match="longer than ten"):
        decode_varint(b"\xff" * 20, 0)


def test_delimited() -> None:
    data = encode_delimited(b"abc") + b"rest"
    assert decode_delimited(data, 0) == (b"abc", 4)
    with pytest.raises(ProtocolError, match="longer than its frame"):
        decode_delimited(encode_varint(5) + b"abc", 0)
