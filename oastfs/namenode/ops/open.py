"""open: content or block locations for reading."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument, IsADirectory
from oastfs.core.limits import INLINE_LIMIT_BYTES_MAX
from oastfs.core.types import Flag, LocatedBlock, Opened
from oastfs.namenode import blocks, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import READ, require
from oastfs.store.schema import CONTENT
from oastfs.store.transaction import Transaction

_BLOCKS = int(Flag.BLOCKS)


def open(tx: Transaction, context: Context, path: str, offset: int, length: int) -> Opened:
    """One read serves a small file: its attributes and its bytes (HopsFS, Middleware'18)."""
    if offset < 0 or length < 0:
        raise InvalidArgument("offset and length may not be negative", path=path)
    if context.environment.hints is not None:
        context.environment.hints.expect(tx, path, content=True)
    node = tree.resolve(tx, context, path)
    if not node.is_file:
        if node.is_directory:
            raise IsADirectory(path=path)
        raise InvalidArgument("not a regular file", path=path)
    inode = node.inode
    require(context, inode, READ, path)
    status = tree.file_status(context, node.parent_id, node.name, inode)
    if inode.flags & _BLOCKS:
        located: tuple[LocatedBlock, ...] = tuple(blocks.locate(tx, context, inode, offset, length))
        return Opened(status, None, located)
    return Opened(status, content_of(tx, inode.id, inode.length))


def content_of(tx: Transaction, inode_id: int, length: int) -> bytes:
    """Inline content, padded with the zeros that a truncation upwards left implied.

    Not for more than any inline file may hold: readers supply such zeros themselves.
    """
    row = tx.get(CONTENT, (inode_id,)) if length else None
    data = b"" if row is None else row.data
    if len(data) == length or length > INLINE_LIMIT_BYTES_MAX:
        return data
    return data[:length].ljust(length, b"\0")
