"""mknod: an empty file or a special one."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import AlreadyExists, InvalidArgument, NotPermitted
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction

_DEVICES = (_stat.S_IFCHR, _stat.S_IFBLK)
_KINDS = (0, _stat.S_IFREG, _stat.S_IFIFO, _stat.S_IFSOCK, *_DEVICES)


def mknod(
    tx: Transaction, context: Context, path: str, mode: int, rdev: int, unmasked_mode: int = -1
) -> FileStatus:
    """mknod(2): devices are for the superuser."""
    if not 0 <= mode <= 0o177777 or _stat.S_IFMT(mode) not in _KINDS:
        raise InvalidArgument(f"not a mode of a file or special file: {mode:o}", path=path)
    tree.check_modes(_stat.S_IMODE(mode), unmasked_mode, path)
    kind = _stat.S_IFMT(mode)
    if kind in _DEVICES and not context.superuser:
        raise NotPermitted("only the superuser makes devices", path=path)
    slot = tree.resolve_slot(tx, context, path)
    if slot.node is not None:
        raise AlreadyExists(path=path)
    full_mode = (kind or _stat.S_IFREG) | _stat.S_IMODE(mode)
    number = rdev if kind in _DEVICES else 0
    inode = tree.new_inode(tx, context, slot.parent, full_mode, unmasked_mode=unmasked_mode, rdev=number)
    return tree.status_of(tx, context, tree.insert(tx, context, slot.parent, slot.name, inode))
