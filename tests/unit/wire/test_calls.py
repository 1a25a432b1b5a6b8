"""What is compiled of Hadoop RPC gives what Python gives, for calls of every kind and for damaged ones."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError
from oastfs.wire import hadoop_rpc
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_head, encode_response
from oastfs.wire.hadoop_rpc_client import RequestEncoder
from oastfs.wire.proto.rpc_pb2 import RequestHeader, RpcRequestHeader
from oastfs.wire.varint import encode_delimited, encode_varint
from tests.unit.wire.test_rpc_fuzz import mutated

compiled: Any = pytest.importorskip("oastfs.wire._calls")

CLIENT = bytes(range(16))
_NAMES = encode_delimited(
    RequestHeader(methodName="m", declaringClassProtocolName="p", clientProtocolVersion=1).SerializeToString()
)
_INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
_headers = st.builds(
    RpcRequestHeader,
    rpcKind=st.sampled_from([2, 2, 2, 2, 1, 0]),
    rpcOp=st.sampled_from([0, 0, 0, None, 1, 2]),
    callId=_INT32 | st.integers(0, 1 << 20),
    clientId=st.binary(max_size=17) | st.just(CLIENT),
    retryCount=st.none() | _INT32 | st.integers(-1, 3),
)
_frames = st.builds(
    lambda header, more, body: (
        encode_delimited(header.SerializeToString() + more) + _NAMES + encode_delimited(body)
    ),
    _headers,
    st.sampled_from(
        [b""] * 5 + [b"\x32\x00", b"\x40\x05", b"\x18\x02", b"\x28\x04", b"\x10\x00", b"\x08\x02"]
    ),
    st.binary(max_size=40) | st.integers(0, 40_000).map(bytes),
)


def _session() -> ServerSession:
    session = ServerSession()
    session.feed(RequestEncoder(CLIENT, "p", "user").preamble())
    assert session.next_request() is None and session.user == "user"
    return session


def _outcome(decode: Any, frame: bytes) -> object:
    try:
        request = decode(frame)
    except (ProtocolError, DecodeError, hadoop_rpc._Refusal):
        return "refused"
    if request is None:
        return None
    assert type(request.body) in (bytes, memoryview)
    return request.call_id, request.client_id, request.retry_count, request.method, bytes(request.body)


def _compare(frame: bytes) -> object:
    fast = _outcome(_session()._decode, frame)
    assert fast == _outcome(_session()._decode_slowly, frame)
    return fast


@settings(max_examples=400)
@given(_frames)
def test_calls(frame: bytes) -> None:
    _compare(frame)


@settings(max_examples=400)
@given(st.data())
def test_damaged_calls(data: st.DataObject) -> None:
    _compare(data.draw(mutated(data.draw(_frames))))


@given(st.binary(max_size=200))
def test_any_bytes(frame: bytes) -> None:
    _compare(frame)


def test_calls_as_clients_send_them_are_decoded_without_python() -> None:
    for call_id, retry in ((0, -1), (7, 0), (1 << 20, 3), ((1 << 31) - 1, 70)):
        header = RpcRequestHeader(rpcKind=2, rpcOp=0, callId=call_id, clientId=CLIENT, retryCount=retry)
        frame = encode_delimited(header.SerializeToString()) + _NAMES + encode_delimited(b"body")
        assert compiled.decode_call(frame) == (call_id, CLIENT, retry, _NAMES[1:], len(frame) - 4)
        assert _compare(frame) == (call_id, CLIENT, retry, "m", b"body")


@given(st.integers(0, (1 << 31) - 1), st.binary(max_size=16), _INT32, st.integers(0, 70_000).map(bytes))
def test_answers(call_id: int, client: bytes, retry: int, body: bytes) -> None:
    request = Request(call_id, client, retry, "p", "m", b"")
    assert encode_response(request, body) == encode_head(request, len(body)) + body
    assert encode_response(request, body).endswith(encode_varint(len(body)) + body)


@pytest.mark.parametrize(
    "arguments",
    [(), (1, b"", 1), (1, "", 1, b""), (1, b"", 1, ""), (1, bytes(17), 1, b""), ("", b"", 1, b"")],
)
def test_what_is_no_answer(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        compiled.encode_answer(*arguments)


def test_what_is_no_frame() -> None:
    with pytest.raises(TypeError):
        compiled.decode_call(memoryview(b""))
