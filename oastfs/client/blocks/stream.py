"""OP_READ_BLOCK as a stream: packets are verified and laid down where the reader wants them."""

from __future__ import annotations

from oastfs.client.blocks.pool import Datanodes
from oastfs.client.blocks.verify import matches
from oastfs.core.errors import ConnectionLost, CorruptBlock, OastError, ProtocolError
from oastfs.core.types import LocatedBlock, Location
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, ChecksumKind, TransferConnection, check_response, read_request

DRAIN_BYTES_MAX = 128 * 1024
"""A connection with no more than this to come is emptied and used again; others are closed."""


class BlockStream:
    """A range of one replica, read once from its beginning to its end. One thread at a time."""

    def __init__(
        self,
        datanodes: Datanodes,
        connection: TransferConnection,
        block: LocatedBlock,
        location: Location,
        offset: int,
        length: int,
        response: pb.BlockOpResponse,
    ) -> None:
        checksum = response.readOpChecksumInfo.checksum
        self.block_id = block.block_id
        self.generation_stamp = block.generation_stamp
        self.location = location
        self.position = offset
        """Next byte of the block that ``read_into`` gives."""
        self.end = offset + length
        self._datanodes = datanodes
        self._connection: TransferConnection | None = connection
        self._kind = ChecksumKind(checksum.type)
        self._chunk_bytes = checksum.bytesPerChecksum or 1
        self._left = memoryview(b"")
        """Verified bytes from ``position`` on that came in a packet which nobody wanted whole."""

    @classmethod
    def open(
        cls, datanodes: Datanodes, block: LocatedBlock, location: Location, offset: int, length: int
    ) -> BlockStream:
        """Ask a datanode for ``length`` bytes from ``offset``. Raises what the datanode answers."""
        request = read_request(BlockId(block.block_id, block.generation_stamp), offset, length)
        connection = datanodes.take_idle(location)
        if connection is not None:
            try:
                return cls._ask(datanodes, connection, request, block, location, offset, length)
            except ConnectionLost:
                pass  # the datanode had closed it meanwhile
        connection = datanodes.connect(location)
        return cls._ask(datanodes, connection, request, block, location, offset, length)

    @classmethod
    def _ask(
        cls,
        datanodes: Datanodes,
        connection: TransferConnection,
        request: bytes,
        block: LocatedBlock,
        location: Location,
        offset: int,
        length: int,
    ) -> BlockStream:
        try:
            connection.send(request)
            response = connection.receive_message(pb.BlockOpResponse)
            check_response(response)
            return cls(datanodes, connection, block, location, offset, length, response)
        except BaseException:
            connection.close()
            raise

    def read_into(self, target: memoryview) -> None:
        """Fill ``target`` with the bytes that come next. Raises CorruptBlock, ConnectionLost."""
        at = 0
        while at < len(target):
            if not self._left:
                taken = self._receive(target[at:])
            else:
                taken = min(len(self._left), len(target) - at)
                target[at : at + taken] = self._left[:taken]
                self._left = self._left[taken:]
            at += taken
            self.position += taken

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        if count:
            self.read_into(memoryview(bytearray(count)))

    def _receive(self, target: memoryview) -> int:
        """Take one packet: straight into ``target`` if all of it is wanted. The bytes of target filled."""
        connection = self._open()
        header, sums = connection.receive_packet_head()
        if header.last:
            raise ProtocolError("the datanode sent fewer bytes than it promised")
        checksums = bytes(sums)
        before = self.position - header.offset
        if not 0 <= before < header.data_bytes:
            raise ProtocolError(f"the datanode sent bytes from {header.offset}, not from {self.position}")
        wanted = header.data_bytes - before
        if before == 0 and wanted <= len(target):
            place = target[:wanted]
            connection.receive_data(place)
            self._verify(place, checksums)
            return wanted
        scratch = memoryview(bytearray(header.data_bytes))
        connection.receive_data(scratch)
        self._verify(scratch, checksums)
        # Past the end of the range comes the rest of its last chunk.
        found = scratch[before : before + min(wanted, self.end - self.position)]
        count = min(len(found), len(target))
        target[:count] = found[:count]
        self._left = found[count:]
        return count

    def _verify(self, data: memoryview, checksums: bytes) -> None:
        if self._kind is ChecksumKind.NULL:
            return
        if not matches(b"", data, b"", checksums, self._kind, self._chunk_bytes):
            self._open().close()
            self._connection = None
            raise CorruptBlock(
                f"block {self.block_id} on datanode {self.location.host}:{self.location.data_port} "
                f"does not match its checksums near byte {self.position}"
            )

    def _open(self) -> TransferConnection:
        if self._connection is None:
            raise ConnectionLost("the stream is closed")
        return self._connection

    def close(self) -> None:
        """Use the connection again if little is to come on it, else close it. Closing twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.end - self.position - len(self._left) > DRAIN_BYTES_MAX:
            connection.close()
            return
        try:
            while not (packet := connection.receive_packet()).header.last:
                pass
            del packet
            connection.send_message(pb.ClientReadStatus(status=pb.CHECKSUM_OK))
        except OastError:
            connection.close()
            return
        self._datanodes.give_back(self.location, connection)
