"""remove_xattr: remove one extended attribute."""

from __future__ import annotations

from oastfs.core.errors import XattrNotFound
from oastfs.core.types import Flag
from oastfs.namenode import acl_updates, tree, xattrs
from oastfs.namenode.acls import linux
from oastfs.namenode.context import Context
from oastfs.store.schema import XATTR
from oastfs.store.transaction import Transaction


def remove_xattr(tx: Transaction, context: Context, path: str, name: str, follow: bool) -> None:
    """removexattr(2)."""
    node = tree.resolve(tx, context, path, follow)
    if name in linux.SCOPES:
        acl_updates.remove_attribute(tx, context, node, name, path)
        return
    inode = node.inode
    xattrs.require_write(context, node, name, path)
    if tx.get(XATTR, (inode.id, name)) is None:
        raise XattrNotFound(f"no extended attribute {name}", path=path)
    tx.delete(XATTR, (inode.id, name))
    flags = inode.flags
    if not any(key[1] != name for key, _ in tx.scan(XATTR, (inode.id,), limit=2)):
        flags &= ~int(Flag.XATTRS)
    tree.save(tx, node, tree.with_attributes(inode, flags=flags, ctime_ns=context.now_ns))
