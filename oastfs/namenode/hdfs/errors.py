"""Errors as HDFS's clients know them: Java's class name, and HDFS's wording where people see it."""

from __future__ import annotations

import stat as _stat
from typing import Final

from oastfs.core.errors import NoSuchVerb, NotPermitted, OastError, PermissionDenied
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


def worded(tx: Transaction, call: Call, error: OastError) -> OastError:
    """A denial of permission as HDFS words it, which takes names and the path of the inode it is about."""
    if isinstance(error, PermissionDenied) and error.denial is not None:
        return _denied(tx, call, *error.denial)
    if isinstance(error, NotPermitted) and error.message.endswith("does not own it"):
        path = error.filename or "/"
        return HdfsError(
            ACCESS_CONTROL,
            f"Permission denied. user={call.context.caller.user} is not the owner of inode={path}",
        )
    return error


def _denied(tx: Transaction, call: Call, inode_id: int, mask: int) -> HdfsError:
    node = tree.resolve_id(tx, inode_id)
    inode = node.inode
    if mask == WRITE | EXECUTE:
        # HDFS asks for the right to go through before the right to change.
        mask = WRITE if allows(call.context.caller, inode, EXECUTE) else EXECUTE
    path = tree.path_of(tx, inode_id)
    owner, group = call.names.user(tx, inode.uid), call.names.group(tx, inode.gid)
    mode = _stat.filemode(inode.mode)
    if not node.is_directory:
        mode = "-" + mode[1:]
    return HdfsError(
        ACCESS_CONTROL,
        f"Permission denied: user={call.context.caller.user}, access={_ACTIONS[mask]}, "
        f'inode="{path}":{owner}:{group}:{mode}',
    )
