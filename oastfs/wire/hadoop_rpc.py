"""Hadoop RPC, version 9, as a server hears and answers it. Bytes in, requests out; no sockets.

A connection opens with seven bytes (``hrpc``, version, service class, authentication), then carries
frames: a request header, and for calls the name of protocol and method and the arguments. Clients
that are set up for security begin with SASL; they are told that the simple mode is all there is.
See RpcHeader.proto and Server.java of Hadoop 3; the client's side is ``hadoop_rpc_client``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from oastfs.core.errors import ProtocolError
from oastfs.wire.frames import FRAME_BYTES_MAX, FrameBuffer, pack_length
from oastfs.wire.proto.rpc_pb2 import (
    IpcConnectionContext,
    RequestHeader,
    RpcRequestHeader,
    RpcResponseHeader,
    RpcSaslMessage,
)
from oastfs.wire.varint import decode_delimited, decode_varint, encode_delimited, encode_varint

try:
    from oastfs.wire import _calls
except ImportError:  # there was no C compiler
    _calls = None  # type: ignore[assignment]

MAGIC: Final = b"hrpc"
VERSION: Final = 9
PREAMBLE_BYTES: Final = 7
AUTH_NONE: Final = 0
AUTH_SASL: Final = 0xDF

INVALID_CALL_ID: Final = -2
CONTEXT_CALL_ID: Final = -3
PING_CALL_ID: Final = -4
SASL_CALL_ID: Final = -33

CLIENT_ID_BYTES_MAX: Final = 16
_PROTOCOL_BUFFER: Final = 2
_CLOSE_CONNECTION: Final = RpcRequestHeader.RPC_CLOSE_CONNECTION
_COPY_BYTES_MAX: Final = 16 * 1024
"""Longer bodies are views of their frame instead of copies."""
_NAMES_KEPT_MAX: Final = 1024

HTTP_HINT: Final = (
    b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\nConnection: close\r\n\r\n"
    b"This port speaks Hadoop RPC, not HTTP.\r\n"
)

_parse_header = RpcRequestHeader.FromString


class Request(msgspec.Struct, gc=False):
    """One call as it came. ``body`` is the encoded argument message of the method."""

    call_id: int
    client_id: bytes
    retry_count: int
    protocol: str
    method: str
    body: bytes | memoryview


class _Refusal(Exception):
    """What the peer sent ends the connection; ``detail`` is Hadoop's code for it."""

    def __init__(self, message: str, detail: RpcResponseHeader.RpcErrorCode.ValueType) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class ServerSession:
    """The server's end of one connection: feed it bytes, take requests and what is to be sent back."""

    __slots__ = (
        "_at_rest",
        "_begun",
        "_buffer",
        "_context_seen",
        "_lone_bytes_max",
        "_output",
        "_sasl",
        "closing",
        "service_class",
        "user",
    )

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = FrameBuffer(frame_bytes_max)
        self._lone_bytes_max = min(_COPY_BYTES_MAX, frame_bytes_max)
        self._begun = False
        self._at_rest = False
        """Calls may come, and nothing is held: what comes next begins with a frame."""
        self._sasl = False
        self._context_seen = False
        self._output: list[bytes] = []
        self.closing = False
        """The client said that it is done."""
        self.service_class = 0
        self.user = ""
        """Effective user of the connection context; '' before it came, or if it names none."""

    def feed(self, data: bytes) -> None:
        """Add bytes as they came from the client."""
        self._at_rest = False
        self._buffer.feed(data)

    def lone_call(self, data: bytes) -> Request | None:
        """The call that ``data`` is, as it came and with nothing else, as most do. None: feed it.

        Only what is compiled finds any: Python would not be faster than with the buffer.
        """
        if not self._at_rest or len(data) > self._lone_bytes_max:
            return None
        parts = _calls.decode_lone_call(data)
        if parts is None:
            return None
        call_id, client_id, retry_count, encoded, at = parts
        names = _names.get(encoded)
        return Request(call_id, client_id, retry_count, *names, data[at:]) if names is not None else None

    def __len__(self) -> int:
        """Bytes held that are not yet taken as requests."""
        return len(self._buffer)

    def take_output(self) -> bytes:
        """What the protocol itself has to say to the client (not answers of calls)."""
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def next_request(self) -> Request | None:
        """The next call, or None until more is fed. Raises ProtocolError: send the output, then close."""
        if not self._begun and not self._begin():
            return None
        while not self.closing:
            try:
                frame = self._buffer.next_frame()
                if frame is None:
                    self._at_rest = _calls is not None and self._context_seen and not len(self._buffer)
                    return None
                request = self._decode(frame)
            except _Refusal as error:
                self._refuse(error.message, error.detail)
                raise ProtocolError(error.message) from None
            except (ProtocolError, DecodeError) as error:
                message = error.message if isinstance(error, ProtocolError) else "undecodable RPC header"
                self._refuse(message, RpcResponseHeader.FATAL_DESERIALIZING_REQUEST)
                raise ProtocolError(message) from None
            if request is not None:
                return request
        return None

    # --- the parts of a connection ----------------------------------------------------------------

    def _begin(self) -> bool:
        """Read the preamble; False until it is there."""
        start = self._buffer.peek()[:PREAMBLE_BYTES]
        if start[:4] != MAGIC[: len(start)]:
            if start[:4] in (b"GET ", b"POST", b"HEAD", b"PUT "):
                self._output.append(HTTP_HINT)
            raise ProtocolError("the client does not speak Hadoop RPC")
        preamble = self._buffer.take(PREAMBLE_BYTES)
        if preamble is None:
            return False
        version, self.service_class, authentication = preamble[4:]
        if version != VERSION:
            message = f"the server speaks version {VERSION} of Hadoop RPC, the client {version}"
            self._refuse(message, RpcResponseHeader.FATAL_VERSION_MISMATCH)
            raise ProtocolError(message)
        if authentication not in (AUTH_NONE, AUTH_SASL):
            message = f"unknown authentication {authentication:#x}"
            self._refuse(message, RpcResponseHeader.FATAL_UNAUTHORIZED)
            raise ProtocolError(message)
        self._sasl = authentication == AUTH_SASL
        self._begun = True
        return True

    def _decode(self, frame: bytes) -> Request | None:
        """A call, or None for what the session answers itself."""
        parts = _calls.decode_call(frame) if _calls is not None and self._context_seen else None
        if parts is None:
            return self._decode_slowly(frame)
        call_id, client_id, retry_count, names, at = parts
        protocol, method = _names.get(names) or _decode_names(names)
        body = frame[at:] if len(frame) - at < _COPY_BYTES_MAX else memoryview(frame)[at:]
        return Request(call_id, client_id, retry_count, protocol, method, body)

    def _decode_slowly(self, frame: bytes) -> Request | None:
        """As ``_decode``, of any frame."""
        length, begin = decode_varint(frame, 0)
        end = begin + length
        if end > len(frame):
            raise ProtocolError("a request header is longer than its frame")
        header = _parse_header(frame[begin:end])
        call_id = header.callId
        if call_id < 0 or header.rpcKind != _PROTOCOL_BUFFER or header.rpcOp:
            self._control(header, frame, end)
            return None
        if not self._context_seen:
            raise _Refusal(
                "a call came before the connection context", RpcResponseHeader.FATAL_INVALID_RPC_HEADER
            )
        client_id = header.clientId
        if len(client_id) > CLIENT_ID_BYTES_MAX:
            raise _Refusal("the client id is too long", RpcResponseHeader.FATAL_INVALID_RPC_HEADER)
        names, at = decode_delimited(frame, end)
        protocol, method = _names.get(names) or _decode_names(names)
        length, at = decode_varint(frame, at)
        if at + length != len(frame):
            raise ProtocolError("the length of the arguments does not match the frame")
        body = frame[at:] if length < _COPY_BYTES_MAX else memoryview(frame)[at:]
        return Request(call_id, client_id, header.retryCount, protocol, method, body)

    def _control(self, header: RpcRequestHeader, frame: bytes, at: int) -> None:
        """What is not a call: ping, connection context, SASL, the end."""
        if header.rpcOp == _CLOSE_CONNECTION:
            self.closing = True
        elif header.callId == PING_CALL_ID:
            pass
        elif header.callId == CONTEXT_CALL_ID:
            if self._context_seen:
                raise _Refusal("a second connection context", RpcResponseHeader.FATAL_INVALID_RPC_HEADER)
            context = IpcConnectionContext.FromString(decode_delimited(frame, at)[0])
            self.user = checked_text(context.userInfo.effectiveUser)
            self._context_seen = True
        elif header.callId == SASL_CALL_ID and self._sasl:
            self._answer_sasl(RpcSaslMessage.FromString(decode_delimited(frame, at)[0]))
        else:
            raise _Refusal(
                f"a request of kind {header.rpcKind} and call {header.callId} is not known",
                RpcResponseHeader.FATAL_INVALID_RPC_HEADER,
            )

    def _answer_sasl(self, message: RpcSaslMessage) -> None:
        """Offer simple authentication only. INITIATE of it wants no answer: the client goes on at once."""
        if message.state == RpcSaslMessage.NEGOTIATE:
            offer = RpcSaslMessage(
                state=RpcSaslMessage.NEGOTIATE,
                auths=[RpcSaslMessage.SaslAuth(method="SIMPLE", mechanism="")],
            )
            self._output.append(_encode(SASL_CALL_ID, b"", -1, offer.SerializeToString()))
        elif message.state == RpcSaslMessage.INITIATE and [auth.method for auth in message.auths] == [
            "SIMPLE"
        ]:
            self._sasl = False
        else:
            raise _Refusal("only simple authentication is offered", RpcResponseHeader.FATAL_UNAUTHORIZED)

    def _refuse(self, message: str, detail: RpcResponseHeader.RpcErrorCode.ValueType) -> None:
        self._output.append(
            encode_error(INVALID_CALL_ID, b"", -1, ProtocolError.java_class, message, detail, fatal=True)
        )


def checked_text(value: object) -> str:
    """A text field of a message; protobuf gives bytes for what is not UTF-8. Raises ProtocolError."""
    if not isinstance(value, str):
        raise ProtocolError("a text of an RPC header is not UTF-8")
    return value


_names: dict[bytes, tuple[str, str]] = {}


def _decode_names(encoded: bytes) -> tuple[str, str]:
    """(protocol, method) of an encoded RequestHeader, remembered: clients send few different ones."""
    header = RequestHeader.FromString(encoded)
    names = checked_text(header.declaringClassProtocolName), checked_text(header.methodName)
    if len(encoded) < 256:
        if len(_names) >= _NAMES_KEPT_MAX:
            _names.clear()
        _names[encoded] = names
    return names


# --- answers --------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _success_tail(client_id: bytes, retry_count: int) -> bytes:
    """A successful RpcResponseHeader after the call id: the same for all calls of a client."""
    identity = encode_delimited(client_id)
    retry = encode_varint((retry_count << 1) ^ (retry_count >> 31))
    return b"".join((b"\x10\x00\x18", bytes((VERSION,)), b"\x3a", identity, b"\x40", retry))


def encode_response(request: Request, body: bytes) -> bytes:
    """A successful answer, whole."""
    if _calls is not None:
        return _calls.encode_answer(request.call_id, request.client_id, request.retry_count, body)
    return encode_head(request, len(body)) + body


def encode_head(request: Request, body_bytes: int) -> bytes:
    """What goes before a successful answer's body of ``body_bytes`` bytes."""
    return _head(request.call_id, request.client_id, request.retry_count, body_bytes)


def _head(call_id: int, client_id: bytes, retry_count: int, body_bytes: int) -> bytes:
    call = encode_varint(call_id & 0xFFFFFFFF)
    tail = _success_tail(client_id, retry_count)
    header_bytes = 1 + len(call) + len(tail)
    length = encode_varint(body_bytes)
    total = 1 + header_bytes + len(length) + body_bytes  # a header is always shorter than 128 bytes
    return b"".join((pack_length(total), bytes((header_bytes, 8)), call, tail, length))


def _encode(call_id: int, client_id: bytes, retry_count: int, body: bytes) -> bytes:
    return _head(call_id, client_id, retry_count, len(body)) + body


def encode_error(
    call_id: int,
    client_id: bytes,
    retry_count: int,
    exception_class: str,
    message: str,
    detail: RpcResponseHeader.RpcErrorCode.ValueType = RpcResponseHeader.ERROR_APPLICATION,
    *,
    fatal: bool = False,
) -> bytes:
    """An answer that says what went wrong. ``fatal``: the server closes the connection after it."""
    header = RpcResponseHeader(
        callId=call_id & 0xFFFFFFFF,
        status=RpcResponseHeader.FATAL if fatal else RpcResponseHeader.ERROR,
        serverIpcVersionNum=VERSION,
        exceptionClassName=exception_class,
        errorMsg=message,
        errorDetail=detail,
        clientId=client_id,
        retryCount=retry_count,
    )
    payload = encode_delimited(header.SerializeToString())
    return pack_length(len(payload)) + payload
