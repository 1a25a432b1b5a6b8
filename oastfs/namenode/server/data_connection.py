"""One client that reads inline blocks: operations of the data transfer protocol, one after the other.

An answer is produced as fast as the client takes it, so a slow reader costs a bounded amount of memory.
What is refused ends the connection, as datanodes do: clients then ask for the locations again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from oastfs.core.errors import OastError, ProtocolError, ServerStopping, Unsupported
from oastfs.namenode.server.peer import Peer, address_of
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.memory import MemoryBlock, checksum_answer, read_answer
from oastfs.wire.transfer.messages import refusal
from oastfs.wire.transfer.ops import Op, Request, encode_delimited
from oastfs.wire.transfer.session import REQUEST_BYTES_MAX, ServingSession

if TYPE_CHECKING:
    from oastfs.namenode.server.rpc import RpcServer

log = structlog.get_logger(__name__)

UNSENT_BYTES_MAX: Final = 256 * 1024
UNREAD_BYTES_MAX: Final = 2 * REQUEST_BYTES_MAX
"""Requests that a client sent ahead before it is read no further."""
_STEPS_PER_TURN: Final = 32
"""Pieces sent or messages taken before other connections have their turn."""

_NAMES: Final = {op: op.name for op in Op}
_clock_ns = time.perf_counter_ns


class DataConnection(Peer):
    """In the middle of an operation ``in_flight`` is 1."""

    _answer: Iterator[bytes] | None = None
    """What is left to send of the operation under way."""
    _verdict_due = False
    _read_no_further = False
    _op = Op.READ_BLOCK
    _data_bytes = 0
    _started_ns = 0

    def __init__(self, server: RpcServer, transport: asyncio.Transport) -> None:
        super().__init__(server)
        self._use(transport, UNSENT_BYTES_MAX)
        self._session = ServingSession()

    # --- called by the event loop -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.heard_tick = self._server.tick
        self._session.feed(data)
        self._go_on()
        if len(self._session) > UNREAD_BYTES_MAX and not self.lost:
            self._read_no_further = True
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer = None
        super().connection_lost(exc)

    # --- requests and answers -----------------------------------------------------------------------

    def _go_on(self) -> None:
        """Do what is due, as far as the client sends and reads, and others may wait."""
        transport = self._transport
        try:
            for _ in range(_STEPS_PER_TURN):
                if self._choked or self._refused or transport.is_closing():
                    return
                if self._answer is None:
                    if self.in_flight or not self._take():
                        return
                    continue
                piece = next(self._answer, None)
                if piece:
                    self._send(piece)
                elif piece is None:
                    self._finish()
                else:
                    break
        except ProtocolError as error:
            self._hang_up(error)
            return
        self._server.loop.call_soon(self._go_on)

    def _take(self) -> bool:
        """Take the next message, if it is there."""
        if self._verdict_due:
            if self._session.next_verdict() is None:
                return False
            self._verdict_due = False
            return True
        request = self._session.next_request()
        if request is not None:
            self._begin(*request)
        elif self._read_no_further:
            self._read_no_further = False
            self._transport.resume_reading()
        return request is not None

    def _begin(self, op: Op, message: Request | None) -> None:
        self._op = op
        self._started_ns = _clock_ns()
        self.in_flight = 1
        try:
            if self._server.stopping:
                raise ServerStopping("the namenode is stopping")
            if isinstance(message, pb.OpReadBlock):
                block = message.header.baseHeader.block
                length = max(block.numBytes, message.offset + message.len)
            elif isinstance(message, pb.OpBlockChecksum):
                block = message.header.block
                length = block.numBytes
            else:
                raise Unsupported(f"a namenode does not carry out {op.name}: its blocks are only read")
            blocks = self._server.blocks
            if blocks.reads_at_once:
                self._set_out(message, blocks.find(block.blockId, length))
            else:
                found = blocks.on_thread(partial(blocks.find, block.blockId, length))
                found.add_done_callback(partial(self._post, message))
        except Exception as error:
            self._refuse(error)

    def _set_out(self, message: pb.OpReadBlock | pb.OpBlockChecksum, block: MemoryBlock) -> None:
        if isinstance(message, pb.OpReadBlock):
            self._verdict_due = True
            self._data_bytes = message.len
            self._answer = read_answer(block, message)
        else:
            self._answer = checksum_answer(block, message)
            self._data_bytes = 0

    def _post(self, message: pb.OpReadBlock | pb.OpBlockChecksum, found: Future[MemoryBlock]) -> None:
        """On another thread: the store has answered."""
        try:
            self._server.loop.call_soon_threadsafe(self._set_out_later, message, found)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be answered

    def _set_out_later(
        self, message: pb.OpReadBlock | pb.OpBlockChecksum, found: Future[MemoryBlock]
    ) -> None:
        if self.lost:
            return
        try:
            self._set_out(message, found.result())
        except Exception as error:
            self._refuse(error)
        self._go_on()

    # --- ends -----------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The answer is written."""
        self._answer = None
        self.in_flight = 0
        metrics = self._server.metrics
        metrics.transferred_bytes += self._data_bytes
        # As VerbMetrics.observe, without its call.
        elapsed_ns = _clock_ns() - self._started_ns
        figures = metrics.transfer(_NAMES[self._op])
        figures.total_ns += elapsed_ns
        figures.buckets[elapsed_ns.bit_length()] += 1

    def _refuse(self, error: Exception) -> None:
        """Say why not, and close once that is sent."""
        if not isinstance(error, OastError):
            log.error("transfer failed unexpectedly", operation=self._op.name, exc_info=error)
            error = OastError("the server failed unexpectedly; its log says more")
        kind = type(error).__name__
        self._server.metrics.transfer(self._op.name).observe_error(_clock_ns() - self._started_ns, kind)
        self.in_flight = 0
        self._refused = True
        self._transport.write(encode_delimited(refusal(error)))
        self._transport.close()

    def _hang_up(self, error: ProtocolError) -> None:
        """What the client sends has no meaning."""
        self._server.metrics.protocol_errors += 1
        log.info("connection closed", client=address_of(self._transport), reason=error.message)
        self._refused = True
        self._transport.close()
