"""Blocks of files: allocating, updating, committing, locating, dropping and recovering them.

Operations and jobs use what is named here. Rows of ``block``, ``block_owner``, ``replica``,
``replication_need`` and ``datanode_command`` are written by this package only. How a block is written
is told in docs/architecture.md, "Files".
"""

from __future__ import annotations

from oastfs.namenode.blocks.allocate import (
    abandon,
    allocate,
    begin_append,
    begin_update,
    retarget,
    take_back_stamps,
)
from oastfs.namenode.blocks.commit import apply_commits, is_applied
from oastfs.namenode.blocks.drop import cut, drop_all, has_committed
from oastfs.namenode.blocks.inline import expel, is_doubtful, keep_open, stands_for_content, take_over
from oastfs.namenode.blocks.locate import locate, locate_block
from oastfs.namenode.blocks.move import move_all
from oastfs.namenode.blocks.recover import begin_file as recover_file
from oastfs.namenode.blocks.recover import give_up
from oastfs.namenode.blocks.spill import add as add_spilled
from oastfs.namenode.blocks.spill import is_only_here, spill

__all__ = [
    "abandon",
    "add_spilled",
    "allocate",
    "apply_commits",
    "begin_append",
    "begin_update",
    "cut",
    "drop_all",
    "expel",
    "give_up",
    "has_committed",
    "is_applied",
    "is_doubtful",
    "is_only_here",
    "keep_open",
    "locate",
    "locate_block",
    "move_all",
    "recover_file",
    "retarget",
    "spill",
    "stands_for_content",
    "take_back_stamps",
    "take_over",
]
