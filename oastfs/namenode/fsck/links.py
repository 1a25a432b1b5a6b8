"""Files with several names: ``linked_inode`` and ``link`` agree with the entries."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.attributes import check_attributes
from oastfs.namenode.fsck.report import Check, Repair, entry_path
from oastfs.store.schema import INODE, LINK, LINKED_INODE, Inode
from oastfs.store.table import Key
from oastfs.store.transaction import Transaction


def check_links(check: Check) -> None:
    """Merge both tables in order of the inode's id."""
    tx = check.tx
    inodes: Iterator[tuple[Key, Inode]] = tx.scan(LINKED_INODE)
    current = next(inodes, None)
    for key, rows in groupby(tx.scan(LINK), key=lambda row: row[0][0]):
        inode_id = int(key)
        while current is not None and int(current[0][0]) < inode_id:
            _check_inode(check, int(current[0][0]), current[1], 0)
            current = next(inodes, None)
        names = sum(
            _check_name(check, inode_id, int(parent_id), str(name)) for (_, parent_id, name), _ in rows
        )
        if current is not None and current[0][0] == inode_id:
            _check_inode(check, inode_id, current[1], names)
            current = next(inodes, None)
    while current is not None:
        _check_inode(check, int(current[0][0]), current[1], 0)
        current = next(inodes, None)


def _check_name(check: Check, inode_id: int, parent_id: int, name: str) -> bool:
    """Whether a link is what it says: an entry that points to the inode."""
    check.report.checked["link"] += 1
    if _is_name_of(check.tx, inode_id, parent_id, name):
        return True
    check.problem(
        "link-without-entry",
        entry_path(check.tx, parent_id, name),
        f"it is listed as a link of inode {inode_id}, and is not",
        _drop_listed(inode_id, parent_id, name),
    )
    return False


def _check_inode(check: Check, inode_id: int, inode: Inode, names: int) -> None:
    check.report.checked["linked_inode"] += 1
    if inode.id != inode_id:
        text = f"its row names inode {inode.id}"
        check.problem("bad-linked-inode", f"inode {inode_id}", text)
        return
    if names == 0:
        text = "no entry points to this linked inode"
        check.problem("linked-inode-without-entry", f"inode {inode_id}", text, _attach(inode_id))
    elif inode.nlink != names:
        text = f"its link count is {inode.nlink}, and it has {names} names"
        check.problem("link-count", check.where(inode_id), text, _recount(inode_id))
    if not inode.flags & Flag.LINKED:
        repair = _set_linked(inode_id)
        check.problem("linked-flag", check.where(inode_id), "its flag does not say that it is linked", repair)
    check_attributes(check, inode)


def _is_name_of(tx: Transaction, inode_id: int, parent_id: int, name: str) -> bool:
    entry = tx.get(INODE, (parent_id, name))
    if entry is None or entry.id != inode_id or not entry.flags & Flag.LINKED:
        return False
    return tx.get(LINKED_INODE, (inode_id,)) is not None


def _drop_listed(inode_id: int, parent_id: int, name: str) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        if not _is_name_of(tx, inode_id, parent_id, name):
            tx.delete(LINK, (inode_id, parent_id, name))

    return mend_it


def _attach(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        inode = tx.get(LINKED_INODE, (inode_id,))
        if inode is not None and not _names(tx, inode_id):
            flags = inode.flags | int(Flag.LINKED)
            changed = tree.with_attributes(inode, nlink=1, flags=flags)
            tx.put(LINKED_INODE, (inode_id,), changed)
            mend.attach(tx, context, changed)

    return mend_it


def _recount(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        inode = tx.get(LINKED_INODE, (inode_id,))
        names = _names(tx, inode_id)
        if inode is not None and names:
            tx.put(LINKED_INODE, (inode_id,), tree.with_attributes(inode, nlink=names))

    return mend_it


def _set_linked(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        inode = tx.get(LINKED_INODE, (inode_id,))
        if inode is not None:
            flags = inode.flags | int(Flag.LINKED)
            tx.put(LINKED_INODE, (inode_id,), tree.with_attributes(inode, flags=flags))

    return mend_it


def _names(tx: Transaction, inode_id: int) -> int:
    links = list(tx.scan(LINK, (inode_id,)))
    return sum(_is_name_of(tx, inode_id, int(parent_id), str(name)) for (_, parent_id, name), _ in links)
