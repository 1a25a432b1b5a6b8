"""The HDFS data transfer protocol, both sides: bytes to messages and back.

Everything but ``connection`` is without I/O and is tested from bytes.
"""

from oastfs.wire.transfer.buffer import TransferBuffer
from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks, first_bad_chunk
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.messages import BlockId, Stage, Target, check_response, read_request, write_request
from oastfs.wire.transfer.ops import Op, encode_delimited, encode_request
from oastfs.wire.transfer.packet import HEARTBEAT_SEQNO, Packet, PacketHeader, encode_prefix

__all__ = [
    "HEARTBEAT_SEQNO",
    "BlockId",
    "ChecksumKind",
    "Op",
    "Packet",
    "PacketHeader",
    "Stage",
    "Target",
    "TransferBuffer",
    "TransferConnection",
    "check_response",
    "checksum_chunks",
    "encode_delimited",
    "encode_prefix",
    "encode_request",
    "first_bad_chunk",
    "read_request",
    "write_request",
]
