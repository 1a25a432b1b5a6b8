"""One OP_WRITE_BLOCK: a connection to the first of a chain of datanodes that all get the same packets."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Sequence

from oastfs.client.blocks.loan import Loan
from oastfs.client.blocks.packets import OutgoingPacket
from oastfs.client.blocks.pool import Datanodes
from oastfs.core.errors import ConnectionLost, DeadlineExceeded, OastError, ProtocolError
from oastfs.core.types import Location
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    BlockId,
    PacketHeader,
    Stage,
    Target,
    TransferConnection,
    encode_prefix,
    write_request,
)
from oastfs.wire.transfer.checksum import Buffer

UNACKNOWLEDGED_BYTES_MAX = 8 * 1024 * 1024
BATCH_BYTES = 256 * 1024
"""Small packets are sent together."""
BATCH_BUFFERS = 512
SET_UP_SECONDS = 15.0
"""A chain of datanodes has this long to open a block."""
EXPLAIN_SECONDS = 2.0
"""A datanode that breaks a pipeline has this long to say who failed."""


class PipelineBroken(OastError):
    """The pipeline cannot be used any more.

    ``culprit`` is the replica that failed, if that is known; ``silent``: its datanode does not answer.
    """

    def __init__(self, message: str, culprit: Location | None, *, silent: bool = False) -> None:
        super().__init__(message)
        self.culprit = culprit
        self.silent = silent


class Pipeline:
    """Packets out, acknowledgements in. One thread at a time. All of its errors are PipelineBroken."""

    def __init__(self, datanodes: Datanodes, targets: Sequence[Location]) -> None:
        self.targets = tuple(targets)
        self.last_used = time.monotonic()
        self.acknowledged = -1
        """All packets up to this number are on every replica."""
        self.sent = -1
        self._datanodes = datanodes
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._unacknowledged_bytes = 0
        self._batch: list[Buffer] = []
        self._batch_bytes = 0
        self._connection: TransferConnection | None = None
        self._loan: Loan | None = None
        self._placing: deque[OutgoingPacket] = deque()
        """Packets whose data is on its way into the lent file."""
        self._poll = select.poll()

    def set_up(self, block: BlockId, stage: Stage.ValueType, new_stamp: int, client_name: str) -> None:
        """Connect, and have every datanode of the chain open its replica."""
        first = self.targets[0]
        chain = [Target(one.host, one.data_port, one.storage_uuid, one.datanode_uuid) for one in self.targets]
        lend = stage == Stage.PIPELINE_SETUP_CREATE and self._datanodes.is_local(first)
        request = write_request(block, chain, stage, client_name=client_name, new_stamp=new_stamp, lend=lend)
        kept = self._datanodes.take_idle(first)
        try:
            if kept is None or not self._is_open_still(kept, request):
                self._ask(self._datanodes.connect(first), request)
        except PipelineBroken:
            raise
        except DeadlineExceeded as error:
            raise self._unanswered(error) from None
        except OastError as error:
            raise PipelineBroken(error.message, first, silent=True) from None

    def _is_open_still(self, kept: TransferConnection, request: bytes) -> bool:
        """``_ask`` on a connection that was used before; False if the datanode has closed it meanwhile."""
        try:
            self._ask(kept, request)
        except ConnectionLost:
            return False
        return True

    def _ask(self, connection: TransferConnection, request: bytes) -> None:
        seconds = connection.sock.gettimeout()
        try:
            connection.sock.settimeout(min(SET_UP_SECONDS, self._datanodes.timeout_seconds))
            connection.send(request)
            response, lent = connection.receive_loan()
            connection.sock.settimeout(seconds)
        except BaseException:
            connection.close()
            raise
        self._loan = None if lent is None else Loan(lent)
        if response.status != pb.SUCCESS:
            connection.close()
            culprit = self.targets[0]
            for one in self.targets[1:]:
                if response.firstBadLink == f"{one.host}:{one.data_port}":
                    culprit = one
            raise PipelineBroken(response.message or "the pipeline could not be set up", culprit)
        self._connection = connection
        self._poll.register(connection.sock, select.POLLIN)

    # --- sending --------------------------------------------------------------------------------

    def send(self, packet: OutgoingPacket) -> None:
        """Send a packet; waits for acknowledgements while too much is under way."""
        loan = self._loan
        if loan is not None and loan.takes(packet.offset, self.acknowledged):
            self.sent = packet.seqno = self.sent + 1
            self._placing.append(packet)
            self._unacknowledged_bytes += packet.size
            loan.put(packet)
            self._announce(0.0)
        else:
            packet.seqno = self._add(packet.offset, packet.size, packet.checksums, packet.pieces)
            if loan is not None:
                loan.sent_otherwise(packet)
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= BATCH_BUFFERS:
            self.push()
            self.poll()
        while self._unacknowledged_bytes > UNACKNOWLEDGED_BYTES_MAX:
            if not self._unacknowledged:
                self._announce(self._datanodes.timeout_seconds, 1)
            self.push()
            self._receive()

    def _announce(self, wait_seconds: float, count: int = 0) -> None:
        """Send packets whose data is in the lent file, ``count`` of them unless that is 0.

        Those whose data was refused there are sent with it.
        """
        loan, placing = self._loan, self._placing
        while placing and loan is not None:
            try:
                placed = loan.finished(wait_seconds)
            except OastError as error:
                self.abort()
                raise PipelineBroken(error.message, self.targets[0], silent=True) from None
            if placed is None:
                return
            packet = placing.popleft()
            self._unacknowledged_bytes -= packet.size
            header = PacketHeader(packet.offset, packet.seqno, False, packet.size, placed=placed)
            self._enqueue(header, packet.checksums, () if placed else packet.pieces)
            if not placed:
                loan.sent_otherwise(packet)
            count -= 1
            if count == 0:
                return

    def _add(
        self,
        offset: int,
        size: int,
        checksums: bytes = b"",
        pieces: Sequence[Buffer] = (),
        *,
        last: bool = False,
        sync: bool = False,
    ) -> int:
        self._announce(self._datanodes.timeout_seconds)
        self.sent = seqno = self.sent + 1
        self._enqueue(PacketHeader(offset, seqno, last, size, sync), checksums, pieces)
        return seqno

    def _enqueue(self, header: PacketHeader, checksums: bytes, pieces: Sequence[Buffer]) -> None:
        self._batch.append(encode_prefix(header, len(checksums)))
        self._batch.append(checksums)
        self._batch.extend(pieces)
        self._batch_bytes += header.data_bytes
        self._unacknowledged.append((header.seqno, header.data_bytes))
        self._unacknowledged_bytes += header.data_bytes

    def push(self) -> None:
        """Put everything on its way."""
        if not self._batch:
            return
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self.last_used = time.monotonic()
        try:
            self._open().send_all(batch)
        except OastError as error:
            raise self._explained(error) from None

    def sync(self, end: int) -> None:
        """Ask for durability of everything up to here; it is there when all is acknowledged."""
        self._add(end, 0, sync=True)

    def finish(self, end: int) -> None:
        """Say that nothing follows: replicas become final, and durable."""
        self._add(end, 0, last=True)
        self._end_loan()
        self.push()

    # --- acknowledgements -----------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether everything that was sent is acknowledged."""
        return not self._unacknowledged and not self._placing

    def poll(self) -> None:
        """Take the acknowledgements that have come, without waiting."""
        self._announce(0.0)
        while self._unacknowledged and self._poll.poll(0):
            self._receive()

    def wait(self) -> None:
        """Until everything that was sent is acknowledged."""
        self._announce(self._datanodes.timeout_seconds)
        self.push()
        while self._unacknowledged:
            self._receive()

    def _receive(self) -> None:
        connection = self._open()
        try:
            connection.fill()
            self._take_acks(connection)
        except PipelineBroken:
            raise
        except OastError as error:
            raise self._explained(error) from None

    def _take_acks(self, connection: TransferConnection) -> None:
        while (ack := connection.buffer.take_message(pb.PipelineAck)) is not None:
            for index, status in enumerate(ack.reply):
                if status != pb.SUCCESS:
                    raise self._broken(f"a datanode answered {pb.Status.Name(status)}", index)
            if not self._unacknowledged or ack.seqno != self._unacknowledged[0][0]:
                raise ProtocolError(f"packet {ack.seqno} was acknowledged, which was not due")
            _, size = self._unacknowledged.popleft()
            self._unacknowledged_bytes -= size
            self.acknowledged = ack.seqno

    # --- the end --------------------------------------------------------------------------------

    def _broken(self, message: str, index: int) -> PipelineBroken:
        self.abort()
        culprit = self.targets[min(index, len(self.targets) - 1)]
        return PipelineBroken(f"{message} (datanode {culprit.host}:{culprit.data_port})", culprit)

    def _explained(self, error: OastError) -> PipelineBroken:
        """The connection broke; perhaps the first datanode has said who failed."""
        connection = self._connection
        if isinstance(error, DeadlineExceeded):
            return self._unanswered(error)
        if connection is not None:
            try:
                connection.sock.settimeout(EXPLAIN_SECONDS)
                while True:
                    self._take_acks(connection)
                    connection.fill()
            except PipelineBroken as broken:
                return broken
            except (OastError, OSError):
                pass
        self.abort()
        return PipelineBroken(error.message, self.targets[0], silent=True)

    def _unanswered(self, error: DeadlineExceeded) -> PipelineBroken:
        """Nothing came in time: look for the datanode that does not answer, which may be any of them."""
        self.abort()
        for one in self.targets:
            if not self._datanodes.answers(one):
                return PipelineBroken(error.message, one, silent=True)
        return PipelineBroken(error.message, None)

    def _open(self) -> TransferConnection:
        if self._connection is None:
            raise PipelineBroken("the pipeline is closed", None)
        return self._connection

    def release(self) -> None:
        """After ``finish`` and ``wait``: the connection may serve again."""
        self._end_loan()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._datanodes.give_back(self.targets[0], connection)

    def abort(self) -> None:
        """Close the connection; replicas stay as they are."""
        self._end_loan()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _end_loan(self) -> None:
        loan, self._loan = self._loan, None
        self._placing.clear()
        if loan is not None:
            loan.close()
