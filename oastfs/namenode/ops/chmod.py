"""chmod: permission bits."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import require_owner
from oastfs.store.transaction import Transaction


def chmod(tx: Transaction, context: Context, path: str, mode: int, follow: bool) -> FileStatus:
    """chmod(2). A file's set-group-id bit needs membership of its group."""
    if mode & ~0o7777:
        raise InvalidArgument(f"permission bits are 0 to 07777, not {mode:o}", path=path)
    node = tree.resolve(tx, context, path, follow)
    inode = node.inode
    require_owner(context, inode, path)
    if (
        mode & _stat.S_ISGID
        and not node.is_directory
        and not context.superuser
        and inode.gid not in context.caller.gids
    ):
        mode &= ~_stat.S_ISGID
    changed = tree.with_attributes(inode, mode=_stat.S_IFMT(inode.mode) | mode, ctime_ns=context.now_ns)
    return tree.status_of(tx, context, tree.save(tx, node, changed))
