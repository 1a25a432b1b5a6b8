"""write_file: a whole small file in one transaction."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import InlineLimitExceeded, InvalidArgument
from oastfs.core.types import FileStatus
from oastfs.namenode import content, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.create import existing_or_free
from oastfs.namenode.ops.mkdirs import make_parents
from oastfs.namenode.permissions import WRITE, require
from oastfs.store.schema import CONTENT, Content
from oastfs.store.transaction import Transaction


def write_file(
    tx: Transaction,
    context: Context,
    path: str,
    data: bytes,
    mode: int,
    overwrite: bool,
    parents: bool,
) -> FileStatus:
    """Create or overwrite with inline content: nobody sees it half-written."""
    if len(data) > context.info.inline_limit:
        raise InlineLimitExceeded(
            f"{len(data)} bytes are more than the inline limit of {context.info.inline_limit}", path=path
        )
    if mode & ~0o7777:
        raise InvalidArgument(f"permission bits are 0 to 07777, not {mode:o}", path=path)
    if parents:
        make_parents(tx, context, path)
    slot = existing_or_free(tx, context, path, overwrite)
    if slot.node is None:
        slot = tree.slot_in(tx, context, slot.parent, slot.name, path)
        inode = tree.new_inode(tx, context, slot.parent, _stat.S_IFREG | mode, length=len(data))
        node = tree.insert(tx, context, slot.parent, slot.name, inode)
    else:
        require(context, slot.node.inode, WRITE, path)
        leases.require_no_other_exclusive(tx, context, slot.node.inode, "", path)
        cleared = content.clear(tx, context, slot.node.inode)
        node = tree.save(tx, slot.node, tree.with_attributes(cleared, length=len(data)))
    if data:
        tx.put(CONTENT, (node.inode.id,), Content(data))
    return tree.status_of(tx, context, node)
