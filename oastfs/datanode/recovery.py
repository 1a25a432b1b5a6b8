"""Finding out, after a crash, how much of a replica that was being written holds together.

Rules in ``journal.py``. Works on files alone; nobody else has the replica yet.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.datanode.journal import Journal
from oastfs.datanode.layout import META_HEADER, checksum_offset, meta_length, pwrite_all
from oastfs.wire.transfer.checksum import (
    CHECKSUM_BYTES,
    ChecksumKind,
    checksum_chunks,
    matching_prefix_bytes,
)

_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Settled:
    """``length`` bytes agree with their checksums; ``corrupt`` if durable ones do not."""

    length: int
    corrupt: bool


def settle(data: Path, meta: Path, journal: Journal) -> Settled:
    """Check all of a replica, repair what a crash tore, cut both files to the length found."""
    data_fd = os.open(data, os.O_RDWR | os.O_CLOEXEC)
    try:
        meta_fd = os.open(meta, os.O_RDWR | os.O_CLOEXEC)
        try:
            return _Settling(data_fd, meta_fd, journal).run()
        finally:
            os.close(meta_fd)
    finally:
        os.close(data_fd)


class _Settling:
    def __init__(self, data_fd: int, meta_fd: int, journal: Journal) -> None:
        self._data_fd = data_fd
        self._meta_fd = meta_fd
        self._journal = journal
        self._data_length = os.fstat(data_fd).st_size
        self._corrupt = False

    def run(self) -> Settled:
        if os.pread(self._meta_fd, len(META_HEADER), 0) != META_HEADER:
            # Torn in its first moments: nothing of it was acknowledged, unless something durable is lost.
            pwrite_all(self._meta_fd, META_HEADER, 0)
            self._corrupt = self._journal.durable_length > 0
        length = self._agreed_length()
        if length < self._journal.durable_length:
            self._corrupt = True
        os.ftruncate(self._data_fd, length)
        os.ftruncate(self._meta_fd, meta_length(length))
        os.fdatasync(self._data_fd)
        os.fdatasync(self._meta_fd)
        return Settled(length, self._corrupt)

    def _agreed_length(self) -> int:
        at = 0
        while at < self._data_length:
            data = os.pread(self._data_fd, _BATCH_BYTES, at)
            if not data:
                break
            chunks = -(-len(data) // BYTES_PER_CHECKSUM)
            stored = os.pread(
                self._meta_fd, chunks * CHECKSUM_BYTES, checksum_offset(at // BYTES_PER_CHECKSUM)
            )
            end = self._check_batch(at, data, stored)
            if end < at + len(data):
                return end
            at += len(data)
        return at

    def _check_batch(self, at: int, data: bytes, stored: bytes) -> int:
        """Where the agreement ends: the end of ``data`` when all of it holds."""
        computed = checksum_chunks(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, data)
        if computed == stored:
            return at + len(data)
        for where in range(0, len(computed), CHECKSUM_BYTES):
            wanted, found = computed[where : where + CHECKSUM_BYTES], stored[where : where + CHECKSUM_BYTES]
            if wanted != found:
                start = where // CHECKSUM_BYTES * BYTES_PER_CHECKSUM
                chunk = data[start : start + BYTES_PER_CHECKSUM]
                end = self._settle_chunk(at + start, chunk, wanted, found)
                if end < at + start + len(chunk):
                    return end
        return at + len(data)

    def _settle_chunk(self, at: int, chunk: bytes, wanted: bytes, found: bytes) -> int:
        """Decide about a chunk whose checksum does not match; returns where the replica may end in it."""
        end, durable_length = at + len(chunk), self._journal.durable_length
        if at < durable_length and self._journal.is_marked(at, min(end, durable_length)):
            pwrite_all(self._meta_fd, wanted, checksum_offset(at // BYTES_PER_CHECKSUM))
            return end
        covered = at + matching_prefix_bytes(chunk, found)
        if at >= durable_length or covered >= durable_length:
            return covered
        self._corrupt = True
        return end
