"""HDFS's checksum of a file: an MD5 over an MD5 of each block's checksums of 512 bytes each.

Files of the same content have the same one if their blocks have the same size, so that tools compare by it.
Datanodes digest their blocks, as for HDFS's own clients: no content travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from oastfs.core.errors import OastError
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.transfer import BlockId, TransferConnection
from oastfs.wire.transfer.messages import check_response, checksum_request
from oastfs.wire.webhdfs import JavaError

TIMEOUT_SECONDS: Final = 60.0
_BUFFER_BYTES_FIRST: Final = 32
"""HDFS takes the MD5 of a whole buffer that begins with this size and doubles: what is unused is zeros."""


def file_checksum(digests: Iterable[pb.OpBlockChecksumResponse]) -> bytes:
    """The JSON object of a file's checksum, of the digests of its blocks in their order."""
    blocks = list(digests)
    per_crc = blocks[0].bytesPerCrc if blocks else 0
    crcs_per_block = blocks[0].crcPerBlock if len(blocks) > 1 else 0
    joined = b"".join(block.blockChecksum for block in blocks)
    size = _BUFFER_BYTES_FIRST
    while size < len(joined):
        size *= 2
    digest = hashlib.md5(joined.ljust(size, b"\0"), usedforsecurity=False).digest()
    raw = per_crc.to_bytes(4, "big") + crcs_per_block.to_bytes(8, "big") + digest
    kind = "CRC32C" if blocks else "CRC32"
    fields = {
        "algorithm": f"MD5-of-{crcs_per_block}MD5-of-{per_crc}{kind}",
        "bytes": raw.hex() + "00000000",  # a buffer's unused end here, too
        "length": len(raw),
    }
    return msgspec.json.encode({"FileChecksum": fields})


def block_digest(block: types.LocatedBlock) -> pb.OpBlockChecksumResponse:
    """What one of those who have a block makes of it. Raises what the last of them says."""
    failure: OastError = JavaError("java.io.IOException", f"no datanode has block {block.b.blockId}")
    name = BlockId(block.b.blockId, block.b.generationStamp, block.b.numBytes)
    for place in block.locs:
        try:
            with TransferConnection.open(place.id.ipAddr, place.id.xferPort, TIMEOUT_SECONDS) as connection:
                connection.send(checksum_request(name))
                response = connection.receive_message(pb.BlockOpResponse)
                check_response(response)
                return response.checksumResponse
        except OastError as error:
            failure = error
    raise failure
