"""The server's half of Hadoop RPC, from bytes."""

from __future__ import annotations

from typing import Any

import pytest

from oastfs.core.errors import ProtocolError
from oastfs.wire.frames import FrameBuffer, pack_length
from oastfs.wire.hadoop_rpc import (
    CONTEXT_CALL_ID,
    HTTP_HINT,
    PING_CALL_ID,
    SASL_CALL_ID,
    Request,
    ServerSession,
    encode_error,
    encode_head,
    encode_response,
)
from oastfs.wire.proto.rpc_pb2 import (
    RPC_PROTOCOL_BUFFER,
    RPC_WRITABLE,
    IpcConnectionContext,
    RequestHeader,
    RpcRequestHeader,
    RpcResponseHeader,
    RpcSaslMessage,
    UserInformation,
)
from oastfs.wire.varint import decode_delimited, encode_delimited, encode_varint

CLIENT = bytes(range(16))
PREAMBLE = b"hrpc\x09\x00\x00"
SASL_PREAMBLE = b"hrpc\x09\x00\xdf"


def header(call_id: int, retry: int = 0, client: bytes = CLIENT, **fields: Any) -> bytes:
    message = RpcRequestHeader(callId=call_id, clientId=client, retryCount=retry)
    message.rpcKind = fields.get("kind", RPC_PROTOCOL_BUFFER)
    message.rpcOp = fields.get("op", RpcRequestHeader.RPC_FINAL_PACKET)
    return encode_delimited(message.SerializeToString())


def frame(payload: bytes) -> bytes:
    return pack_length(len(payload)) + payload


def context(user: str = "alice") -> bytes:
    message = IpcConnectionContext(userInfo=UserInformation(effectiveUser=user), protocol="p")
    return frame(header(CONTEXT_CALL_ID, -1) + encode_delimited(message.SerializeToString()))


def call(
    call_id: int = 0, method: str = "stat", body: bytes = b"args", retry: int = 0, client: bytes = CLIENT
) -> bytes:
    names = RequestHeader(methodName=method, declaringClassProtocolName="proto", clientProtocolVersion=1)
    payload = header(call_id, retry, client) + encode_delimited(names.SerializeToString())
    return frame(payload + encode_delimited(body))


def answers(output: bytes) -> list[tuple[RpcResponseHeader, bytes]]:
    """Headers of answers with what follows them."""
    buffer = FrameBuffer()
    buffer.feed(output)
    found = []
    while (payload := buffer.next_frame()) is not None:
        head, at = decode_delimited(payload, 0)
        found.append((RpcResponseHeader.FromString(head), payload[at:]))
    assert len(buffer) == 0
    return found


def opened(preamble: bytes = PREAMBLE) -> ServerSession:
    session = ServerSession()
    session.feed(preamble + context())
    assert session.next_request() is None
    return session


# --- what a good client sends ---------------------------------------------------------------------


def test_calls_after_preamble_and_context() -> None:
    session = ServerSession()
    session.feed(PREAMBLE + context() + call(5, "stat", b"abc", retry=2) + call(6, "open", b""))
    assert session.next_request() == Request(5, CLIENT, 2, "proto", "stat", b"abc")
    assert session.next_request() == Request(6, CLIENT, 0, "proto", "open", b"")
    assert session.next_request() is None
    assert session.user == "alice"
    assert session.take_output() == b""


def test_byte_by_byte() -> None:
    session = ServerSession()
    found = []
    for byte in PREAMBLE + context() + call(1) + call(2):
        session.feed(bytes((byte,)))
        request = session.next_request()
        if request is not None:
            found.append(request.call_id)
    assert found == [1, 2]


def test_a_long_body_is_not_copied() -> None:
    session = opened()
    session.feed(call(1, body=b"z" * 100_000))
    request = session.next_request()
    assert request is not None
    assert isinstance(request.body, memoryview)
    assert bytes(request.body) == b"z" * 100_000


def test_pings_are_silent() -> None:
    session = opened()
    session.feed(frame(header(PING_CALL_ID, -1)) + call(3))
    request = session.next_request()
    assert request is not None and request.call_id == 3
    assert session.take_output() == b""


def test_close_of_the_connection() -> None:
    session = opened()
    session.feed(frame(header(0, op=RpcRequestHeader.RPC_CLOSE_CONNECTION)) + call(1))
    assert session.next_request() is None
    assert session.closing


def test_sasl_is_answered_with_simple_and_initiate_with_nothing() -> None:
    session = ServerSession()
    negotiate = RpcSaslMessage(state=RpcSaslMessage.NEGOTIATE).SerializeToString()
    session.feed(SASL_PREAMBLE + frame(header(SASL_CALL_ID, -1, b"") + encode_delimited(negotiate)))
    assert session.next_request() is None
    [(head, rest)] = answers(session.take_output())
    assert head.callId == SASL_CALL_ID & 0xFFFFFFFF
    assert head.status == RpcResponseHeader.SUCCESS
    offer = RpcSaslMessage.FromString(decode_delimited(rest, 0)[0])
    assert offer.state == RpcSaslMessage.NEGOTIATE
    assert [auth.method for auth in offer.auths] == ["SIMPLE"]
    initiate = RpcSaslMessage(state=RpcSaslMessage.INITIATE, auths=offer.auths).SerializeToString()
    session.feed(frame(header(SASL_CALL_ID, -1, b"") + encode_delimited(initiate)) + context("bob") + call(0))
    request = session.next_request()
    assert request is not None and request.method == "stat"
    assert session.take_output() == b""
    assert session.user == "bob"


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("call_id", [0, 127, 128, 1 << 20, (1 << 31) - 1])
@pytest.mark.parametrize("retry", [-1, 0, 70])
@pytest.mark.parametrize("client", [b"", CLIENT])
def test_answers_parse_as_protobuf(call_id: int, retry: int, client: bytes) -> None:
    request = Request(call_id, client, retry, "p", "m", b"")
    for body in (b"", b"x", b"y" * 200, b"z" * 70_000):
        encoded = encode_response(request, body)
        assert encode_head(request, len(body)) + body == encoded
        [(head, rest)] = answers(encoded)
        assert (head.callId, head.clientId, head.retryCount) == (call_id, client, retry)
        assert head.status == RpcResponseHeader.SUCCESS
        assert head.serverIpcVersionNum == 9
        assert rest == encode_varint(len(body)) + body


def test_errors() -> None:
    encoded = encode_error(7, CLIENT, 1, "java.io.IOException", "no", fatal=False)
    [(head, rest)] = answers(encoded)
    assert head.status == RpcResponseHeader.ERROR
    assert (head.exceptionClassName, head.errorMsg) == ("java.io.IOException", "no")
    assert head.errorDetail == RpcResponseHeader.ERROR_APPLICATION
    assert rest == b""


# --- what others send -----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\0\0\0\x10aaaaaaaaaaaaaaaa", b"hrpx\x09\0\0", b"SSH-2.0-OpenSSH", b"x"])
def test_not_hadoop_rpc(data: bytes) -> None:
    session = ServerSession()
    session.feed(data)
    with pytest.raises(ProtocolError, match="does not speak Hadoop RPC"):
        session.next_request()
    assert session.take_output() == b""


def test_browsers_are_told() -> None:
    session = ServerSession()
    session.feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ProtocolError):
        session.next_request()
    assert session.take_output() == HTTP_HINT


@pytest.mark.parametrize(
    ("preamble", "detail"),
    [
        (b"hrpc\x07\x00\x00", RpcResponseHeader.FATAL_VERSION_MISMATCH),
        (b"hrpc\x09\x00\x51", RpcResponseHeader.FATAL_UNAUTHORIZED),
    ],
)
def test_wrong_version_or_authentication(preamble: bytes, detail: int) -> None:
    session = ServerSession()
    session.feed(preamble)
    with pytest.raises(ProtocolError):
        session.next_request()
    [(head, _)] = answers(session.take_output())
    assert head.status == RpcResponseHeader.FATAL
    assert head.errorDetail == detail


DESERIALIZING = RpcResponseHeader.FATAL_DESERIALIZING_REQUEST
INVALID_HEADER = RpcResponseHeader.FATAL_INVALID_RPC_HEADER
UNAUTHORIZED = RpcResponseHeader.FATAL_UNAUTHORIZED

KERBEROS = RpcSaslMessage(
    state=RpcSaslMessage.INITIATE,
    auths=[RpcSaslMessage.SaslAuth(method="KERBEROS", mechanism="GSSAPI")],
)

BROKEN: dict[str, tuple[bytes, int]] = {
    "call before context": (PREAMBLE + call(1), INVALID_HEADER),
    "second context": (PREAMBLE + context() + context(), INVALID_HEADER),
    "frame too long": (PREAMBLE + b"\xff\xff\xff\xff", DESERIALIZING),
    "empty frame": (PREAMBLE + frame(b""), DESERIALIZING),
    "header longer than frame": (PREAMBLE + frame(b"\x50abc"), DESERIALIZING),
    "garbage header": (PREAMBLE + frame(b"\x03\xff\xff\xff"), DESERIALIZING),
    "header without call id": (PREAMBLE + frame(b"\x04\x08\x02\x10\x00"), INVALID_HEADER),
    "body shorter than said": (PREAMBLE + context() + frame(call(1)[4:-1]), DESERIALIZING),
    "body longer than said": (PREAMBLE + context() + frame(call(1)[4:] + b"x"), DESERIALIZING),
    "no names": (PREAMBLE + context() + frame(header(1)), DESERIALIZING),
    "names not UTF-8": (
        PREAMBLE + context() + frame(header(1) + b"\x09\x0a\x02\xff\xfe\x12\x01p\x18\x01" + b"\0"),
        DESERIALIZING,
    ),
    "user not UTF-8": (
        PREAMBLE + frame(header(CONTEXT_CALL_ID) + b"\x06\x12\x04\x0a\x02\xff\xfe"),
        DESERIALIZING,
    ),
    "client id too long": (PREAMBLE + context() + call(1, client=b"c" * 17), INVALID_HEADER),
    "unknown negative call": (PREAMBLE + context() + frame(header(-77)), INVALID_HEADER),
    "writable": (PREAMBLE + context() + frame(header(1, kind=RPC_WRITABLE)), INVALID_HEADER),
    "SASL without being asked for": (
        PREAMBLE + frame(header(SASL_CALL_ID) + encode_delimited(b"\x10\x01")),
        INVALID_HEADER,
    ),
    "SASL of another kind": (
        SASL_PREAMBLE + frame(header(SASL_CALL_ID) + encode_delimited(KERBEROS.SerializeToString())),
        UNAUTHORIZED,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_refused_with_a_fatal_answer(name: str) -> None:
    data, detail = BROKEN[name]
    session = ServerSession()
    session.feed(data)
    with pytest.raises(ProtocolError) as caught:
        while session.next_request() is not None:
            pass
    [(head, _)] = answers(session.take_output())
    assert head.status == RpcResponseHeader.FATAL
    assert head.errorMsg == caught.value.message
    assert head.errorDetail == detail
