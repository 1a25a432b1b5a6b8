"""A client of a datanode's Hadoop RPC, as small as tests need it."""

from __future__ import annotations

import os
import pwd
import socket
from types import TracebackType

from google.protobuf.message import Message

from oastfs.datanode.client_protocol import PROTOCOL
from oastfs.wire.frames import FrameBuffer
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder, Response, decode_response

OWNER = pwd.getpwuid(os.geteuid()).pw_name
TIMEOUT_SECONDS = 20.0


class RpcPeer:
    """One connection; calls one after the other."""

    def __init__(self, port: int, user: str = OWNER, protocol: str = PROTOCOL) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._encoder = RequestEncoder(os.urandom(16), protocol, user)
        self._frames = FrameBuffer()
        self._call_id = FIRST_CALL_ID
        self._sock.sendall(self._encoder.preamble())

    def __enter__(self) -> RpcPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()

    def call(self, method: str, request: Message) -> Response:
        """Send one call and wait for its answer."""
        self._sock.sendall(self._encoder.encode(self._call_id, 0, method, request.SerializeToString()))
        frame = self._frames.next_frame()
        while frame is None:
            data = self._sock.recv(65536)
            assert data, "the datanode closed the connection"
            self._frames.feed(data)
            frame = self._frames.next_frame()
        response = decode_response(frame)
        assert response.call_id == self._call_id
        self._call_id += 1
        return response
