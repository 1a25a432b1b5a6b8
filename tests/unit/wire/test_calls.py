"""What is compiled of Hadoop RPC gives what Python gives, for calls of every kind and for damaged ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import ProtocolError
from oastfs.wire import hadoop_rpc
from oastfs.wire.frames import pack_length
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_head, encode_response
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder
from oastfs.wire.proto.rpc_pb2 import RPC_PROTOCOL_BUFFER, RequestHeader, RpcRequestHeader
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


def _taken(pieces: list[bytes], twin: Any, alone: bool) -> list[object]:
    """What a session makes of a stream in these pieces, asked for calls that came alone or not."""
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hadoop_rpc, "_calls", twin)
        session = _session()
        try:
            for piece in pieces:
                request = session.lone_call(piece) if alone else None
                if request is None:
                    session.feed(piece)
                    request = session.next_request()
                while request is not None:
                    found.append((request.call_id, request.client_id, request.method, bytes(request.body)))
                    request = session.next_request()
        except ProtocolError as error:
            found += [error.message, session.take_output()]
        return [*found, len(session), session.closing]


def _framed(frame: bytes) -> bytes:
    return pack_length(len(frame)) + frame


def _control(call_id: int, operation: RpcRequestHeader.OperationProto.ValueType) -> bytes:
    header = RpcRequestHeader(rpcKind=RPC_PROTOCOL_BUFFER, rpcOp=operation, callId=call_id, clientId=CLIENT)
    return _framed(encode_delimited(header.SerializeToString()))


_PING = _control(-4, RpcRequestHeader.RPC_FINAL_PACKET)
_END = _control(-3, RpcRequestHeader.RPC_CLOSE_CONNECTION)
_GOOD = st.builds(
    lambda call_id, body: RequestEncoder(CLIENT, "p").encode(FIRST_CALL_ID + call_id, 0, "m", body),
    st.integers(0, 100),
    st.binary(max_size=40) | st.integers(16_000, 17_000).map(bytes),
)


@settings(max_examples=300)
@given(st.lists(_GOOD | _GOOD | _frames.map(_framed) | st.sampled_from([_PING, _END]), max_size=6), st.data())
def test_calls_that_come_alone(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    if data.draw(st.booleans()):
        stream = data.draw(mutated(stream))
    ends = {sum(map(len, pieces[:count])) for count in range(len(pieces))}
    ends ^= data.draw(st.sets(st.integers(0, len(stream)), max_size=3))
    cuts = sorted({0, len(stream), *(end for end in ends if end < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    expected = _taken(pieces, None, False)
    assert _taken(pieces, None, True) == expected
    assert _taken(pieces, compiled, True) == expected


def test_which_calls_come_alone() -> None:
    encoder = RequestEncoder(CLIENT, "p")
    call, session = encoder.encode(FIRST_CALL_ID, 0, "m", b"body"), _session()
    session.feed(call)
    assert session.lone_call(call) is None  # there may be something before it
    first = session.next_request()
    assert session.lone_call(call) is None
    assert session.next_request() is None
    assert session.lone_call(call) == first == Request(FIRST_CALL_ID, CLIENT, 0, "p", "m", b"body")
    assert session.lone_call(call) == first
    for other in (
        call + call,
        call[:-1],
        call + b"\0",
        _PING,
        b"\0\0\0",
        encoder.encode(1 << 21, 0, "m", bytes(16384)),
    ):
        assert session.lone_call(other) is None
    around = encoder.encode(FIRST_CALL_ID, 0, "m", call)
    session.feed(around[: -len(call)])
    assert session.next_request() is None
    assert session.lone_call(call) is None  # it is the end of the one around it
    assert ServerSession().lone_call(call) is None  # no connection context came before it
    short = ServerSession(frame_bytes_max=len(encoder.preamble()))
    short.feed(encoder.preamble())
    assert short.next_request() is None
    assert short.lone_call(encoder.encode(FIRST_CALL_ID, 0, "m", bytes(200))) is None


def test_calls_as_clients_send_them_are_decoded_without_python() -> None:
    for call_id, retry in ((0, -1), (7, 0), (1 << 20, 3), ((1 << 31) - 1, 70)):
        header = RpcRequestHeader(
            rpcKind=RPC_PROTOCOL_BUFFER,
            rpcOp=RpcRequestHeader.RPC_FINAL_PACKET,
            callId=call_id,
            clientId=CLIENT,
            retryCount=retry,
        )
        frame = encode_delimited(header.SerializeToString()) + _NAMES + encode_delimited(b"body")
        assert compiled.decode_call(frame) == (call_id, CLIENT, retry, _NAMES[1:], len(frame) - 4)
        assert _compare(frame) == (call_id, CLIENT, retry, "m", b"body")
        assert compiled.decode_lone_call(_framed(frame)) == (call_id, CLIENT, retry, _NAMES[1:], len(frame))


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
    with pytest.raises(TypeError):
        compiled.decode_lone_call(memoryview(b""))
