"""symlink: a symbolic link."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import AlreadyExists, InvalidArgument, NameTooLong, NotFound, NotUtf8
from oastfs.core.limits import SYMLINK_TARGET_BYTES_MAX
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.mkdirs import make_parents
from oastfs.store.schema import CONTENT, Content
from oastfs.store.transaction import Transaction


def symlink(tx: Transaction, context: Context, path: str, target: str, parents: bool) -> FileStatus:
    """symlink(2). The target is kept as written, and need not exist."""
    encoded = _checked(target)
    if parents:
        make_parents(tx, context, path)
    slot = tree.resolve_slot(tx, context, path)
    if slot.node is not None:
        raise AlreadyExists(path=path)
    inode = tree.new_inode(tx, context, slot.parent, _stat.S_IFLNK | 0o777, length=len(encoded))
    tx.put(CONTENT, (inode.id,), Content(encoded))
    return tree.status_of(tx, context, tree.insert(tx, context, slot.parent, slot.name, inode))


def _checked(target: str) -> bytes:
    if not target:
        raise NotFound("a symbolic link needs a target")
    if "\0" in target:
        raise InvalidArgument("a link's target may not hold NUL")
    try:
        encoded = target.encode()
    except UnicodeEncodeError:
        raise NotUtf8("a link's target must be valid UTF-8", path=ascii(target)) from None
    if len(encoded) > SYMLINK_TARGET_BYTES_MAX:
        raise NameTooLong(f"a link's target may not be longer than {SYMLINK_TARGET_BYTES_MAX} bytes")
    return encoded
