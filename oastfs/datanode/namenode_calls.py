"""Calls on namenodes' own ports over connections that are kept: see ``wire/datanode_calls.py``.

A call is made by the thread that wants it, on a connection that no other thread has meanwhile.
"""

from __future__ import annotations

import os
import socket
import struct
import threading

from oastfs.core.errors import ConnectionLost, OastError, ProtocolError
from oastfs.wire.datanode_calls import PROTOCOL
from oastfs.wire.frames import FrameBuffer
from oastfs.wire.hadoop_rpc_client import CLIENT_ID_BYTES, FIRST_CALL_ID, RequestEncoder, decode_response

ANSWER_BYTES_MAX = 1024 * 1024
_KEPT_MAX = 64
"""Connections to one namenode that are kept while nobody uses them."""


class Refused(OastError):
    """The namenode answered that it will not."""


class NamenodeCalls:
    """Safe to use from many threads."""

    def __init__(self, timeout_seconds: float) -> None:
        """``timeout_seconds``: longest wait for a connection, and for an answer."""
        self._timeout_seconds = timeout_seconds
        self._encoder = RequestEncoder(os.urandom(CLIENT_ID_BYTES), PROTOCOL)
        self._free: dict[str, list[socket.socket]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def call(self, address: str, method: str, body: bytes) -> bytes:
        """The answer of "host:port". Raises Refused, ProtocolError, and OSError if there is none.

        What was sent on a kept connection that turns out to be closed is sent once more on another.
        """
        request = self._encoder.encode(FIRST_CALL_ID, 0, method, body)
        kept = self._take(address)
        if kept is not None:
            try:
                return self._exchange(address, kept, request)
            except (ConnectionLost, ConnectionError):
                pass  # the namenode was started anew, or found us idle
        return self._exchange(address, self._connect(address), self._encoder.preamble() + request)

    def _connect(self, address: str) -> socket.socket:
        host, _, port = address.rpartition(":")
        sock = socket.create_connection((host.strip("[]"), int(port)), self._timeout_seconds)
        # From here on the kernel keeps the time: Python's own timeouts cost a second system call for each.
        sock.settimeout(None)
        interval = struct.pack("@ll", int(self._timeout_seconds), int(self._timeout_seconds % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def close(self) -> None:
        """Keep no connection any more."""
        with self._lock:
            self._closed = True
            idle = [sock for socks in self._free.values() for sock in socks]
            self._free.clear()
        for sock in idle:
            sock.close()

    def _take(self, address: str) -> socket.socket | None:
        with self._lock:
            free = self._free.get(address)
            return free.pop() if free else None

    def _exchange(self, address: str, sock: socket.socket, request: bytes) -> bytes:
        try:
            sock.sendall(request)
            buffer = FrameBuffer(ANSWER_BYTES_MAX)
            while (frame := buffer.next_frame()) is None:
                data = sock.recv(64 * 1024)
                if not data:
                    raise ConnectionLost(f"the namenode at {address} closed the connection")
                buffer.feed(data)
            response = decode_response(frame)
            if response.call_id != FIRST_CALL_ID and not response.fatal:
                raise ProtocolError(f"the namenode at {address} answered another call")
        except BaseException:
            sock.close()
            raise
        self._give_back(address, sock, fatal=response.fatal)
        if not response.succeeded:
            raise Refused(f"{response.exception_class}: {response.message}")
        return bytes(response.body)

    def _give_back(self, address: str, sock: socket.socket, *, fatal: bool) -> None:
        with self._lock:
            free = self._free.setdefault(address, [])
            if not fatal and not self._closed and len(free) < _KEPT_MAX:
                free.append(sock)
                return
        sock.close()
