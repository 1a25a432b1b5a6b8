"""Block ids of what namenodes serve themselves."""

from __future__ import annotations

import pytest

from oastfs.core.inline_blocks import hole_block_id, inline_block_id, inode_of, is_hole, is_inline

JAVA_LONG_MAX = (1 << 63) - 1
INODE_IDS = [1, 1024, (123_456 << 10) | 1023, (1 << 61) - 1]


@pytest.mark.parametrize("inode_id", INODE_IDS)
def test_an_inline_block_names_its_inode(inode_id: int) -> None:
    block_id = inline_block_id(inode_id)
    assert 0 < block_id <= JAVA_LONG_MAX
    assert is_inline(block_id) and not is_hole(block_id)
    assert inode_of(block_id) == inode_id


@pytest.mark.parametrize("offset", [0, 1, 4096, 1 << 40, JAVA_LONG_MAX])
def test_a_hole_is_no_inline_block(offset: int) -> None:
    block_id = hole_block_id(offset)
    assert 0 < block_id <= JAVA_LONG_MAX
    assert is_hole(block_id) and not is_inline(block_id)


def test_holes_of_a_file_differ() -> None:
    assert len({hole_block_id(offset) for offset in range(0, 1 << 30, 1 << 20)}) == 1024


@pytest.mark.parametrize("block_id", [0, 1, 1025, (1 << 61) - 1, 1 << 61, 6 << 61, 7 << 61, -1, -(1 << 62)])
def test_ids_of_other_blocks_are_neither(block_id: int) -> None:
    """Negative ids come as large ones when a message holds them as unsigned."""
    assert not is_inline(block_id)
    assert not is_hole(block_id)
