"""Checksums of chunks, as the data transfer protocol carries them: 4 bytes, big-endian, one per chunk.

CRC32C is in C where there was a compiler (``_checksums.c``, some 25 GB/s). Otherwise CPython calls one C
function per 512-byte chunk, so the calls around it are what costs: unpacking a run of chunks to ``bytes``
with one struct and mapping over them does CRC32C at about 3.5 GB/s, half again as fast as slicing.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from itertools import zip_longest

import google_crc32c

try:
    from oastfs.wire.transfer import _checksums
except ImportError:  # there was no C compiler, or the processor has no instruction for it
    _checksums = None  # type: ignore[assignment]

Buffer = bytes | bytearray | memoryview

CHECKSUM_BYTES = 4
_RUN_CHUNKS = 128


class ChecksumKind(enum.IntEnum):
    """Values are those of the protocol's ChecksumType."""

    NULL = 0
    CRC32 = 1
    CRC32C = 2


def crc32c(data: Buffer, crc: int = 0) -> int:
    """CRC32C of ``data``, continuing from ``crc``."""
    return google_crc32c.extend(crc, data if type(data) is bytes else bytes(data))  # type: ignore[no-any-return]


_CRC32C_POLYNOMIAL = 0x82F63B78
_ONE = 1 << 31
"""1 as a polynomial over two elements, in the reflected order of the CRC's bits."""


def extend_by_zeros(crc: int, count: int) -> int:
    """CRC32C of what ``crc`` is of and ``count`` zero bytes after it, in time logarithmic in ``count``.

    A zero byte multiplies the CRC's inner state by x^8 modulo its polynomial.
    """
    power, square = _ONE, _ONE >> 8  # x^8
    while count:
        if count & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        count >>= 1
    return _multiply(crc ^ 0xFFFFFFFF, power) ^ 0xFFFFFFFF


def _multiply(left: int, right: int) -> int:
    """The product of two polynomials modulo CRC32C's."""
    product, bit = 0, _ONE
    while bit:
        if left & bit:
            product ^= right
        right = right >> 1 ^ (_CRC32C_POLYNOMIAL if right & 1 else 0)
        bit >>= 1
    return product


_FUNCTIONS: dict[ChecksumKind, Callable[[bytes], int]] = {
    ChecksumKind.CRC32: zlib.crc32,
    ChecksumKind.CRC32C: google_crc32c.value,
}


@lru_cache(maxsize=1024)
def _chunks_struct(bytes_per_checksum: int, chunks: int) -> struct.Struct:
    return struct.Struct(f"{bytes_per_checksum}s" * chunks)


@lru_cache(maxsize=256)
def _crcs_struct(chunks: int) -> struct.Struct:
    return struct.Struct(f">{chunks}I")


def checksum_count(data_bytes: int, bytes_per_checksum: int) -> int:
    """How many chunks ``data_bytes`` make; the last may be short."""
    return -(-data_bytes // bytes_per_checksum)


def checksum_chunks(kind: ChecksumKind, bytes_per_checksum: int, data: Buffer) -> bytes:
    """The checksums of ``data``, chunk after chunk; empty for NULL."""
    if kind is ChecksumKind.NULL or not len(data):
        return b""
    if kind is ChecksumKind.CRC32C and _checksums is not None:
        return _checksums.crc32c_chunks(bytes_per_checksum, data)
    function = _FUNCTIONS[kind]
    length = len(data)
    full = length // bytes_per_checksum
    parts = []
    for first in range(0, full, _RUN_CHUNKS):
        chunks = min(_RUN_CHUNKS, full - first)
        run = _chunks_struct(bytes_per_checksum, chunks).unpack_from(data, first * bytes_per_checksum)
        parts.append(_crcs_struct(chunks).pack(*map(function, run)))
    if full * bytes_per_checksum < length:
        parts.append(function(bytes(data[full * bytes_per_checksum :])).to_bytes(4, "big"))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def first_bad_chunk(
    kind: ChecksumKind, bytes_per_checksum: int, data: Buffer, checksums: Buffer
) -> int | None:
    """Index of the first chunk of ``data`` whose checksum is not the given one; None if all match.

    A missing or surplus checksum counts as a mismatch. NULL has none to compare.
    """
    found = checksum_chunks(kind, bytes_per_checksum, data)
    if found == checksums:
        return None
    pairs = zip_longest(_split(found), _split(bytes(checksums)))
    return next(index for index, (ours, theirs) in enumerate(pairs) if ours != theirs)


def _split(checksums: bytes) -> list[bytes]:
    return [checksums[at : at + CHECKSUM_BYTES] for at in range(0, len(checksums), CHECKSUM_BYTES)]


def matching_prefix_bytes(chunk: bytes, checksum: bytes) -> int:
    """The longest prefix of ``chunk`` whose CRC32C is ``checksum``; 0 if there is none.

    Finds how much of the last chunk a stored checksum covered when a crash came between the two writes.
    """
    wanted = int.from_bytes(checksum, "big")
    crc, longest = 0, 0
    for end in range(1, len(chunk) + 1):
        crc = google_crc32c.extend(crc, chunk[end - 1 : end])
        if crc == wanted:
            longest = end
    return longest
