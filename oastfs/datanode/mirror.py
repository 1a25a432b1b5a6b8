"""The next datanode of a write pipeline, as this one sees it."""

from __future__ import annotations

from collections.abc import Sequence

from oastfs.core.errors import ConnectionLost, DeadlineExceeded, OastError, ProtocolError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.checksum import Buffer
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.ops import Op, encode_request
from oastfs.wire.transfer.packet import Packet, PacketHeader, encode_prefix

CONNECT_SECONDS = 10.0
SECONDS_PER_DATANODE = 5.0
"""More patience for each datanode behind the mirror: the one next to the faulty one shall tell first."""
PATIENCE = 0.8
"""A mirror is waited for less long than others: before the writer gives up (HDFS: after 60 s and 5 s for
each datanode), and takes the first datanode for the faulty one.
"""


class MirrorFailed(OastError):
    """A datanode further down the pipeline failed. ``address`` names it."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"datanode {address}: {reason}")
        self.address = address


class Mirror:
    """A connection to the first of a request's targets. All of its errors are MirrorFailed."""

    def __init__(self, request: pb.OpWriteBlock, timeout_seconds: float) -> None:
        node = request.targets[0].id
        self.address = f"{node.ipAddr}:{node.xferPort}"
        self._forwarded = _for_mirror(request)
        try:
            self.connection = TransferConnection.open(node.ipAddr, node.xferPort, CONNECT_SECONDS)
        except OastError as error:
            raise MirrorFailed(self.address, error.message) from None
        self.timeout_seconds = PATIENCE * timeout_seconds + SECONDS_PER_DATANODE * len(request.targets)
        self.connection.sock.settimeout(self.timeout_seconds)

    def set_up(self, *, expect_response: bool) -> None:
        """Pass the request on and, in a pipeline, wait for the answer of all that follow."""
        try:
            self.connection.send(encode_request(Op.WRITE_BLOCK, self._forwarded))
            if not expect_response:
                return
            response = self.connection.receive_message(pb.BlockOpResponse)
        except OastError as error:
            raise MirrorFailed(self.address, error.message) from None
        if response.status != pb.SUCCESS:
            raise MirrorFailed(response.firstBadLink or self.address, response.message or "refused the block")

    def forward(self, packets: Sequence[Packet], lent_fd: int) -> None:
        """Send packets as they came; those whose data is in the file that was lent, with that data."""
        run: list[Buffer] = []
        try:
            for packet in packets:
                if packet.header.placed:
                    self._send_placed(run, packet, lent_fd)
                    run = []
                else:
                    run.append(packet.raw)
            self.connection.send_all(run)
        except (ConnectionLost, DeadlineExceeded) as error:
            raise MirrorFailed(self.address, error.message) from None

    def _send_placed(self, before: Sequence[Buffer], packet: Packet, lent_fd: int) -> None:
        header, checksums = packet.header, packet.checksums
        prefix = encode_prefix(header._replace(placed=False), len(checksums))
        self.connection.send_all([*before, prefix, checksums])
        if self.connection.send_file(lent_fd, header.offset, header.data_bytes) < header.data_bytes:
            raise ProtocolError("the lent file ends before the data of a packet")

    def forward_last(self, packets: list[Packet], header: PacketHeader) -> None:
        """Send packets as they came, and the empty one that ends the block."""
        try:
            self.connection.send_all([*(packet.raw for packet in packets), encode_prefix(header, 0)])
        except OastError as error:
            raise MirrorFailed(self.address, error.message) from None

    def fill(self) -> None:
        """Read once."""
        try:
            self.connection.fill()
        except OastError as error:
            raise MirrorFailed(self.address, error.message) from None

    def take_ack(self) -> pb.PipelineAck | None:
        """The next complete acknowledgement among what was read."""
        try:
            return self.connection.buffer.take_message(pb.PipelineAck)
        except OastError as error:
            raise MirrorFailed(self.address, error.message) from None

    def await_transfer(self) -> None:
        """Wait until a copy has arrived at the end of the chain."""
        try:
            answer = self.connection.receive_message(pb.BlockOpResponse)
        except OastError as error:
            raise MirrorFailed(self.address, error.message) from None
        if answer.status != pb.SUCCESS:
            raise MirrorFailed(self.address, answer.message or "did not take the copy")

    def close(self) -> None:
        """Close the connection; in the middle of a block, that ends the rest of the pipeline."""
        self.connection.close()


def _for_mirror(request: pb.OpWriteBlock) -> pb.OpWriteBlock:
    """The request as the next datanode gets it: one hop fewer."""
    forwarded = pb.OpWriteBlock()
    forwarded.CopyFrom(request)
    del forwarded.targets[0]
    forwarded.ClearField("storageType")
    forwarded.ClearField("storageId")
    if request.targetStorageTypes:
        forwarded.storageType = request.targetStorageTypes[0]
        del forwarded.targetStorageTypes[0]
    if request.targetStorageIds:
        forwarded.storageId = request.targetStorageIds[0]
        del forwarded.targetStorageIds[0]
    del forwarded.targetPinnings[:1]
    return forwarded
