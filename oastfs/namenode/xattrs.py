"""Who may see and set which extended attributes (xattr(7), HDFS Extended Attributes)."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import InvalidArgument, NameTooLong, NotPermitted, Unsupported
from oastfs.core.limits import XATTR_NAME_BYTES_MAX
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import READ, WRITE, allows, require, require_owner
from oastfs.namenode.tree import Node

_NAMESPACES = ("user.", "trusted.", "security.", "system.", "raw.")


def check_name(name: str, path: str) -> None:
    """Raise unless it is a name in a known namespace."""
    if not name.startswith(_NAMESPACES):
        raise Unsupported(f"extended attribute {name!r} is in no known namespace", path=path)
    if name in _NAMESPACES or "\0" in name:
        raise InvalidArgument("an extended attribute needs a name", path=path)
    if len(name.encode("utf-8", "replace")) > XATTR_NAME_BYTES_MAX:
        raise NameTooLong(f"an attribute's name has {XATTR_NAME_BYTES_MAX} bytes at most", path=path)


def require_read(context: Context, node: Node, name: str, path: str) -> None:
    """Raise unless the caller may read the attribute."""
    check_name(name, path)
    if name.startswith("user."):
        require(context, node.inode, READ, path)
    elif name.startswith(("trusted.", "raw.")) and not context.superuser:
        raise NotPermitted("trusted attributes are for the superuser", path=path)


def require_write(context: Context, node: Node, name: str, path: str) -> None:
    """Raise unless the caller may set or remove the attribute."""
    check_name(name, path)
    if name.startswith("user."):
        if not node.is_file and not node.is_directory:
            raise NotPermitted("only files and directories have user attributes", path=path)
        if node.is_directory and node.inode.mode & _stat.S_ISVTX:
            require_owner(context, node.inode, path)
        require(context, node.inode, WRITE, path)
    elif not context.superuser:
        if name.startswith("system."):
            require_owner(context, node.inode, path)
        else:
            raise NotPermitted("this attribute is for the superuser", path=path)


def is_visible(context: Context, node: Node, name: str) -> bool:
    """Whether a listing shows the attribute to the caller."""
    if context.superuser:
        return True
    if name.startswith(("trusted.", "raw.")):
        return False
    return not name.startswith("user.") or allows(context.caller, node.inode, READ)
