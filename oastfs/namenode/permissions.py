"""Permission checks as POSIX and HDFS have them; the superuser passes all.

One class of bits decides: the owner's, else the group's, else the others' (POSIX.1 4.7, HDFS
Permissions Guide), or what an ACL has in place of the latter two. Nothing here reads the store.
"""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import NotPermitted, PermissionDenied
from oastfs.core.types import Caller
from oastfs.namenode.acls import decide
from oastfs.namenode.context import Context
from oastfs.store.schema import Inode

READ = 4
WRITE = 2
EXECUTE = 1


def allows(caller: Caller, inode: Inode, mask: int) -> bool:
    """Whether the mode bits, or the ACL, give the caller all of ``mask``."""
    if caller.uid == inode.uid:
        bits = inode.mode >> 6
    elif inode.acl is not None:
        return decide.allows(caller, inode, inode.acl, mask)
    elif inode.gid in caller.gids:
        bits = inode.mode >> 3
    else:
        bits = inode.mode
    return bits & mask == mask


def require(context: Context, inode: Inode, mask: int, path: str) -> None:
    """Raise PermissionDenied unless the caller has ``mask`` on the inode."""
    if not context.superuser and not allows(context.caller, inode, mask):
        error = PermissionDenied(_denial(context.caller, inode, mask), path=path)
        error.denial = (inode.id, mask)
        raise error


def require_owner(context: Context, inode: Inode, path: str) -> None:
    """Raise NotPermitted unless the caller owns the inode."""
    if not context.superuser and context.caller.uid != inode.uid:
        raise NotPermitted(f"user {context.caller.user} does not own it", path=path)


def require_sticky(context: Context, parent: Inode, inode: Inode, path: str) -> None:
    """In a sticky directory only the owner of the entry or of the directory may remove it."""
    if (
        parent.mode & _stat.S_ISVTX
        and not context.superuser
        and context.caller.uid not in (inode.uid, parent.uid)
    ):
        raise NotPermitted("the directory is sticky and the entry is another's", path=path)


def _denial(caller: Caller, inode: Inode, mask: int) -> str:
    wanted = "".join(letter for bit, letter in ((4, "r"), (2, "w"), (1, "x")) if mask & bit)
    return (
        f"permission denied: user {caller.user} (uid {caller.uid}) needs {wanted} on "
        f"{_stat.filemode(inode.mode)}{'' if inode.acl is None else '+'} of uid {inode.uid}, gid {inode.gid}"
    )
