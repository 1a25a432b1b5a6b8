"""Numbers that both bindings tell the kernel alike."""

from __future__ import annotations

from typing import Final

from oastfs.core.types import StorageStatus

IO_SIZE_BYTES: Final = 64 * 1024
"""st_blksize: what programs read and write at a time."""
BLOCK_BYTES: Final = 4096
"""Unit of statfs."""
NAME_BYTES_MAX: Final = 255
INODE_BYTES: Final = 200
"""What an inode takes of the store, about."""


def free_inodes(space: StorageStatus) -> int:
    """How many more inodes the store has room for."""
    return min(space.metadata_remaining // INODE_BYTES, 1 << 62)
