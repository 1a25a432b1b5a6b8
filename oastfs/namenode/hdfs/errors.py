"""Errors as HDFS's clients know them: Java's class name, and HDFS's wording where people see it."""

from __future__ import annotations

import stat as _stat
from typing import Final

from oastfs.core.errors import NoSuchVerb, NotADirectory, NotPermitted, OastError, PermissionDenied
from oastfs.core.path import split
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.permissions import EXECUTE, WRITE, allows
from oastfs.store.transaction import Transaction

FILE_NOT_FOUND: Final = "java.io.FileNotFoundException"
IO: Final = "java.io.IOException"
FILE_ALREADY_EXISTS: Final = "org.apache.hadoop.fs.FileAlreadyExistsException"
PARENT_NOT_DIRECTORY: Final = "org.apache.hadoop.fs.ParentNotDirectoryException"
ACCESS_CONTROL: Final = "org.apache.hadoop.security.AccessControlException"
ILLEGAL_ARGUMENT: Final = "org.apache.hadoop.HadoopIllegalArgumentException"
UNSUPPORTED: Final = "java.lang.UnsupportedOperationException"
_ACTIONS: Final = ("NONE", "EXECUTE", "WRITE", "WRITE_EXECUTE", "READ", "READ_EXECUTE", "READ_WRITE", "ALL")


class HdfsError(OastError):
    """An error that exists for HDFS's clients only, with the Java class that they rebuild it by."""

    def __init__(self, java_class: str, message: str) -> None:
        super().__init__(message)
        self.java_class = java_class

    def __reduce__(self) -> tuple[object, ...]:
        return (HdfsError, (self.java_class, self.message))


def file_not_found(path: str) -> HdfsError:
    """There is no such file."""
    return HdfsError(FILE_NOT_FOUND, f"File does not exist: {path}")


def describe(error: BaseException) -> tuple[str, str]:
    """(Java class, message) of what a call raised."""
    if isinstance(error, NoSuchVerb):
        return error.java_class, error.message
    if isinstance(error, OastError):
        return error.java_class, str(error)
    return IO, "the namenode failed unexpectedly; its log says more"


def parent_not_directory(tx: Transaction, call: Call, path: str) -> HdfsError:
    """A file is in the way of something new."""
    return HdfsError(PARENT_NOT_DIRECTORY, f"{_obstacle(tx, call, path)} (is not a directory)")


def worded(tx: Transaction, call: Call, error: OastError) -> OastError:
    """An error as HDFS words it, which takes names and the path of the inode it is about."""
    if isinstance(error, NotADirectory):
        # HDFS finds it while it checks the right to go through, and says so.
        path = _obstacle(tx, call, error.filename or "/")
        return HdfsError(ACCESS_CONTROL, f"{path} (is not a directory)")
    if isinstance(error, PermissionDenied) and error.denial is not None:
        return _denied(tx, call, *error.denial)
    if isinstance(error, NotPermitted) and error.message.endswith("does not own it"):
        path = error.filename or "/"
        return HdfsError(
            ACCESS_CONTROL,
            f"Permission denied. user={call.context.caller.user} is not the owner of inode={path}",
        )
    if isinstance(error, NotPermitted) and "sticky" in error.message:
        return _denied_by_sticky(tx, call, error)
    return error


def _obstacle(tx: Transaction, call: Call, path: str) -> str:
    """The first component of a path that is no directory."""
    above = ""
    try:
        for name in split(path):
            above += "/" + name
            if not tree.resolve(tx, call.context, above).is_directory:
                break
    except OastError:
        pass  # it was another name for something
    return above or path


def _denied_by_sticky(tx: Transaction, call: Call, error: OastError) -> OastError:
    path = error.filename or "/"
    above = path.rpartition("/")[0] or "/"
    try:
        nodes = [tree.resolve(tx, call.context, one, False) for one in (path, above)]
    except OastError:
        return error
    entry, parent = (_described(tx, call, node) for node in nodes)
    return HdfsError(
        ACCESS_CONTROL,
        f"Permission denied by sticky bit: user={call.context.caller.user}, "
        f'path="{path}":{entry}, parent="{above}":{parent}',
    )


def _described(tx: Transaction, call: Call, node: tree.Node) -> str:
    """OWNER:GROUP:MODE, as HDFS's messages have it."""
    inode = node.inode
    mode = _stat.filemode(inode.mode)
    if not node.is_directory:
        mode = "-" + mode[1:]
    return f"{call.names.user(tx, inode.uid)}:{call.names.group(tx, inode.gid)}:{mode}"


def _denied(tx: Transaction, call: Call, inode_id: int, mask: int) -> HdfsError:
    node = tree.resolve_id(tx, inode_id)
    inode = node.inode
    if mask == WRITE | EXECUTE:
        # HDFS asks for the right to go through before the right to change.
        mask = WRITE if allows(call.context.caller, inode, EXECUTE) else EXECUTE
    return denied(tx, call, node, mask)


def denied(tx: Transaction, call: Call, node: tree.Node, mask: int) -> HdfsError:
    """The caller lacks a permission."""
    path = tree.path_of(tx, node.inode.id)
    return HdfsError(
        ACCESS_CONTROL,
        f"Permission denied: user={call.context.caller.user}, access={_ACTIONS[mask]}, "
        f'inode="{path}":{_described(tx, call, node)}',
    )
