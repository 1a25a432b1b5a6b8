"""Block ids of what namenodes serve themselves, for clients that know only blocks.

HDFS's own clients read everything as blocks. To them an inline file is one block whose id says which
inode holds its content, and a hole of a sparse file is a block of zeros. Both kinds are told by high
bits that no id of a datanode's block ever reaches; all ids are positive as Java's longs.
"""

from __future__ import annotations

from typing import Final

_INLINE: Final = 1 << 62
_HOLE: Final = 1 << 61
_NUMBER_MASK: Final = _HOLE - 1


def inline_block_id(inode_id: int) -> int:
    """The block that is the whole content of an inline file."""
    return _INLINE | inode_id


def hole_block_id(offset: int) -> int:
    """A block of zeros, for a hole at ``offset`` of a file.

    Any range of it reads as zeros, as far as the length that the reader's request gives the block.
    """
    return _INLINE | _HOLE | offset & _NUMBER_MASK


def is_inline(block_id: int) -> bool:
    """Whether the block is an inline file's content."""
    return block_id >> 61 == 0b10


def is_hole(block_id: int) -> bool:
    """Whether the block is zeros by its id."""
    return block_id >> 61 == 0b11


def inode_of(block_id: int) -> int:
    """The inode whose content an inline block is."""
    return block_id & _NUMBER_MASK
