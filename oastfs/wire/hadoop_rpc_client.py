"""Hadoop RPC, version 9, as a client speaks it: encodes calls, decodes answers; no sockets.

Clients of one process share a client id and count their calls: (client id, call id) names a call
for the servers' retry cache, on whatever connection it comes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from oastfs.core.errors import ProtocolError
from oastfs.wire.frames import pack_length
from oastfs.wire.hadoop_rpc import AUTH_NONE, CONTEXT_CALL_ID, MAGIC, VERSION, checked_text
from oastfs.wire.proto.rpc_pb2 import (
    RPC_PROTOCOL_BUFFER,
    IpcConnectionContext,
    RequestHeader,
    RpcRequestHeader,
    RpcResponseHeader,
    UserInformation,
)
from oastfs.wire.varint import decode_varint, encode_delimited, encode_varint

FIRST_CALL_ID: Final = 1 << 21
LAST_CALL_ID: Final = (1 << 27) - 1
"""Ids from the first to this one all take four bytes, so request headers have one length. 132 million
calls: one id comes back long after the retry caches have forgotten it."""
CLIENT_ID_BYTES: Final = 16

_parse_header = RpcResponseHeader.FromString


class Response(NamedTuple):
    """One answer: ``body`` on success; else the exception's class and message."""

    call_id: int
    body: memoryview
    exception_class: str = ""
    message: str = ""
    fatal: bool = False

    @property
    def succeeded(self) -> bool:
        return not self.exception_class


class RequestEncoder:
    """Encodes the calls of one client on one protocol."""

    def __init__(self, client_id: bytes, protocol: str, user: str = "") -> None:
        if len(client_id) != CLIENT_ID_BYTES:
            raise ValueError("a client id has 16 bytes")
        self.client_id = client_id
        self.protocol = protocol
        self._user = user
        self._names: dict[str, bytes] = {}
        self._before_call = bytes((29, 0x08, RPC_PROTOCOL_BUFFER, 0x10, 0x00, 0x18))
        self._after_call = b"\x22\x10" + client_id + b"\x28"

    def preamble(self) -> bytes:
        """What opens a connection, before the first call."""
        context = IpcConnectionContext(
            userInfo=UserInformation(effectiveUser=self._user), protocol=self.protocol
        )
        header = RpcRequestHeader(
            rpcKind=RPC_PROTOCOL_BUFFER,
            rpcOp=RpcRequestHeader.RPC_FINAL_PACKET,
            callId=CONTEXT_CALL_ID,
            clientId=self.client_id,
            retryCount=-1,
        )
        payload = encode_delimited(header.SerializeToString()) + encode_delimited(context.SerializeToString())
        start = MAGIC + bytes((VERSION, 0, AUTH_NONE))
        return start + pack_length(len(payload)) + payload

    def encode(self, call_id: int, retry_count: int, method: str, body: bytes) -> bytes:
        """One call. ``call_id`` from FIRST_CALL_ID to LAST_CALL_ID; ``retry_count`` from 0."""
        names = self._names.get(method) or self._encode_names(method)
        length = encode_varint(len(body))
        # The header: kind, operation, call id and retry count (zigzag), client id: always 29 bytes.
        call = call_id << 1
        return b"".join(
            (
                pack_length(30 + len(names) + len(length) + len(body)),
                self._before_call,
                bytes((call & 0x7F | 0x80, call >> 7 & 0x7F | 0x80, call >> 14 & 0x7F | 0x80, call >> 21)),
                self._after_call,
                bytes((min(retry_count, 63) << 1,)),
                names,
                length,
                body,
            )
        )

    def _encode_names(self, method: str) -> bytes:
        header = RequestHeader(
            methodName=method, declaringClassProtocolName=self.protocol, clientProtocolVersion=1
        )
        names = self._names[method] = encode_delimited(header.SerializeToString())
        return names


def decode_response(frame: bytes) -> Response:
    """The answer in a frame. Raises ProtocolError."""
    length, begin = decode_varint(frame, 0)
    end = begin + length
    try:
        header = _parse_header(frame[begin:end])
    except DecodeError:
        raise ProtocolError("undecodable RPC response header") from None
    if header.status:
        fatal = header.status == RpcResponseHeader.FATAL
        name = checked_text(header.exceptionClassName) or "java.io.IOException"
        return Response(header.callId, memoryview(b""), name, checked_text(header.errorMsg), fatal)
    length, begin = decode_varint(frame, end)
    if begin + length != len(frame):
        raise ProtocolError("the length of an answer does not match its frame")
    return Response(header.callId, memoryview(frame)[begin:])
