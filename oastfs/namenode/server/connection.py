"""One client's connection: requests in, answers out, and no more work at once than agreed.

Answers of one batch of frames leave in one write. A connection stops reading while it has too
much in flight or too many unsent bytes, so a client that does not read its answers costs a bounded
amount of memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from oastfs.core.errors import NoSuchVerb, OastError, ProtocolError, ServerStopping
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.peer import Peer, address_of
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_error, encode_head, encode_response
from oastfs.wire.proto.rpc_pb2 import RpcResponseHeader

if TYPE_CHECKING:
    from oastfs.namenode.server.rpc import RpcServer

log = structlog.get_logger(__name__)

REQUESTS_PER_TURN = 64
"""Requests of one connection that are taken before others have their turn."""
_JOIN_BYTES_MAX = 64 * 1024
"""Longer bodies are written as they are, without being joined to their neighbours."""
_NO_PROTOCOL = "org.apache.hadoop.ipc.RpcNoSuchProtocolException"


class RpcConnection(Peer):
    """One client that speaks Hadoop RPC."""

    def __init__(self, server: RpcServer, transport: asyncio.Transport) -> None:
        super().__init__(server)
        self._session = ServerSession(server.limits.frame_bytes_max)
        self._out: list[bytes] = []
        self._use(transport, server.limits.unsent_bytes_max)
        self.address = address_of(transport)
        self._stalled = False
        self.calls = 0
        peer = transport.get_extra_info("peername")
        self.peer_host: str = peer[0] if peer else ""
        self.local_address: tuple[str, int] = (
            tuple(transport.get_extra_info("sockname")[:2]) if peer else ("", 0)
        )
        """This server's address as the client reached it."""

    @property
    def user(self) -> str:
        """The user that the client named when it connected."""
        return self._session.user

    # --- called by the event loop -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.heard_tick = self._server.tick
        if self.in_flight < self._server.limits.in_flight_max and not self._choked:
            request = self._session.lone_call(data)
            if request is not None:
                self._answer_alone(request)
                return
        self._session.feed(data)
        if not self._stalled:
            self._serve()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.go_on()

    # --- reading requests ---------------------------------------------------------------------------

    def _serve(self) -> None:
        session, in_flight_max = self._session, self._server.limits.in_flight_max
        turn = REQUESTS_PER_TURN
        try:
            while turn and self.in_flight < in_flight_max and not self._choked:
                request = session.next_request()
                if request is None:
                    break
                turn -= 1
                body = self._handle(request)
                if body is not None:
                    self.answer(request, body)
            else:
                self._stall(come_back=not turn)
        except ProtocolError as error:
            self._hang_up(error)
            return
        if output := session.take_output():
            self._out.append(output)
        self.flush()
        if session.closing:
            self._transport.close()

    def _stall(self, come_back: bool) -> None:
        """Take no more requests until ``go_on``."""
        self._stalled = True
        self._transport.pause_reading()
        if come_back:
            self._server.loop.call_soon(self.go_on)

    def go_on(self) -> None:
        """Take requests again, if that was stopped and there is room now."""
        has_room = self.in_flight < self._server.limits.in_flight_max and not self._choked
        if self._stalled and has_room and not self.lost:
            self._stalled = False
            self._transport.resume_reading()
            self._serve()

    def _answer_alone(self, request: Request) -> None:
        """Carry out a call that nothing came with, so nobody's answer is to be joined to its own."""
        body = self._handle(request)
        if body is not None and len(body) <= _JOIN_BYTES_MAX:
            self._send(encode_response(request, body))
            return
        if body is not None:
            self.answer(request, body)
        self.flush()

    def _handle(self, request: Request) -> bytes | None:
        """Have a call carried out: its answer, or None if that comes later, or is an error and in line."""
        self.calls += 1
        handler = self._server.handlers.get(request.protocol)
        if handler is None:
            message = f"Unknown protocol: {request.protocol}"
            detail = RpcResponseHeader.ERROR_NO_SUCH_PROTOCOL
            self._out.append(_error(request, _NO_PROTOCOL, message, detail))
            return None
        try:
            if self._server.stopping:
                raise ServerStopping("the namenode is stopping")
            return handler.handle(request, self)
        except Exception as error:
            self.fail(request, handler, error)
            return None

    def _hang_up(self, error: ProtocolError) -> None:
        """Tell the client why, if it can be told, and close: its next bytes mean nothing."""
        self._server.metrics.protocol_errors += 1
        log.info("connection closed", client=self.address, reason=error.message)
        self._refused = True
        self._out.append(self._session.take_output())
        self.flush()
        self._transport.close()

    # --- answering ----------------------------------------------------------------------------------

    def begin(self, weight: int = 1) -> None:
        """A call will be answered later. At ``in_flight_max`` no more requests are taken."""
        self.in_flight += weight

    def end(self, weight: int = 1) -> None:
        """That call was answered; ``flush`` and ``go_on`` follow for the whole batch."""
        self.in_flight -= weight

    def answer(self, request: Request, body: bytes) -> None:
        """Put an answer in line for ``flush``."""
        if len(body) <= _JOIN_BYTES_MAX:
            self._out.append(encode_response(request, body))
        else:
            self._out.append(encode_head(request, len(body)))
            self.flush()
            if not self.lost:
                self._transport.write(body)

    def fail(self, request: Request, handler: Handler, error: BaseException) -> None:
        """Put an error in line for ``flush``. Errors that nobody foresaw are logged with their trace."""
        if not isinstance(error, OastError):
            log.error("call failed unexpectedly", method=request.method, client=self.address, exc_info=error)
        no_method = isinstance(error, NoSuchVerb)
        detail = RpcResponseHeader.ERROR_NO_SUCH_METHOD if no_method else RpcResponseHeader.ERROR_APPLICATION
        self._out.append(_error(request, *handler.describe(error), detail))

    def flush(self) -> None:
        """Send what is in line."""
        out = self._out
        if out:
            if not self.lost:
                self._send(b"".join(out) if len(out) > 1 else out[0])
            out.clear()

    def close(self) -> None:
        self.flush()
        super().close()


def _error(
    request: Request,
    exception_class: str,
    message: str,
    detail: RpcResponseHeader.RpcErrorCode.ValueType,
) -> bytes:
    return encode_error(
        request.call_id, request.client_id, request.retry_count, exception_class, message, detail
    )
