"""Quotas: their rows belong to directories, and the usage in them is what counting gives."""

from __future__ import annotations

from oastfs.namenode import quotas
from oastfs.namenode.context import Context
from oastfs.namenode.fsck.report import HIDDEN, Check, Repair, find
from oastfs.namenode.tree import Node
from oastfs.store.schema import NO_INODE, PLACE, QUOTA, ROOT_ID, Quota
from oastfs.store.transaction import Transaction


def check_quotas(check: Check) -> None:
    """Count every tree that has a quota anew, and the quotas themselves."""
    rows = {int(key[0]): row for key, row in check.tx.scan(QUOTA)}
    marker = rows.pop(NO_INODE, None)
    check.report.checked["quota"] += len(rows)
    if (0 if marker is None else marker.names) != len(rows):
        text = f"{len(rows)} directories have one, and {marker.names if marker else 0} are counted"
        check.problem("quota-count", "quotas", text, _mend_count)
    counted: dict[int, quotas.Usage] = {}
    for inode_id, row in rows.items():
        node = find(check.tx, inode_id)
        if node is None or not node.is_directory:
            text = "a quota of a directory that does not exist"
            check.problem("quota-without-directory", f"inode {inode_id}", text, _drop(inode_id))
        elif not _is_hidden(check.tx, node):
            usage = counted[inode_id] = quotas.usage_of(check.tx, node.inode, counted)
            if quotas.is_counted(row) and usage != (row.names, row.space):
                text = (
                    f"its usage is {row.names} names and {row.space} bytes, "
                    f"and there are {usage.names} and {usage.space}"
                )
                check.problem("quota-usage", check.where(inode_id), text, _recount(inode_id))


def _is_hidden(tx: Transaction, node: Node) -> bool:
    """Whether the directory was deleted: what is reclaimed from it is not charged any more."""
    seen = set()
    above = node.parent_id
    while above not in (ROOT_ID, NO_INODE) and above not in seen:
        if above in HIDDEN:
            return True
        seen.add(above)
        place = tx.get(PLACE, (above,))
        if place is None:
            return False
        above = place.parent_id
    return False


def _recount(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row, node = tx.get(QUOTA, (inode_id,)), find(tx, inode_id)
        if row is not None and node is not None:
            names, space = quotas.usage_of(tx, node.inode, {})
            tx.put(QUOTA, (inode_id,), Quota(row.names_max, row.space_max, names, space, row.type_limits))

    return mend_it


def _drop(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        node = find(tx, inode_id)
        if node is None or not node.is_directory:
            tx.delete(QUOTA, (inode_id,))
            _mend_count(tx, context)

    return mend_it


def _mend_count(tx: Transaction, context: Context) -> None:
    count = sum(key[0] != NO_INODE for key, _ in tx.scan(QUOTA))
    if count:
        tx.put(QUOTA, (NO_INODE,), Quota(-1, -1, count, 0))
    else:
        tx.delete(QUOTA, (NO_INODE,))
