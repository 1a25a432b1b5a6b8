"""write_inline: byte ranges of a small file."""

from __future__ import annotations

from oastfs.core.errors import InlineLimitExceeded, InvalidArgument, IsADirectory
from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import content, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, require
from oastfs.store.transaction import Transaction


def write_inline(
    tx: Transaction,
    context: Context,
    path: str,
    patches: list[tuple[int, bytes]],
    length: int,
    holder: str,
    release: bool,
) -> FileStatus:
    """Patches, not whole contents: writers of different ranges do not undo each other."""
    node = tree.resolve(tx, context, path)
    if node.is_directory:
        raise IsADirectory(path=path)
    if not node.is_file:
        raise InvalidArgument("not a regular file", path=path)
    inode = node.inode
    if not leases.holds(tx, inode, holder):
        require(context, inode, WRITE, path)
        leases.require_no_other_exclusive(tx, context, inode, holder, path)
    if inode.flags & Flag.BLOCKS:
        raise InlineLimitExceeded("the file's content is in blocks", path=path)
    new_length = _length_after(inode.length, patches, length, context.info.inline_limit, path)
    content.patch(tx, inode, patches, new_length)
    inode = tree.with_attributes(inode, length=new_length, mtime_ns=context.now_ns, ctime_ns=context.now_ns)
    if release and holder:
        inode = leases.release(tx, inode, holder)
    return tree.status_of(tx, context, tree.save(tx, node, inode))


def _length_after(before: int, patches: list[tuple[int, bytes]], length: int, limit: int, path: str) -> int:
    if length < -1 or any(offset < 0 for offset, _ in patches):
        raise InvalidArgument("offset and length may not be negative", path=path)
    end = max((offset + len(data) for offset, data in patches if data), default=0)
    after = max(before, end) if length == -1 else length
    if max(after, end) > limit:
        raise InlineLimitExceeded(f"more than the inline limit of {limit} bytes", path=path)
    return after
