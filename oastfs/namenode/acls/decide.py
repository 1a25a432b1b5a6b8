"""What an ACL permits: POSIX.1e's access check algorithm (acl(5)), which HDFS has as well."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from oastfs.core.types import Caller
from oastfs.namenode.acls.rows import ACCESS, GROUP, UNNAMED, decode, of_scope
from oastfs.store.schema import Inode

_OWNING: Final = -1


class _Rights(NamedTuple):
    """Access entries by id, before the mask. ``_OWNING`` stands for the owning group."""

    users: dict[int, int]
    groups: dict[int, int]


@lru_cache(maxsize=4096)
def _rights(acl: bytes) -> _Rights | None:
    """None if there are only default entries."""
    access = of_scope(decode(acl), ACCESS)
    if not access:
        return None
    users = {entry.id: entry.permission for entry in access if entry.kind is not GROUP}
    groups = {
        _OWNING if entry.id == UNNAMED else entry.id: entry.permission
        for entry in access
        if entry.kind is GROUP
    }
    return _Rights(users, groups)


def allows(caller: Caller, inode: Inode, acl: bytes, wanted: int) -> bool:
    """Whether someone who is not the owner has all of ``wanted``: the first class that matches decides.

    Of several groups one must grant all of it; what each grants is not added up.
    """
    rights = _rights(acl)
    mode = inode.mode
    if rights is None:
        return (mode >> 3 if inode.gid in caller.gids else mode) & wanted == wanted
    mask = mode >> 3
    named = rights.users.get(caller.uid)
    if named is not None:
        return named & mask & wanted == wanted
    matched = False
    for gid, permission in rights.groups.items():
        if (inode.gid if gid == _OWNING else gid) in caller.gids:
            if permission & mask & wanted == wanted:
                return True
            matched = True
    return not matched and mode & wanted == wanted
