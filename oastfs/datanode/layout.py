"""Where a replica's files are, and what is in the checksum file.

``blocks/subdirA/subdirB/blk_ID`` holds the data, ``blk_ID_STAMP.meta`` beside it a CRC32C per 512 bytes
after a header of 7 bytes, both exactly as HDFS has them, so that its short-circuit readers can use them.
``blk_ID.open`` is there while the replica is being written (``journal.py``).
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Final

from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.core.local_files import is_directory
from oastfs.wire.transfer.checksum import CHECKSUM_BYTES, ChecksumKind

META_HEADER: Final = struct.pack(">HBI", 1, ChecksumKind.CRC32C, BYTES_PER_CHECKSUM)
META_HEADER_BYTES: Final = len(META_HEADER)

DATA_NAME: Final = re.compile(r"blk_(\d+)")
META_NAME: Final = re.compile(r"blk_(\d+)_(\d+)\.meta")
JOURNAL_NAME: Final = re.compile(r"blk_(\d+)\.open")
OWN_COPY_NAME: Final = re.compile(r"blk_(\d+)\.own")

SUBDIRECTORIES: Final = 32


def directory_of(blocks: Path, block_id: int) -> Path:
    """Directory of a replica: two levels by bits of the id, 256 consecutive ids side by side (as HDFS)."""
    return blocks / f"subdir{block_id >> 16 & 0x1F}" / f"subdir{block_id >> 8 & 0x1F}"


def make_directory(blocks: Path, block_id: int) -> None:
    """Make the directory of a replica, with a durable name, if it is not there."""
    directory = directory_of(blocks, block_id)
    if not is_directory(directory):
        directory.mkdir(parents=True, exist_ok=True)
        sync_directory(directory.parent)
        sync_directory(directory.parent.parent)


def data_path(blocks: Path, block_id: int) -> Path:
    """The data file."""
    return directory_of(blocks, block_id) / f"blk_{block_id}"


def meta_path(blocks: Path, block_id: int, generation_stamp: int) -> Path:
    """The checksum file of a replica with this stamp."""
    return directory_of(blocks, block_id) / f"blk_{block_id}_{generation_stamp}.meta"


def journal_path(blocks: Path, block_id: int) -> Path:
    """The journal of a replica that is being written."""
    return directory_of(blocks, block_id) / f"blk_{block_id}.open"


def own_copy_path(blocks: Path, block_id: int) -> Path:
    """A data file in the making that takes the place of one that is lent; after a crash it is litter."""
    return directory_of(blocks, block_id) / f"blk_{block_id}.own"


def chunk_count(length: int) -> int:
    """Chunks of ``length`` bytes; the last may be short."""
    return -(-length // BYTES_PER_CHECKSUM)


def checksum_offset(chunk: int) -> int:
    """Where in the checksum file the checksum of a chunk is."""
    return META_HEADER_BYTES + chunk * CHECKSUM_BYTES


def meta_length(length: int) -> int:
    """Length of the checksum file of ``length`` bytes of data."""
    return checksum_offset(chunk_count(length))


def pwrite_all(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """pwrite(2) until everything is written."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
