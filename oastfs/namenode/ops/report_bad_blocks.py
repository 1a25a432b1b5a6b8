"""report_bad_blocks: a reader found replicas corrupt or lost."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, OastError
from oastfs.core.limits import BATCH_MAX
from oastfs.namenode import tree
from oastfs.namenode.blocks.replicas import mark_corrupt
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import READ, require
from oastfs.store.schema import BLOCK_OWNER
from oastfs.store.transaction import Transaction


def report_bad_blocks(tx: Transaction, context: Context, blocks: list[tuple[int, int]]) -> None:
    """HDFS reportBadBlocks. Blocks that are gone, or of files that the caller cannot read, are ignored."""
    if len(blocks) > BATCH_MAX:
        raise InvalidArgument(f"a batch may hold {BATCH_MAX} blocks at most")
    for block_id, storage_id in blocks:
        owner = tx.get(BLOCK_OWNER, (block_id,))
        if owner is None:
            continue
        try:
            require(context, tree.resolve_id(tx, owner.inode_id).inode, READ, "")
        except OastError:
            continue
        mark_corrupt(tx, context, block_id, storage_id)
