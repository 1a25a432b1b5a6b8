"""set_xattr: set one extended attribute."""

from __future__ import annotations

from oastfs.core.errors import AlreadyExists, InvalidArgument, XattrNotFound, XattrTooLarge
from oastfs.core.limits import XATTR_VALUE_BYTES_MAX, XATTRS_PER_INODE_MAX
from oastfs.core.types import Flag
from oastfs.namenode import acl_updates, tree, xattrs
from oastfs.namenode.acls import linux
from oastfs.namenode.context import Context
from oastfs.store.schema import XATTR, Xattr
from oastfs.store.transaction import Transaction


def set_xattr(
    tx: Transaction,
    context: Context,
    path: str,
    name: str,
    value: bytes,
    create: bool,
    replace: bool,
    follow: bool,
) -> None:
    """setxattr(2)."""
    if not create and not replace:
        raise InvalidArgument("neither creating nor replacing leaves nothing to do", path=path)
    if len(value) > XATTR_VALUE_BYTES_MAX:
        raise XattrTooLarge(f"a value may hold {XATTR_VALUE_BYTES_MAX} bytes at most", path=path)
    node = tree.resolve(tx, context, path, follow)
    if name in linux.SCOPES:
        acl_updates.set_attribute(tx, context, node, name, value, create, replace, path)
        return
    inode = node.inode
    xattrs.require_write(context, node, name, path)
    existing = tx.get(XATTR, (inode.id, name))
    if existing is not None and not replace:
        raise AlreadyExists(f"extended attribute {name} exists", path=path)
    if existing is None:
        if not create:
            raise XattrNotFound(f"no extended attribute {name}", path=path)
        if sum(1 for _ in tx.scan(XATTR, (inode.id,))) >= XATTRS_PER_INODE_MAX:
            raise XattrTooLarge(f"an inode has {XATTRS_PER_INODE_MAX} attributes at most", path=path)
    tx.put(XATTR, (inode.id, name), Xattr(value))
    flags = inode.flags | int(Flag.XATTRS)
    tree.save(tx, node, tree.with_attributes(inode, flags=flags, ctime_ns=context.now_ns))
