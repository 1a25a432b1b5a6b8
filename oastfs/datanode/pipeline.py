"""Receiving a block: one station of a write pipeline, or the target of a copy.

One thread does it all for a connection: it passes packets on to the mirror (the next datanode) as they came,
writes them, and relays the mirror's acknowledgements with its own in front. An acknowledgement means that
every datanode from here on has the packet in a file; of the empty last one, and of a packet with the sync
flag, that it is on their disks. A small block that comes whole needs no file if a namenode has taken it.
"""

from __future__ import annotations

import array
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from oastfs.core.errors import (
    AlreadyExists,
    BlockNotFound,
    ConnectionLost,
    CorruptBlock,
    DeadlineExceeded,
    InvalidArgument,
    OastError,
    ProtocolError,
    StaleBlock,
)
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.datanode.context import DataContext
from oastfs.datanode.gathering import gather
from oastfs.datanode.lending import may_borrow
from oastfs.datanode.mirror import Mirror, MirrorFailed
from oastfs.datanode.reader import ReplicaReader
from oastfs.datanode.writer import ReplicaWriter
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.checksum import ChecksumKind, first_bad_chunk
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.messages import Stage, refusal, status_of
from oastfs.wire.transfer.ops import encode_delimited
from oastfs.wire.transfer.packet import HEARTBEAT_SEQNO, Packet, PacketHeader, check_chunks

log = structlog.get_logger(__name__)

BYTES_PER_CHECKSUM_MAX = 16 * 1024 * 1024

CREATE = {Stage.PIPELINE_SETUP_CREATE}
REOPEN = {
    Stage.PIPELINE_SETUP_APPEND,
    Stage.PIPELINE_SETUP_APPEND_RECOVERY,
    Stage.PIPELINE_SETUP_STREAMING_RECOVERY,
    Stage.PIPELINE_CLOSE_RECOVERY,
}
TRANSFER = {Stage.TRANSFER_RBW, Stage.TRANSFER_FINALIZED}


class _Unacknowledged(NamedTuple):
    seqno: int
    end: int
    """Length that the replica has with this packet."""
    last: bool


class BlockReceiver:
    """One OP_WRITE_BLOCK, from set-up to the last acknowledgement."""

    def __init__(
        self, context: DataContext, connection: TransferConnection, request: pb.OpWriteBlock
    ) -> None:
        block = request.header.baseHeader.block
        self._context = context
        self._connection = connection
        self._request = request
        self._stage = request.stage
        self._block_id = block.blockId
        self._stamp = block.generationStamp
        self._transfer = request.stage in TRANSFER
        self._kind = ChecksumKind(request.requestedChecksum.type)
        self._chunk_bytes = request.requestedChecksum.bytesPerChecksum
        storable = request.stage in CREATE and self._storable
        self._lends = request.lend and storable and may_borrow(connection.sock)
        self._lent_fd = -1
        self._writer: ReplicaWriter | None = None
        self._mirror: Mirror | None = None
        self._pending: deque[_Unacknowledged] = deque()
        self._last_seen = False
        self._staged = False
        self._longest = context.small_blocks.longest
        self._acknowledged_seqno = -1
        self._mirror_fault: MirrorFailed | None = None
        self._mirror_heard = time.monotonic()

    def run(self) -> bool:
        """Carry the operation out; whether the connection is good for another one."""
        try:
            self._set_up()
        except OSError as error:
            self._refuse(error)
            return False
        try:
            if self._stage != Stage.PIPELINE_CLOSE_RECOVERY:
                self._receive_all()
            return True
        except OSError as error:
            self._break(error)
            return False
        finally:
            self._let_go()

    # --- set-up ---------------------------------------------------------------------------------

    def _set_up(self) -> None:
        if self._kind is not ChecksumKind.NULL and not 0 < self._chunk_bytes <= BYTES_PER_CHECKSUM_MAX:
            raise InvalidArgument(f"{self._chunk_bytes} bytes per checksum are out of bounds")
        writer = self._writer = self._open_writer()
        writer.on_fence(self._interrupt)
        if self._request.targets:
            self._mirror = Mirror(self._request, self._context.config.connection_timeout_seconds)
            self._mirror.set_up(expect_response=not self._transfer)
        if self._stage == Stage.PIPELINE_CLOSE_RECOVERY:
            # The answer is all that the writer waits for.
            self._make_durable(PacketHeader(self._request.minBytesRcvd, 0, True, 0))
        if self._lends:
            self._connection.send_message(pb.BlockOpResponse(status=pb.SUCCESS, firstBadLink="", lent=True))
            self._lent_fd = writer.lend()
            self._connection.send_descriptors(b"\0", array.array("i", (self._lent_fd,)))
        elif not self._transfer:
            self._connection.send_message(pb.BlockOpResponse(status=pb.SUCCESS, firstBadLink=""))

    def _open_writer(self) -> ReplicaWriter:
        store, request = self._context.store, self._request
        if self._stage in CREATE:
            longest = self._longest if request.header.clientName and not self._lends else 0
            return store.create(self._block_id, self._stamp, request.storageId, held_bytes_max=longest)
        if self._transfer:
            return store.create(self._block_id, self._stamp, request.storageId, temporary=True)
        if self._stage in REOPEN:
            new_stamp = request.latestGenerationStamp or self._stamp
            return self._reopen(new_stamp)
        raise InvalidArgument(f"a pipeline cannot be set up in stage {Stage.Name(self._stage)}")

    def _reopen(self, new_stamp: int) -> ReplicaWriter:
        store, length = self._context.store, self._request.minBytesRcvd
        try:
            return store.reopen(self._block_id, self._stamp, new_stamp, length)
        except BlockNotFound:
            if store.find(self._block_id) is not None:
                raise
            storage_uuid = self._request.storageId
            try:
                writer = self._context.small_blocks.recreate(self._block_id, new_stamp, storage_uuid, length)
            except AlreadyExists:  # a reader has had it made meanwhile
                return store.reopen(self._block_id, self._stamp, new_stamp, length)
            if writer is None:
                raise
            return writer

    def _refuse(self, error: OSError) -> None:
        """Answer a failed set-up, naming the datanode that is at fault, and leave nothing behind."""
        log.info("a write was refused", block_id=self._block_id, error=str(error))
        writer = self._writer
        self._let_go()
        if writer is not None and writer.is_new:
            self._context.store.discard(writer.replica)
        response = refusal(error)
        if isinstance(error, MirrorFailed):
            response.firstBadLink = error.address
        try:
            self._connection.send_message(response)
            self._connection.linger()
        except OSError:
            pass  # the client is gone, and with it the need for an answer

    def _interrupt(self) -> None:
        """Fenced: wake this operation's thread from whatever it waits for."""
        self._connection.shut_down(socket.SHUT_RD)
        if self._mirror is not None:
            self._mirror.connection.shut_down(socket.SHUT_RDWR)

    # --- receiving ------------------------------------------------------------------------------

    def _receive_all(self) -> None:
        while not self._last_seen:
            packets = self._next_packets()
            if self._open().in_memory:
                packets = gather(self._connection, packets, self._longest)
            self._handle(packets)
        while self._mirror is not None and self._pending:
            self._mirror.fill()
            self._relay_acknowledgements()
        if self._transfer:
            if self._mirror is not None:
                self._mirror.await_transfer()
            self._connection.send_message(pb.BlockOpResponse(status=pb.SUCCESS))

    def _next_packets(self) -> list[Packet]:
        """All complete packets that have come, at least one. Relays acknowledgements while waiting."""
        buffer = self._connection.buffer
        while True:
            packets = []
            while packet := buffer.take_packet():
                packets.append(packet)
                if packet.header.last:
                    return packets
            if packets:
                return packets
            if self._mirror is None or self._transfer or self._mirror_fault:
                self._connection.fill()
            else:
                self._wait_for_either(self._mirror)

    def _wait_for_either(self, mirror: Mirror) -> None:
        ours, theirs = self._connection.sock.fileno(), mirror.connection.sock.fileno()
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        poll.register(theirs, select.POLLIN)
        wait_seconds = mirror.timeout_seconds
        if self._pending:
            # What else comes, such as the writer's heartbeats, does not put this off.
            wait_seconds = max(0.0, self._mirror_heard + wait_seconds - time.monotonic())
        ready = dict(poll.poll(wait_seconds * 1000))
        now = time.monotonic()
        if theirs in ready:
            self._mirror_heard = now
            self._hear_mirror(mirror)
        elif self._pending and now - self._mirror_heard >= mirror.timeout_seconds:
            raise MirrorFailed(mirror.address, "did not acknowledge in time")
        if ours in ready:
            self._connection.fill()
        elif not ready and not self._pending:
            raise DeadlineExceeded("the writer sent nothing in time")

    def _hear_mirror(self, mirror: Mirror) -> None:
        """Read what the mirror says. If it is lost while nothing is due from it, the next packet tells."""
        try:
            mirror.fill()
        except MirrorFailed as error:
            if self._pending:
                raise
            self._mirror_fault = error
        else:
            self._relay_acknowledgements()

    def _handle(self, packets: list[Packet]) -> None:
        """Pass on, write and acknowledge what came."""
        if self._mirror_fault:
            raise self._mirror_fault
        if not self._lends and any(packet.header.placed for packet in packets):
            raise ProtocolError(f"the file of block {self._block_id} was not lent")
        held = self._held_back(packets)
        # What is whole goes on whole, so that no datanode of the pipeline needs a file for it.
        late = held is not None and self._open().in_memory
        if self._mirror is not None and not late:
            self._mirror.forward(packets[:-1] if held else packets, self._lent_fd)
        run: list[Packet] = []
        for packet in packets:
            header = packet.header
            chunk_bytes = 0 if self._lacks_checksums(packet) else self._packet_chunk_bytes
            check_chunks(header, len(packet.checksums), chunk_bytes)
            if self._must_verify(packet):
                self._verify(packet)
            if run and run[-1].header.offset + run[-1].header.data_bytes != header.offset:
                self._write(run)
                run = []
            if header.placed:
                self._write(run)
                run = []
                self._place(packet)
            elif header.data_bytes:
                run.append(packet)
            if header.last or header.sync:
                self._write(run)
                run = []
                self._make_durable(header)
        self._write(run)
        writer = self._open()
        if writer.in_memory and writer.replica.length and not self._last_seen:
            writer.to_files()  # it is acknowledged now
        if held and self._mirror is not None:
            self._mirror.forward_last(packets[:-1] if late else [], held._replace(staged=self._staged))
        self._acknowledge(packets)

    def _held_back(self, packets: list[Packet]) -> PacketHeader | None:
        """The end of a block that may be staged: whether it is, the mirrors are told with it."""
        header = packets[-1].header
        if self._mirror is None or not header.last or header.data_bytes or not self._is_first:
            return None
        return header if self._may_be_inline(header.offset) else None

    @property
    def _storable(self) -> bool:
        """Whether checksums are of the kind that is stored."""
        return self._kind is ChecksumKind.CRC32C and self._chunk_bytes == BYTES_PER_CHECKSUM

    @property
    def _packet_chunk_bytes(self) -> int:
        return 0 if self._kind is ChecksumKind.NULL else self._chunk_bytes

    def _lacks_checksums(self, packet: Packet) -> bool:
        """Java sends none for a file of one replica that its policy has in memory (lazy persistence)."""
        return not packet.checksums and self._request.allowLazyPersist

    def _must_verify(self, packet: Packet) -> bool:
        """The last station verifies all; others only what a namenode may get, or has checksums made here."""
        header = packet.header
        if self._kind is ChecksumKind.NULL or self._lacks_checksums(packet) or header.placed:
            return False
        whole = not (header.offset % BYTES_PER_CHECKSUM or header.data_bytes % BYTES_PER_CHECKSUM)
        return self._mirror is None or not self._storable or not whole or self._open().in_memory

    def _verify(self, packet: Packet) -> None:
        bad = first_bad_chunk(self._kind, self._chunk_bytes, packet.data, packet.checksums)
        if bad is not None:
            offset = packet.header.offset + bad * self._chunk_bytes
            raise CorruptBlock(f"bytes of block {self._block_id} arrived damaged at {offset}")

    def _write(self, run: Sequence[Packet]) -> None:
        if not run:
            return
        writer = self._open()
        storable = self._storable and not any(self._lacks_checksums(packet) for packet in run)
        checksums = [packet.checksums for packet in run] if storable else None
        data = [packet.data for packet in run]
        with writer.replica.volume.guard():
            writer.write(run[0].header.offset, data, checksums)
        self._context.metrics.bytes_written.inc(sum(map(len, data)))

    def _place(self, packet: Packet) -> None:
        """Take in what the writer has put into the file that it was lent."""
        writer, header = self._open(), packet.header
        with writer.replica.volume.guard():
            writer.place(header.offset, header.data_bytes, packet.checksums)
        self._context.metrics.bytes_written.inc(header.data_bytes)

    def _make_durable(self, header: PacketHeader) -> None:
        with self._open().replica.volume.guard():
            if header.last:
                self._last_seen = True
                self._settle(header)
            else:
                self._open().sync()

    def _settle(self, header: PacketHeader) -> None:
        writer = self._open()
        config, store = self._context.config, self._context.store
        if self._stage == Stage.TRANSFER_RBW:
            writer.keep(sync=config.sync_on_close)
        elif self._transfer:
            writer.finalize(sync=config.sync_on_close)
            store.announce_received(writer.replica)
        elif self._may_be_inline(writer.replica.length):
            self._settle_small(writer, header)
        else:
            writer.finalize(sync=header.sync or config.sync_on_close)

    def _settle_small(self, writer: ReplicaWriter, header: PacketHeader) -> None:
        """End a block that may become inline content; then its bytes are made durable by a namenode."""
        small_blocks = self._context.small_blocks
        stamp = writer.replica.generation_stamp
        self._staged = header.staged or (
            self._is_first and small_blocks.offer(self._block_id, stamp, writer.content())
        )
        # What is staged is durable already. Should it have to be a block in the end, it is synced then.
        sync = not self._staged and (header.sync or self._context.config.sync_on_close)
        writer.finalize(sync=sync)
        small_blocks.watch(writer.replica, synced=sync)

    @property
    def _is_first(self) -> bool:
        """Whether the writer is a client. (Clients in Go do not count the first datanode of a pipeline.)"""
        return self._request.pipelineSize - len(self._request.targets) <= 1

    def _may_be_inline(self, length: int) -> bool:
        """Whether a client writes a block of this length that may end in the metadata."""
        if self._transfer or not self._request.header.clientName:
            return False
        return 0 < length <= (self._longest or self._context.small_blocks.longest)

    def _open(self) -> ReplicaWriter:
        if self._writer is None:
            raise StaleBlock(f"block {self._block_id} is not open")
        return self._writer

    # --- acknowledging --------------------------------------------------------------------------

    def _acknowledge(self, packets: list[Packet]) -> None:
        if self._transfer:
            return
        replica = self._open().replica
        if self._mirror is None:
            replica.visible_length = replica.length
            acknowledged = [encode_ack(packet.header.seqno, (pb.SUCCESS,)) for packet in packets]
            self._connection.send(b"".join(acknowledged))
            self._note_acknowledged(packets[-1].header.seqno)
            return
        if not self._pending:
            self._mirror_heard = time.monotonic()
        for packet in packets:
            header = packet.header
            end = header.offset + header.data_bytes
            self._pending.append(_Unacknowledged(header.seqno, end, header.last))

    def _relay_acknowledgements(self) -> None:
        """Send on what the mirror has acknowledged, with our own success in front."""
        mirror, replica = self._mirror, self._open().replica
        assert mirror is not None
        relayed = []
        while (ack := mirror.take_ack()) is not None:
            if pb.ERROR_CHECKSUM in ack.reply[:1]:
                self._check_own()
            relayed.append(encode_ack(ack.seqno, (pb.SUCCESS, *ack.reply)))
            if any(status != pb.SUCCESS for status in ack.reply):
                self._connection.send(b"".join(relayed))
                raise _Relayed(f"a datanode at or behind {mirror.address} failed")
            if not self._pending or ack.seqno != self._pending[0].seqno:
                raise MirrorFailed(mirror.address, f"acknowledged {ack.seqno}, which was not due")
            done = self._pending.popleft()
            self._note_acknowledged(done.seqno)
            if done.seqno != HEARTBEAT_SEQNO:
                replica.visible_length = max(replica.visible_length, min(done.end, replica.length))
        if relayed:
            self._connection.send(b"".join(relayed))

    def _check_own(self) -> None:
        """The mirror got damaged bytes: raise CorruptBlock if they were damaged before they left here.

        A station that is not the last one stores checksums as they came, so its own replica tells.
        """
        replica = self._open().replica
        start = replica.visible_length - replica.visible_length % BYTES_PER_CHECKSUM
        with ReplicaReader(replica) as reader:
            if not reader.holds(start, replica.length):
                raise CorruptBlock(f"bytes of block {self._block_id} arrived damaged past {start}")

    def _note_acknowledged(self, seqno: int) -> None:
        if seqno != HEARTBEAT_SEQNO:
            self._acknowledged_seqno = seqno

    # --- the end --------------------------------------------------------------------------------

    def _break(self, error: OSError) -> None:
        """Tell the writer who failed, if it is still there, so that it can go on with the others."""
        log.info("a write broke", block_id=self._block_id, error=str(error))
        fenced = self._writer is not None and self._writer.fenced
        lost = isinstance(error, (ConnectionLost, TimeoutError, ProtocolError))
        # Let go first: who hears of the failure may come back for the block at once.
        self._let_go()
        if lost and not fenced:
            return
        try:
            if not isinstance(error, _Relayed):
                self._connection.send(self._failure(error, fenced))
            self._connection.linger()
        except OSError:
            pass  # the writer is gone too

    def _failure(self, error: OSError, fenced: bool) -> bytes:
        """What the writer is told: which datanode failed, counted from here, or why a copy was not taken."""
        if self._transfer:
            return encode_delimited(refusal(error))
        own = pb.SUCCESS if isinstance(error, MirrorFailed) and not fenced else status_of(error)
        replies = (own, pb.ERROR) if own == pb.SUCCESS else (own,)
        seqno = self._pending[0].seqno if self._pending else self._acknowledged_seqno + 1
        return encode_ack(seqno, replies)

    def _let_go(self) -> None:
        """Close what is open; a copy that did not complete is removed."""
        if self._mirror is not None:
            self._mirror.close()
        writer = self._writer
        if writer is not None and not writer.closed.is_set():
            writer.abort()
            if self._transfer:
                self._context.store.discard(writer.replica)


class _Relayed(OastError):
    """The mirror's failure has been told to the writer."""


def encode_ack(seqno: int, replies: Sequence[pb.Status.ValueType]) -> bytes:
    """A PipelineAck, ready to send."""
    return encode_delimited(pb.PipelineAck(seqno=seqno, reply=replies))
