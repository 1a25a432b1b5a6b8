"""What is answered to readers of a block, the same from a datanode's disk and from a namenode's store."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import google_crc32c

from oastfs.core.errors import InvalidArgument
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.checksum import (
    CHECKSUM_BYTES,
    Buffer,
    ChecksumKind,
    checksum_count,
    crc32c,
    extend_by_zeros,
)
from oastfs.wire.transfer.ops import encode_delimited

_ZERO_CHUNK_CRC = google_crc32c.value(bytes(BYTES_PER_CHECKSUM)).to_bytes(CHECKSUM_BYTES, "big")
_ZERO_CRCS_CHUNKS = 64 * 1024
_ZERO_CRCS = _ZERO_CHUNK_CRC * _ZERO_CRCS_CHUNKS


def check_range(block_id: int, offset: int, length: int, visible_length: int) -> None:
    """Raise InvalidArgument unless the block has the bytes that a reader asks for."""
    if offset + length > visible_length:
        asked = f"bytes {offset} to {offset + length} of block {block_id}"
        raise InvalidArgument(f"{asked} were asked for; {visible_length} are here")


def chunk_range(offset: int, length: int, stored_length: int) -> tuple[int, int]:
    """The chunk boundaries around a range, because a part of a chunk could not be verified.

    The end is the block's own if that comes first.
    """
    end = offset + length
    if end % BYTES_PER_CHECKSUM:
        end = min(end + BYTES_PER_CHECKSUM - end % BYTES_PER_CHECKSUM, stored_length)
    return offset - offset % BYTES_PER_CHECKSUM, end


@lru_cache(maxsize=1024)
def read_head(kind: ChecksumKind, chunk_offset: int) -> bytes:
    """The answer that goes before the packets of a read."""
    checksum = pb.Checksum(type=int(kind), bytesPerChecksum=BYTES_PER_CHECKSUM)  # type: ignore[arg-type]
    info = pb.ReadOpChecksumInfo(checksum=checksum, chunkOffset=chunk_offset)
    return encode_delimited(pb.BlockOpResponse(status=pb.SUCCESS, readOpChecksumInfo=info))


class BlockDigest:
    """What clients compare files by without reading them, from a block's chunks in their order.

    COMPOSITE_CRC is the CRC32C of the bytes; MD5CRC is the MD5 of the chunks' CRCs.
    """

    def __init__(self, options: pb.BlockChecksumOptions) -> None:
        self._options = options
        self._composite = options.blockChecksumType == pb.COMPOSITE_CRC
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._length = 0

    def add(self, data: Buffer, checksums: Buffer) -> None:
        """Whole chunks with their checksums; only the block's last chunk may be short.

        A short one's checksum is computed: the stored one may cover bytes beyond.
        """
        self._length += len(data)
        if self._composite:
            self._crc = crc32c(data, self._crc)
            return
        partial = len(data) % BYTES_PER_CHECKSUM
        if partial:
            last = crc32c(data[len(data) - partial :])
            self._md5.update(checksums[: len(data) // BYTES_PER_CHECKSUM * CHECKSUM_BYTES])
            self._md5.update(last.to_bytes(CHECKSUM_BYTES, "big"))
        else:
            self._md5.update(checksums)

    def add_zeros(self, count: int) -> int:
        """Zeros that follow whole chunks, as many as one step should digest; how many those were."""
        if self._composite:
            self._crc = extend_by_zeros(self._crc, count)
        else:
            chunks = min(count // BYTES_PER_CHECKSUM, _ZERO_CRCS_CHUNKS)
            if chunks:
                count = chunks * BYTES_PER_CHECKSUM
                self._md5.update(memoryview(_ZERO_CRCS)[: chunks * CHECKSUM_BYTES])
            else:
                self._md5.update(crc32c(bytes(count)).to_bytes(CHECKSUM_BYTES, "big"))
        self._length += count
        return count

    def answer(self) -> bytes:
        """The answer of OP_BLOCK_CHECKSUM."""
        crc = self._crc.to_bytes(CHECKSUM_BYTES, "big")
        checksum = pb.OpBlockChecksumResponse(
            bytesPerCrc=BYTES_PER_CHECKSUM,
            crcPerBlock=checksum_count(self._length, BYTES_PER_CHECKSUM),
            blockChecksum=crc if self._composite else self._md5.digest(),
            crcType=pb.CHECKSUM_CRC32C,
            blockChecksumOptions=self._options,
        )
        return encode_delimited(pb.BlockOpResponse(status=pb.SUCCESS, checksumResponse=checksum))
