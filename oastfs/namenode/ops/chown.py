"""chown: owner and group."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import InvalidArgument, NotPermitted
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import require_owner
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction

_ID_MAX = 0xFFFFFFFE


def chown(tx: Transaction, context: Context, path: str, uid: int, gid: int, follow: bool) -> FileStatus:
    """chown(2): the superuser gives files away; an owner may choose among the own groups."""
    if not (-1 <= uid <= _ID_MAX and -1 <= gid <= _ID_MAX):
        raise InvalidArgument(f"not a user or group id: {uid}, {gid}", path=path)
    node = tree.resolve(tx, context, path, follow)
    inode = node.inode
    _require(context, inode, uid, gid, path)
    changed = tree.with_attributes(
        inode,
        uid=inode.uid if uid == -1 else uid,
        gid=inode.gid if gid == -1 else gid,
        mode=_without_set_id(inode.mode, node.is_directory),
        ctime_ns=context.now_ns,
    )
    return tree.status_of(tx, context, tree.save(tx, node, changed))


def _require(context: Context, inode: Inode, uid: int, gid: int, path: str) -> None:
    if context.superuser:
        return
    if uid not in (-1, inode.uid):
        raise NotPermitted("only the superuser changes an owner", path=path)
    if uid == -1 and gid == -1:
        return
    require_owner(context, inode, path)
    if gid not in (-1, inode.gid) and gid not in context.caller.gids:
        raise NotPermitted(f"user {context.caller.user} is not of group {gid}", path=path)


def _without_set_id(mode: int, is_directory: bool) -> int:
    """A changed owner ends set-user-id, and set-group-id where it means execution, as on Linux."""
    if is_directory:
        return mode
    mode &= ~_stat.S_ISUID
    return mode & ~_stat.S_ISGID if mode & _stat.S_IXGRP else mode
