"""concat: the content of files becomes the end of another."""

from __future__ import annotations

from oastfs.core.errors import AlreadyExists, FileTooLarge, InvalidArgument, LeaseConflict
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import blocks, content, leases, quotas, removal, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.open import content_of
from oastfs.namenode.permissions import READ, WRITE, require, require_sticky
from oastfs.namenode.tree import Node
from oastfs.namenode.writing import resolve_file
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction

_BLOCKS = int(Flag.BLOCKS)


def concat(tx: Transaction, context: Context, path: str, sources: list[str]) -> FileStatus:
    """HDFS concat: blocks change their file. The sources are removed. None may be written.

    Files that are inline, and together within the inline limit, become one piece of content; else what is
    inline becomes blocks, too.
    """
    if not sources:
        raise InvalidArgument("concat needs at least one source file", path=path)
    node = _closed(tx, context, path, WRITE)
    nodes = [_source(tx, context, source) for source in sources]
    ids = [one.inode.id for one in nodes]
    if len(set(ids)) < len(ids) or node.inode.id in ids:
        raise InvalidArgument("concat: the files must be different from each other", path=path)
    inode = node.inode
    for source, one in zip(sources, nodes, strict=True):
        if one.inode.length:
            inode = _take_over(tx, context, inode, one.inode, source)
        emptied = _emptied(one.inode)
        quotas.resized(tx, one.parent_id, one.inode, emptied)
        removal.remove(tx, context, Node(one.parent_id, one.name, emptied))
    inode = tree.with_attributes(inode, mtime_ns=context.now_ns, ctime_ns=context.now_ns)
    return tree.status_of(tx, context, tree.save(tx, node, inode))


def _closed(tx: Transaction, context: Context, path: str, mask: int) -> Node:
    node = resolve_file(tx, context, path)
    require(context, node.inode, mask, path)
    if leases.holders(tx, node.inode):
        raise LeaseConflict("it is being written", path=path)
    return node


def _source(tx: Transaction, context: Context, path: str) -> Node:
    node = _closed(tx, context, path, READ)
    if node.inode.flags & Flag.LINKED and node.inode.nlink > 1:
        raise AlreadyExists("a file with several names cannot be moved into another", path=path)
    slot = tree.resolve_slot(tx, context, path)
    assert slot.node is not None
    require_sticky(context, slot.parent, slot.node.inode, path)
    return node


def _take_over(tx: Transaction, context: Context, inode: Inode, source: Inode, path: str) -> Inode:
    """Append one file's content; the inode as it is then, not yet saved."""
    length = inode.length + source.length
    if length > FILE_BYTES_MAX:
        raise FileTooLarge(f"a file has at most {FILE_BYTES_MAX} bytes", path=path)
    in_blocks = source.flags & _BLOCKS
    if not in_blocks and not inode.flags & _BLOCKS and length <= context.info.inline_limit:
        content.patch(tx, inode, [(inode.length, content_of(tx, source.id, source.length))], length)
        return tree.with_attributes(inode, length=length)
    inode = blocks.spill(tx, context, inode)
    if in_blocks:
        blocks.move_all(tx, source, inode, inode.length)
    else:
        blocks.add_spilled(tx, context, inode, inode.length, content_of(tx, source.id, source.length))
    return tree.with_attributes(inode, length=length)


def _emptied(source: Inode) -> Inode:
    """The source without what was taken from it, so that its removal frees nothing of that."""
    return tree.with_attributes(source, length=0, flags=source.flags & ~_BLOCKS)
