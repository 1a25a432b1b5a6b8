"""get_xattrs: extended attributes of an inode."""

from __future__ import annotations

from oastfs.core.errors import XattrNotFound
from oastfs.core.types import Flag
from oastfs.namenode import acl_updates, tree, xattrs
from oastfs.namenode.context import Context
from oastfs.store.schema import XATTR
from oastfs.store.transaction import Transaction


def get_xattrs(
    tx: Transaction, context: Context, path: str, names: list[str] | None, follow: bool
) -> dict[str, bytes]:
    """getxattr(2) and listxattr(2) in one; ``trusted.`` is seen by the superuser only."""
    node = tree.resolve(tx, context, path, follow)
    if names is not None:
        for name in names:
            xattrs.require_read(context, node, name, path)
    rows = tx.scan(XATTR, (node.inode.id,)) if node.inode.flags & Flag.XATTRS else iter(())
    found = {str(key[1]): row.value for key, row in rows}
    found |= acl_updates.attributes_of(node.inode)
    if names is None:
        return {name: value for name, value in found.items() if xattrs.is_visible(context, node, name)}
    for name in names:
        if name not in found:
            raise XattrNotFound(f"no extended attribute {name}", path=path)
    return {name: found[name] for name in names}
