"""Comparing a byte range with the checksums of the chunks around it, in place."""

from __future__ import annotations

from collections.abc import Iterator

from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.wire.transfer.checksum import Buffer, ChecksumKind, checksum_chunks

CHECKSUM_BYTES = 4


def matches(
    head: bytes,
    target: memoryview,
    tail: bytes,
    checksums: Buffer,
    kind: ChecksumKind = ChecksumKind.CRC32C,
    chunk_bytes: int = BYTES_PER_CHECKSUM,
) -> bool:
    """Whether ``head + target + tail``, which begins at a chunk's beginning, has these checksums."""
    parts = [checksum_chunks(kind, chunk_bytes, part) for part in _runs(head, target, tail, chunk_bytes)]
    found = parts[0] if len(parts) == 1 else b"".join(parts)
    return found == checksums


def _runs(head: bytes, target: memoryview, tail: bytes, chunk_bytes: int) -> Iterator[Buffer]:
    """The same bytes in runs of whole chunks, copying only chunks that are in parts."""
    size = len(target)
    low = 0
    if head:
        low = min(chunk_bytes - len(head), size)
        first = head + target[:low]
        if low == size:
            yield first + tail
            return
        yield first
    high = low + (size - low) // chunk_bytes * chunk_bytes
    if high > low:
        yield target[low:high]
    if high < size:
        yield bytes(target[high:]) + tail
