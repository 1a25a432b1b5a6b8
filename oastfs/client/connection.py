"""One connection to a namenode: calls go out, their answers come back in order of arrival.

The socket blocks and the kernel keeps the time (SO_RCVTIMEO): waiting with Python's own timeouts
would cost a second system call for each read and write.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

from oastfs.client.url import Address
from oastfs.core.errors import ConnectionLost, DeadlineExceeded, ProtocolError, Unreachable
from oastfs.wire.frames import FrameBuffer
from oastfs.wire.hadoop_rpc_client import (
    CLIENT_ID_BYTES,
    FIRST_CALL_ID,
    RequestEncoder,
    Response,
    decode_response,
)

ANSWER_BYTES_MAX = 512 * 1024 * 1024
"""Answers larger than this are taken for garbage; a batch of files may be tens of megabytes."""
_READ_BYTES_MIN, _READ_BYTES_MAX = 64 * 1024, 1024 * 1024
PATIENCE_SECONDS = 1.0
"""How long to wait for an answer, with others to turn to, before asking whether anybody is there."""
_HEALTH = "org.apache.hadoop.ha.HAServiceProtocol", "monitorHealth"
"""A call that needs neither the store nor a turn behind other calls."""
_NO_ANSWER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ETIMEDOUT)


class Connection:
    """For one thread at a time. After any error but of ``open`` it is only good to close."""

    __slots__ = ("_buffer", "_patience_seconds", "_sock", "_timeout_seconds", "address")

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.address = address
        self._sock = sock
        self._buffer = FrameBuffer(ANSWER_BYTES_MAX)
        self._timeout_seconds = self._patience_seconds = 0.0

    @classmethod
    def open(cls, address: Address, encoder: RequestEncoder, timeout_seconds: float) -> Connection:
        """Connect and say who we are. Raises Unreachable, which names the address."""
        try:
            sock = socket.create_connection(address, timeout_seconds)
        except OSError as error:
            reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise Unreachable(f"no namenode answers at {address} ({reason.lower()})") from None
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = cls(sock, address)
        try:
            connection.send(encoder.preamble(), timeout_seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the socket; in a forked child this leaves the parent's connection alone."""
        self._sock.close()

    def exchange(
        self, call_id: int, request: bytes, timeout_seconds: float, *, watched: bool = False
    ) -> Response:
        """Send one call and wait for its answer. Raises ConnectionLost, DeadlineExceeded, ProtocolError.

        ``watched``: give up sooner on a namenode that answers nobody (see ``receive``).
        """
        self.send(request, timeout_seconds, watched=watched)
        response = self.receive(timeout_seconds, watched=watched)
        if response.call_id != call_id and not response.fatal:
            raise ProtocolError(f"the namenode at {self.address} answered another call")
        return response

    def send(self, data: bytes, timeout_seconds: float, *, watched: bool = False) -> None:
        """Send requests, whole; ``watched``: so will be the answers."""
        patience_seconds = min(timeout_seconds, PATIENCE_SECONDS) if watched else timeout_seconds
        if patience_seconds != self._patience_seconds or timeout_seconds != self._timeout_seconds:
            self._set_timeouts(timeout_seconds, patience_seconds)
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise self._explain(error, timeout_seconds) from None

    def receive(self, timeout_seconds: float, *, watched: bool = False) -> Response:
        """The next answer.

        ``watched``: whenever nothing has come for a while, ask over another connection whether the namenode
        answers at all. A call may take its time; a process that hangs, or a machine that is gone, is not
        waited for.
        """
        buffer, deadline = self._buffer, 0.0
        while (frame := buffer.next_frame()) is None:
            if not deadline:
                deadline = time.monotonic() + timeout_seconds
            elif time.monotonic() > deadline:
                raise self._explain(TimeoutError(), timeout_seconds)
            try:
                data = self._sock.recv(min(max(buffer.missing, _READ_BYTES_MIN), _READ_BYTES_MAX))
            except OSError as error:
                left = deadline - time.monotonic()
                if watched and error.errno in _NO_ANSWER and left > PATIENCE_SECONDS / 10:
                    if answers(self.address, PATIENCE_SECONDS):
                        continue
                    timeout_seconds = 2 * PATIENCE_SECONDS
                raise self._explain(error, timeout_seconds) from None
            if not data:
                raise ConnectionLost(f"the namenode at {self.address} closed the connection")
            buffer.feed(data)
        return decode_response(frame)

    # --- without waiting ------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._sock.fileno()

    def send_some(self, data: bytes) -> int:
        """Send what the system takes at once; how many bytes that was. Raises ConnectionLost."""
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._explain(error, 0.0) from None

    def receive_some(self) -> list[Response]:
        """The answers that are here. Raises ConnectionLost, ProtocolError."""
        buffer = self._buffer
        try:
            size = min(max(buffer.missing, _READ_BYTES_MIN), _READ_BYTES_MAX)
            data = self._sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError as error:
            raise self._explain(error, 0.0) from None
        if not data:
            raise ConnectionLost(f"the namenode at {self.address} closed the connection")
        buffer.feed(data)
        responses = []
        while (frame := buffer.next_frame()) is not None:
            responses.append(decode_response(frame))
        return responses

    def _set_timeouts(self, timeout_seconds: float, patience_seconds: float) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _interval(patience_seconds))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(timeout_seconds))
        self._timeout_seconds, self._patience_seconds = timeout_seconds, patience_seconds

    def _explain(self, error: OSError, timeout_seconds: float) -> DeadlineExceeded | ConnectionLost:
        if isinstance(error, TimeoutError) or error.errno in _NO_ANSWER:
            return DeadlineExceeded(
                f"the namenode at {self.address} did not answer in {timeout_seconds:.3g} s"
            )
        reason = (error.strerror or str(error)).lower()
        return ConnectionLost(f"the connection to the namenode at {self.address} was lost ({reason})")


def _interval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, max(int((seconds - whole) * 1e6), 1))


def answers(address: Address, timeout_seconds: float) -> bool:
    """Whether the namenode at an address answers anything."""
    protocol, method = _HEALTH
    encoder = RequestEncoder(os.urandom(CLIENT_ID_BYTES), protocol)
    try:
        connection = Connection.open(address, encoder, timeout_seconds)
    except ConnectionLost:
        return False
    try:
        connection.exchange(FIRST_CALL_ID, encoder.encode(FIRST_CALL_ID, 0, method, b""), timeout_seconds)
    except (ConnectionLost, DeadlineExceeded):
        return False
    finally:
        connection.close()
    return True
