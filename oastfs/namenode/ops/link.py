"""link: a further name of a file."""

from __future__ import annotations

from oastfs.core.errors import AlreadyExists, NotPermitted, TooManyLinks
from oastfs.core.limits import LINKS_MAX
from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import quotas, tree
from oastfs.namenode.context import Context
from oastfs.namenode.tree import Node
from oastfs.store.schema import INODE, LINK, LINKED_INODE, ORPHANS_ID, RECLAIM_ID, Link
from oastfs.store.transaction import Transaction


def link(tx: Transaction, context: Context, path: str, new_path: str) -> FileStatus:
    """link(2): not for directories. The attributes move to a row that all names point to."""
    node = tree.resolve(tx, context, path, follow=False)
    if node.is_directory:
        raise NotPermitted("a directory has one name only", path=path)
    if node.parent_id in (RECLAIM_ID, ORPHANS_ID):
        raise NotPermitted("the file has been removed", path=path)
    if node.inode.nlink >= LINKS_MAX:
        raise TooManyLinks(f"a file has at most {LINKS_MAX} names", path=path)
    slot = tree.resolve_slot(tx, context, new_path)
    if slot.node is not None:
        raise AlreadyExists(path=new_path)
    quotas.entered(tx, slot.parent.id, node.inode)
    inode = tree.with_attributes(
        node.inode,
        nlink=node.inode.nlink + 1,
        ctime_ns=context.now_ns,
        flags=node.inode.flags | int(Flag.LINKED),
    )
    entry = tree.link_entry(inode)
    if not node.inode.flags & Flag.LINKED:
        tx.put(INODE, (node.parent_id, node.name), entry)
        tx.put(LINK, (inode.id, node.parent_id, node.name), Link())
    tx.put(LINKED_INODE, (inode.id,), inode)
    tx.put(INODE, (slot.parent.id, slot.name), entry)
    tx.put(LINK, (inode.id, slot.parent.id, slot.name), Link())
    tree.touch(tx, context, slot.parent.id)
    return tree.status_of(tx, context, Node(slot.parent.id, slot.name, inode))
