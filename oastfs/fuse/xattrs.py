"""Extended attributes by inode id."""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import InvalidArgument, XattrNotFound
from oastfs.core.types import SUPERUSER, Caller, Flag
from oastfs.fuse.effects import Change, Operation, Wait
from oastfs.fuse.shared import INODES, Shared

CREATE: Final = 1
REPLACE: Final = 2
CAPABILITIES: Final = "security.capability"
ACL_PREFIX: Final = "system.posix_acl_"
_XATTRS: Final = int(Flag.XATTRS)
_ACL: Final = int(Flag.ACL)


class Xattrs:
    """getxattr(2) and its kin."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._metadata = shared.metadata

    def get(self, inode_id: int, name: str, caller: Caller) -> bytes:
        """One value. Raises XattrNotFound.

        The kernel asks for ``security.capability`` before the first write to a file and at each exec, and for
        ACLs as it checks permissions; an inode without any says so in its flags.
        """
        if name.startswith(ACL_PREFIX) and not self._shared.stat(inode_id).flags & _ACL:
            raise XattrNotFound
        if name.startswith("security.") and self._has_none(inode_id):
            raise XattrNotFound
        return self._metadata.get_xattrs(caller, f"{INODES}{inode_id}", [name], False)[name]

    def _has_none(self, inode_id: int) -> bool:
        opened = self._shared.handles.open.get(inode_id)
        return opened.bare if opened is not None else not self._shared.stat(inode_id).flags & _XATTRS

    def names(self, inode_id: int, caller: Caller) -> list[str]:
        """The names that the caller may see."""
        return list(self._metadata.get_xattrs(caller, f"{INODES}{inode_id}", None, False))

    def set(self, inode_id: int, name: str, value: bytes, flags: int, caller: Caller) -> Operation[None]:
        """Set one; ``flags`` are XATTR_CREATE or XATTR_REPLACE."""
        if flags & ~(CREATE | REPLACE):
            raise InvalidArgument(f"xattr flags {flags:#x} are not known")
        path = f"{INODES}{inode_id}"
        may_create, may_replace = not flags & REPLACE, not flags & CREATE
        yield Change("set_xattr", caller, path, name, value, may_create, may_replace, False)
        self._shared.forget_parent(inode_id)
        opened = self._shared.handles.open.get(inode_id)
        if opened is None:
            return
        if name.startswith(ACL_PREFIX):
            opened.mode = (yield Wait(lambda: self._shared.stat(inode_id))).mode
        else:
            opened.bare = False

    def remove(self, inode_id: int, name: str, caller: Caller) -> Operation[None]:
        """Remove one. Raises XattrNotFound.

        The kernel has seen to it that only those privileged remove a program's capabilities, and does so
        itself when somebody else changes the program: under that one's name, who may not by our rules.
        """
        if name == CAPABILITIES:
            caller = SUPERUSER
        yield Change("remove_xattr", caller, f"{INODES}{inode_id}", name, False)
        self._shared.forget_parent(inode_id)
