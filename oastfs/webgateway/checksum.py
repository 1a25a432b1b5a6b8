"""HDFS's checksum of a file: an MD5 over an MD5 of each block's checksums of 512 bytes each.

Files of the same content have the same one if their blocks have the same size, so that tools compare by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks, checksum_count

BYTES_PER_CRC: Final = 512
_PIECE_BYTES: Final = 1024 * 1024
_BUFFER_BYTES_FIRST: Final = 32
"""HDFS takes the MD5 of a whole buffer that begins with this size and doubles: what is unused is zeros."""

Read = Callable[[int, int], bytes]
"""``length`` bytes from ``offset``."""


def file_checksum(read: Read, blocks: Sequence[tuple[int, int]]) -> bytes:
    """The JSON object of a file's checksum. ``blocks``: (offset, length) of each."""
    digests = [_block_digest(read, offset, length) for offset, length in blocks if length]
    per_crc = BYTES_PER_CRC if digests else 0
    crcs_per_block = checksum_count(blocks[0][1], BYTES_PER_CRC) if len(digests) > 1 else 0
    joined = b"".join(digests)
    size = _BUFFER_BYTES_FIRST
    while size < len(joined):
        size *= 2
    digest = hashlib.md5(joined.ljust(size, b"\0"), usedforsecurity=False).digest()
    raw = per_crc.to_bytes(4, "big") + crcs_per_block.to_bytes(8, "big") + digest
    kind = "CRC32C" if digests else "CRC32"
    fields = {
        "algorithm": f"MD5-of-{crcs_per_block}MD5-of-{per_crc}{kind}",
        "bytes": raw.hex() + "00000000",  # a buffer's unused end here, too
        "length": len(raw),
    }
    return msgspec.json.encode({"FileChecksum": fields})


def _block_digest(read: Read, offset: int, length: int) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, length, _PIECE_BYTES):
        piece = read(offset + start, min(_PIECE_BYTES, length - start))
        digest.update(checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CRC, piece))
    return digest.digest()
