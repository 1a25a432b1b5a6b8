"""What belongs to an inode beside its entry: content, extended attributes, writers, and flags for them."""

from __future__ import annotations

import stat as _stat
from collections.abc import Iterable
from itertools import groupby

from oastfs.core.types import Flag
from oastfs.namenode import leases
from oastfs.namenode.blocks import has_committed
from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.acls import check_acl
from oastfs.namenode.fsck.report import Check, Repair, find
from oastfs.store.schema import (
    CONTENT,
    LEASE,
    OPEN_FILE,
    ORPHANS_ID,
    XATTR,
    Content,
    Inode,
    Lease,
    OpenFile,
)
from oastfs.store.table import Key
from oastfs.store.transaction import Transaction


def check_attributes(check: Check, inode: Inode) -> None:
    """The inode's own attributes, and that its flags do not promise what is not there.

    That they do not hide what is there is checked from the other tables.
    """
    tx = check.tx
    if inode.length < 0 or inode.nlink < 0:
        text = f"its length is {inode.length}, its link count {inode.nlink}"
        check.problem("bad-inode", check.where(inode.id), text)
    if inode.flags & Flag.XATTRS and not _any(tx.scan(XATTR, (inode.id,), limit=1)):
        _flag(check, inode.id, Flag.XATTRS, "extended attributes")
    if inode.flags & Flag.OPEN and not _any(tx.scan(OPEN_FILE, (inode.id,), limit=1)):
        _flag(check, inode.id, Flag.OPEN, "writers")
    if inode.flags & Flag.BLOCKS and not _stat.S_ISREG(inode.mode):
        text = "only regular files have blocks"
        repair = mend.set_flag(inode.id, Flag.BLOCKS, False)
        check.problem("flag", check.where(inode.id), text, repair)
    if inode.acl is not None or inode.flags & Flag.ACL:
        check_acl(check, inode)
    if _stat.S_ISLNK(inode.mode):
        target = tx.get(CONTENT, (inode.id,))
        if target is None or len(target.data) != inode.length:
            check.problem("bad-symlink", check.where(inode.id), "its target is missing or of another length")


def check_attribute_tables(check: Check) -> None:
    """Every row belongs to an inode whose flags tell of it."""
    _check_contents(check)
    _check_xattrs(check)
    _check_open_files(check)


def _flag(check: Check, inode_id: int, flag: int, what: str) -> None:
    text = f"its flags tell of {what}, and there are none"
    check.problem("flag", check.where(inode_id), text, mend.set_flag(inode_id, flag, False))


def _check_contents(check: Check) -> None:
    for (key,), row in check.tx.scan(CONTENT):
        inode_id = int(key)
        check.report.checked["content"] += 1
        node = find(check.tx, inode_id)
        if node is None:
            text = "content of an inode that does not exist"
            repair = _unless_found(inode_id, mend.delete_row(CONTENT, (inode_id,)))
            check.problem("content-without-inode", f"inode {inode_id}", text, repair)
        elif not (node.is_file or node.is_symlink) or node.inode.flags & Flag.BLOCKS:
            text = "inline content of what has blocks, or is no file"
            repair = _settle_content(inode_id)
            check.problem("content-beside-blocks", check.where(inode_id), text, repair)
        elif len(row.data) > node.inode.length and node.is_file:
            text = f"{len(row.data)} bytes of content, and the file's length is {node.inode.length}"
            check.problem("content-too-long", check.where(inode_id), text, _cut_content(inode_id))


def _check_xattrs(check: Check) -> None:
    for key, rows in groupby(check.tx.scan(XATTR), key=lambda row: row[0][0]):
        inode_id = int(key)
        check.report.checked["xattr"] += 1
        node = find(check.tx, inode_id)
        if node is None:
            text = "extended attributes of an inode that does not exist"
            repair = _unless_found(inode_id, _drop_xattrs(inode_id))
            check.problem("xattr-without-inode", f"inode {inode_id}", text, repair)
        elif not node.inode.flags & Flag.XATTRS:
            text = "its flags hide that it has extended attributes"
            repair = mend.set_flag(inode_id, Flag.XATTRS, True)
            check.problem("flag", check.where(inode_id), text, repair)
        for _ in rows:
            pass


def _check_open_files(check: Check) -> None:
    for key, rows in groupby(check.tx.scan(OPEN_FILE), key=lambda row: row[0][0]):
        inode_id = int(key)
        holders = {str(holder): row for (_, holder), row in rows}
        check.report.checked["open_file"] += len(holders)
        node = find(check.tx, inode_id)
        if node is None or node.is_directory:
            text = f"written by {', '.join(map(repr, holders))}, and there is no such file"
            repair = _unless_found(inode_id, _drop_writers(inode_id))
            check.problem("writer-without-file", f"inode {inode_id}", text, repair)
            continue
        if not node.inode.flags & Flag.OPEN:
            text = "its flags hide that it is being written"
            repair = mend.set_flag(inode_id, Flag.OPEN, True)
            check.problem("flag", check.where(inode_id), text, repair)
        _check_holders(check, inode_id, holders, kept=node.parent_id == ORPHANS_ID)


def _check_holders(check: Check, inode_id: int, holders: dict[str, OpenFile], kept: bool) -> None:
    """``kept``: the file has no name any more, and some of its holders may only keep it from going."""
    clients = {holder: row for holder, row in holders.items() if holder != leases.RECOVERY}
    for holder in clients:
        if check.tx.get(LEASE, (holder,)) is None:
            text = f"its writer {holder!r} has no lease"
            check.problem("writer-without-lease", check.where(inode_id), text, _put_lease(holder))
    if len(clients) > 1 and not kept and any(row.exclusive for row in clients.values()):
        text = f"written exclusively, and by others: {', '.join(map(repr, clients))}"
        check.problem("two-writers", check.where(inode_id), text, _share(inode_id))


def _any(rows: Iterable[object]) -> bool:
    return next(iter(rows), None) is not None


def _unless_found(inode_id: int, repair: Repair) -> Repair:
    """The repair, unless the inode has come back by another one."""

    def mend_it(tx: Transaction, context: Context) -> None:
        node = find(tx, inode_id)
        if node is None or node.is_directory:
            repair(tx, context)

    return mend_it


def _settle_content(inode_id: int) -> Repair:
    """Committed blocks replace inline content; without any the content stands, and the flag is wrong."""

    def mend_it(tx: Transaction, context: Context) -> None:
        node = find(tx, inode_id)
        if node is None:
            return
        if not (node.is_file or node.is_symlink) or has_committed(tx, inode_id):
            tx.delete(CONTENT, (inode_id,))
        else:
            mend.set_flag(inode_id, Flag.BLOCKS, False)(tx, context)

    return mend_it


def _cut_content(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        node, row = find(tx, inode_id), tx.get(CONTENT, (inode_id,))
        if node is None or row is None:
            return
        if node.inode.length:
            tx.put(CONTENT, (inode_id,), Content(row.data[: node.inode.length]))
        else:
            tx.delete(CONTENT, (inode_id,))

    return mend_it


def _drop_xattrs(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        for key, _ in list(tx.scan(XATTR, (inode_id,))):
            tx.delete(XATTR, key)

    return mend_it


def _drop_writers(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        for key, _ in list(tx.scan(OPEN_FILE, (inode_id,))):
            tx.delete(OPEN_FILE, key)

    return mend_it


def _put_lease(holder: str) -> Repair:
    """Fresh, so that the holder has the usual time to be heard of."""

    def mend_it(tx: Transaction, context: Context) -> None:
        if tx.get(LEASE, (holder,)) is None:
            tx.put(LEASE, (holder,), Lease(context.now_ns))

    return mend_it


def _share(inode_id: int) -> Repair:
    """All stay writers; the stamps of blocks keep them apart."""

    def mend_it(tx: Transaction, context: Context) -> None:
        rows: list[tuple[Key, OpenFile]] = list(tx.scan(OPEN_FILE, (inode_id,)))
        if len(rows) > 1:
            for key, row in rows:
                tx.put(OPEN_FILE, key, OpenFile(False, row.opened_ns))

    return mend_it
