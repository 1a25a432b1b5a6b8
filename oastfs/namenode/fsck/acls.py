"""Access control lists: that they can be read, are whole, and that flags tell of them."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import OastError
from oastfs.core.types import AclScope, Flag
from oastfs.namenode import tree
from oastfs.namenode.acls import changes, rows
from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.report import Check, Repair, find
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction


def check_acl(check: Check, inode: Inode) -> None:
    """The ACL of an inode that has one, or whose flags say so."""
    if inode.acl is None:
        text = "its flags tell of an ACL, and there is none"
        check.problem("flag", check.where(inode.id), text, mend.set_flag(inode.id, Flag.ACL, False))
        return
    wrong = _wrong(inode)
    if wrong:
        check.problem("bad-acl", check.where(inode.id), wrong, _drop_acl(inode.id))
    elif not inode.flags & Flag.ACL:
        text = "its flags hide that it has an ACL"
        check.problem("flag", check.where(inode.id), text, mend.set_flag(inode.id, Flag.ACL, True))


def _wrong(inode: Inode) -> str:
    if _stat.S_ISLNK(inode.mode):
        return "a symbolic link has no ACL"
    try:
        entries = rows.whole(inode)
        changes.check_valid(entries)
    except OastError as error:
        return error.message
    if not _stat.S_ISDIR(inode.mode) and rows.of_scope(entries, AclScope.DEFAULT):
        return "only a directory has a default ACL"
    if rows.split(inode.mode, entries) != (inode.mode, inode.acl):
        return "its ACL has entries that belong into the mode"
    return ""


def _drop_acl(inode_id: int) -> Repair:
    """The group's bits are a mask perhaps, which may be more than the group is to have: they go as well."""

    def mend_it(tx: Transaction, context: Context) -> None:
        node = find(tx, inode_id)
        if node is None or node.inode.acl is None or not _wrong(node.inode):
            return
        inode = node.inode
        mode = inode.mode if _stat.S_ISLNK(inode.mode) else inode.mode & ~0o070
        flags = inode.flags & ~int(Flag.ACL)
        tree.save(tx, node, tree.with_attributes(inode, mode=mode, acl=None, flags=flags))

    return mend_it
