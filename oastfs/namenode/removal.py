"""Taking names away, and what becomes of an inode that has none left.

Small things are removed at once. What owns blocks or is being written goes to the reclaim directory,
in the same transaction; a background job frees the blocks and removes the rows.
"""

from __future__ import annotations

from oastfs.core.types import Flag
from oastfs.namenode import quotas, tree
from oastfs.namenode.context import Context
from oastfs.namenode.tree import Node
from oastfs.store.schema import (
    BLOCK,
    CONTENT,
    DIRECTORY,
    INODE,
    LEASE,
    LINK,
    LINKED_INODE,
    OPEN_FILE,
    ORPHANS_ID,
    PLACE,
    RECLAIM_ID,
    XATTR,
    Inode,
    Lease,
    OpenFile,
    Place,
)
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

_NEEDS_RECLAIM = int(Flag.BLOCKS | Flag.OPEN)


def is_empty(tx: Transaction, directory_id: int) -> bool:
    """Whether a directory has no entries."""
    return next(iter(tx.scan(INODE, (directory_id,), limit=1)), None) is None


def remove(tx: Transaction, context: Context, node: Node, keep_for: str = "") -> Inode:
    """Take a file's name or an empty directory away; the attributes that remain (nlink 0: none).

    With ``keep_for`` a file without names stays reachable by id for that holder.
    """
    inode = node.inode
    quotas.left(tx, node.parent_id, inode)
    tree.take_entry(tx, context, node)
    if inode.flags & Flag.LINKED:
        tx.delete(LINK, (inode.id, node.parent_id, node.name))
        remaining = tree.with_attributes(inode, nlink=inode.nlink - 1, ctime_ns=context.now_ns)
        if remaining.nlink > 0:
            _keep_linked(tx, remaining)
            return remaining
        tx.delete(LINKED_INODE, (inode.id,))
    gone = tree.with_attributes(
        inode, nlink=0, ctime_ns=context.now_ns, flags=inode.flags & ~int(Flag.LINKED)
    )
    if keep_for and not node.is_directory:
        _keep_orphan(tx, context, gone, keep_for)
    elif gone.flags & _NEEDS_RECLAIM:
        hide(tx, gone, RECLAIM_ID)
    else:
        purge(tx, gone)
    return gone


def hide_tree(tx: Transaction, context: Context, node: Node) -> None:
    """Take a directory away with all that is below it, to be reclaimed."""
    quotas.tree_left(tx, node.parent_id, node.inode, context.begin_walk)
    tree.take_entry(tx, context, node)
    hide(tx, tree.with_attributes(node.inode, ctime_ns=context.now_ns), RECLAIM_ID)


def hide(tx: Transaction, inode: Inode, hidden_id: int) -> None:
    """Put an inode without a name into a hidden directory, under its id."""
    name = str(inode.id)
    tx.put(INODE, (hidden_id, name), inode)
    tx.put(PLACE, (inode.id,), Place(hidden_id, name))


def purge(tx: Transaction, inode: Inode) -> None:
    """Remove every row of an inode that has neither entry nor blocks nor children."""
    tx.delete(PLACE, (inode.id,))
    if inode.mode & 0o170000 == 0o040000:
        tx.delete(DIRECTORY, (inode.id,))
        quotas.forget(tx, inode.id)
    else:
        tx.delete(CONTENT, (inode.id,))
    if inode.flags & Flag.XATTRS:
        for key, _ in list(tx.scan(XATTR, (inode.id,))):
            tx.delete(XATTR, key)


def release_orphan(tx: Transaction, inode_id: int, holder: str) -> None:
    """End a holder's claim on an orphan; the last claim lets it go. Other ids are ignored."""
    key = (ORPHANS_ID, str(inode_id))
    # Locked: of two holders who let go at once, each must see the other's claim or its end.
    inode = tx.get(INODE, key, Lock.EXCLUSIVE)
    if inode is None:
        return  # it may have names still, and the holder may be writing it
    tx.delete(OPEN_FILE, (inode_id, holder))
    if any(True for _ in tx.scan(OPEN_FILE, (inode_id,), limit=1)):
        return
    tx.delete(INODE, key)
    inode = tree.with_attributes(inode, flags=inode.flags & ~int(Flag.OPEN))
    if any(True for _ in tx.scan(BLOCK, (inode_id,), limit=1)):
        hide(tx, inode, RECLAIM_ID)
    else:
        purge(tx, inode)


def _keep_linked(tx: Transaction, inode: Inode) -> None:
    tx.put(LINKED_INODE, (inode.id,), inode)
    (_, parent_id, name), _ = next(iter(tx.scan(LINK, (inode.id,), limit=1)))
    tx.put(PLACE, (inode.id,), Place(int(parent_id), str(name)))


def _keep_orphan(tx: Transaction, context: Context, inode: Inode, holder: str) -> None:
    hide(tx, tree.with_attributes(inode, flags=inode.flags | int(Flag.OPEN)), ORPHANS_ID)
    if tx.get(OPEN_FILE, (inode.id, holder)) is None:
        tx.put(OPEN_FILE, (inode.id, holder), OpenFile(False, context.now_ns))
    tx.put(LEASE, (holder,), Lease(context.now_ns))
