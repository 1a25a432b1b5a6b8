"""add_block: a new block at an offset of a file."""

from __future__ import annotations

from oastfs.core.types import LocatedBlock
from oastfs.namenode import blocks, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.writing import resolve_writable
from oastfs.store.transaction import Transaction


def add_block(
    tx: Transaction,
    context: Context,
    path: str,
    holder: str,
    offset: int,
    exclude: list[int] | None,
    local_host: str,
) -> LocatedBlock:
    """HDFS addBlock, at any offset. The block belongs to the file once it is committed."""
    node = resolve_writable(tx, context, path, holder)
    inode = leases.acquire(tx, context, node.inode, holder, exclusive=False, path=path)
    located = blocks.allocate(tx, context, inode, holder, offset, exclude or [], local_host, path)
    if inode is not node.inode:
        tree.save(tx, node, inode)
    return located
