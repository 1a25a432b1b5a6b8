"""Changing the ACL of an inode, by the verbs of ACLs and by Linux's extended attributes."""

from __future__ import annotations

import stat as _stat
from collections.abc import Sequence

from oastfs.core.errors import AlreadyExists, BadAcl, Unsupported, XattrNotFound
from oastfs.core.types import AclEntry, AclScope, FileStatus, Flag
from oastfs.namenode import tree
from oastfs.namenode.acls import changes, linux, rows
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import require_owner
from oastfs.namenode.tree import Node
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction


def update(tx: Transaction, context: Context, path: str, change: changes.Change) -> FileStatus:
    """Change the ACL of ``path``. Raises NotPermitted, BadAcl."""
    node = tree.resolve(tx, context, path)
    _require(context, node, path)
    return tree.status_of(tx, context, _save(tx, context, node, change(rows.whole(node.inode)), path))


def attributes_of(inode: Inode) -> dict[str, bytes]:
    """The ACL as Linux's extended attributes; none without more than the mode."""
    if inode.acl is None:
        return {}
    stored = rows.decode(inode.acl)
    return {
        name: linux.pack(rows.whole(inode), scope)
        for name, scope in linux.SCOPES.items()
        if rows.of_scope(stored, scope)
    }


def set_attribute(
    tx: Transaction,
    context: Context,
    node: Node,
    name: str,
    value: bytes,
    create: bool,
    replace: bool,
    path: str,
) -> None:
    """Replace the entries of one scope by those in the value of Linux's attribute."""
    _require(context, node, path)
    exists = name in attributes_of(node.inode)
    if exists and not replace:
        raise AlreadyExists(f"extended attribute {name} exists", path=path)
    if not exists and not create:
        raise XattrNotFound(f"no extended attribute {name}", path=path)
    entries = linux.unpack(value, linux.SCOPES[name])
    if not entries:
        remove_attribute(tx, context, node, name, path)
        return
    saved = _save(tx, context, node, changes.replaced(rows.whole(node.inode), entries), path)
    if (
        linux.SCOPES[name] is AclScope.ACCESS
        and saved.inode.mode & _stat.S_ISGID
        and _is_foreign(context, node)
    ):
        # As on Linux, of directories as well. HDFS knows the bit of neither.
        _put(tx, context, saved, saved.inode.mode & ~_stat.S_ISGID, saved.inode.acl)


def remove_attribute(tx: Transaction, context: Context, node: Node, name: str, path: str) -> None:
    """Forget one scope, if there is anything to forget. As on Linux the mode stays as it is."""
    _require(context, node, path)
    inode = node.inode
    if inode.acl is None:
        return
    kept = [entry for entry in rows.decode(inode.acl) if entry.scope is not linux.SCOPES[name]]
    _put(tx, context, node, inode.mode, rows.encode(kept))


def _require(context: Context, node: Node, path: str) -> None:
    if node.is_symlink:
        raise Unsupported("a symbolic link has no ACL", path=path)
    require_owner(context, node.inode, path)


def _save(tx: Transaction, context: Context, node: Node, entries: Sequence[AclEntry], path: str) -> Node:
    if not node.is_directory and rows.of_scope(entries, AclScope.DEFAULT):
        raise BadAcl(f"Invalid ACL: only directories may have a default ACL. Path: {path}")
    mode, acl = rows.split(node.inode.mode, entries)
    # As chmod(2) has it: who is not of the group does not make programs run with its rights.
    if not node.is_directory and _is_foreign(context, node):
        mode &= ~_stat.S_ISGID
    return _put(tx, context, node, mode, acl)


def _is_foreign(context: Context, node: Node) -> bool:
    """Whether the caller is neither the superuser nor of the inode's group."""
    return not context.superuser and node.inode.gid not in context.caller.gids


def _put(tx: Transaction, context: Context, node: Node, mode: int, acl: bytes | None) -> Node:
    flags = node.inode.flags & ~int(Flag.ACL) if acl is None else node.inode.flags | int(Flag.ACL)
    changed = tree.with_attributes(node.inode, mode=mode, acl=acl, flags=flags, ctime_ns=context.now_ns)
    return tree.save(tx, node, changed)
