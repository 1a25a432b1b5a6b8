"""The client's half of Hadoop RPC, against the server's half and against protobuf itself."""

from __future__ import annotations

import pytest

from oastfs.core.errors import ProtocolError
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_error, encode_response
from oastfs.wire.hadoop_rpc_client import (
    FIRST_CALL_ID,
    LAST_CALL_ID,
    RequestEncoder,
    decode_response,
)
from oastfs.wire.proto.rpc_pb2 import RequestHeader, RpcRequestHeader
from oastfs.wire.varint import decode_delimited

CLIENT = bytes(range(100, 116))


def test_what_is_encoded_arrives() -> None:
    encoder = RequestEncoder(CLIENT, "oastfs.Metadata", "alice")
    session = ServerSession()
    session.feed(encoder.preamble())
    for call_id in (FIRST_CALL_ID, FIRST_CALL_ID + 12345, LAST_CALL_ID):
        for retry in (0, 1, 63):
            for body in (b"", b"b" * 127, b"b" * 128, b"b" * 100_000):
                session.feed(encoder.encode(call_id, retry, "rename", body))
                request = session.next_request()
                assert request is not None
                assert request == Request(call_id, CLIENT, retry, "oastfs.Metadata", "rename", request.body)
                assert bytes(request.body) == body
    assert session.user == "alice"


def test_headers_are_what_protobuf_would_parse() -> None:
    encoded = RequestEncoder(CLIENT, "oastfs.Metadata").encode(FIRST_CALL_ID, 3, "stat", b"xyz")
    head, at = decode_delimited(encoded, 4)
    header = RpcRequestHeader.FromString(head)
    assert (header.callId, header.clientId, header.retryCount) == (FIRST_CALL_ID, CLIENT, 3)
    assert (header.rpcKind, header.rpcOp) == (2, 0)
    names, at = decode_delimited(encoded, at)
    assert RequestHeader.FromString(names).methodName == "stat"
    assert decode_delimited(encoded, at) == (b"xyz", len(encoded))


def test_many_retries_stay_in_one_byte() -> None:
    encoder = RequestEncoder(CLIENT, "p")
    assert len(encoder.encode(FIRST_CALL_ID, 1000, "m", b"")) == len(
        encoder.encode(FIRST_CALL_ID, 0, "m", b"")
    )


def test_a_client_id_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        RequestEncoder(b"short", "p")


def test_answers() -> None:
    request = Request(FIRST_CALL_ID, CLIENT, 0, "p", "m", b"")
    response = decode_response(encode_response(request, b"body")[4:])
    assert response.succeeded
    assert (response.call_id, bytes(response.body)) == (FIRST_CALL_ID, b"body")


@pytest.mark.parametrize("fatal", [False, True])
def test_errors(fatal: bool) -> None:
    frame = encode_error(FIRST_CALL_ID, CLIENT, 0, "oastfs.NotFound", "gone\0/a", fatal=fatal)[4:]
    response = decode_response(frame)
    assert not response.succeeded
    assert (response.exception_class, response.message) == ("oastfs.NotFound", "gone\0/a")
    assert response.fatal is fatal


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x05ab",
        b"\x02\xff\xff",
        b"\x00",
        encode_response(Request(1, CLIENT, 0, "p", "m", b""), b"body")[4:-1],
        encode_response(Request(1, CLIENT, 0, "p", "m", b""), b"body")[4:] + b"x",
    ],
)
def test_broken_answers(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_response(frame)
