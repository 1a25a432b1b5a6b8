"""Directories and names: mkdirs, rename, delete, concat, symbolic links."""

from __future__ import annotations

from oastfs.core.errors import (
    AlreadyExists,
    InvalidArgument,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
)
from oastfs.core.path import split
from oastfs.core.types import RenameMode
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.errors import (
    FILE_ALREADY_EXISTS,
    FILE_NOT_FOUND,
    IO,
    PARENT_NOT_DIRECTORY,
    HdfsError,
)
from oastfs.namenode.hdfs.methods import write
from oastfs.namenode.hdfs.status import PERMISSION_MASK
from oastfs.namenode.ops.concat import concat as concat_op
from oastfs.namenode.ops.delete import delete as delete_op
from oastfs.namenode.ops.mkdirs import mkdirs as mkdirs_op
from oastfs.namenode.ops.rename import rename as rename_op
from oastfs.namenode.ops.symlink import symlink
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb


@write("mkdirs", pb.MkdirsRequest)
def mkdirs(tx: Transaction, call: Call, request: pb.MkdirsRequest) -> pb.MkdirsResponse:
    """A directory, and with ``createParent`` those above it. One that is there already is fine."""
    path = request.src
    mode = request.masked.perm & PERMISSION_MASK
    try:
        mkdirs_op(tx, call.context, path, mode, request.createParent, True)
    except AlreadyExists:
        raise HdfsError(FILE_ALREADY_EXISTS, f"Path is not a directory: {path}") from None
    except NotFound:
        above = path.rpartition("/")[0] or "/"
        raise HdfsError(FILE_NOT_FOUND, f"Parent directory doesn't exist: {above}") from None
    return pb.MkdirsResponse(result=True)


@write("rename", pb.RenameRequest, at_most_once=True)
def rename(tx: Transaction, call: Call, request: pb.RenameRequest) -> pb.RenameResponse:
    """HDFS's first rename: into a directory that is the target, and false for whatever is not possible."""
    source, target = request.src, request.dst
    _check_names(source, target)
    try:
        if source == target:
            tree.resolve(tx, call.context, source, False)
        elif source == "/" or _is_below(target, source):
            return pb.RenameResponse(result=False)
        else:
            rename_op(tx, call.context, source, target, RenameMode.HDFS, "")
    except (AlreadyExists, InvalidArgument, NotADirectory, NotFound):
        return pb.RenameResponse(result=False)
    return pb.RenameResponse(result=True)


@write("rename2", pb.Rename2Request, at_most_once=True)
def rename2(tx: Transaction, call: Call, request: pb.Rename2Request) -> pb.Rename2Response:
    """HDFS's second rename: never into a directory, replaces on demand, and says why it is not possible."""
    source, target = request.src, request.dst
    _check_names(source, target)
    if source == target:
        raise HdfsError(FILE_ALREADY_EXISTS, f"The source {source} and destination {target} are the same")
    if _is_below(target, source):
        raise HdfsError(IO, f"Rename destination {target} is a directory or file under source {source}")
    mode = RenameMode.HDFS_OVERWRITE if request.overwriteDest else RenameMode.NO_REPLACE
    _check_rename2(tx, call, source, target)
    try:
        rename_op(tx, call.context, source, target, mode, "")
    except AlreadyExists:
        raise HdfsError(FILE_ALREADY_EXISTS, f"rename destination {target} already exists") from None
    except (IsADirectory, NotADirectory):
        raise HdfsError(IO, f"Source {source} and destination {target} must both be directories") from None
    except NotEmpty:
        raise HdfsError(IO, f"rename destination directory is not empty: {target}") from None
    return pb.Rename2Response()


def _check_rename2(tx: Transaction, call: Call, source: str, target: str) -> None:
    if source == "/":
        raise HdfsError(IO, "rename source cannot be the root")
    if target == "/":
        raise HdfsError(IO, "rename destination cannot be the root")
    try:
        tree.resolve(tx, call.context, source, False)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"rename source {source} is not found.") from None
    above = target.rpartition("/")[0] or "/"
    try:
        parent = tree.resolve(tx, call.context, above)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"rename destination parent {target} not found.") from None
    if not parent.is_directory:
        raise HdfsError(PARENT_NOT_DIRECTORY, f"rename destination parent {target} is a file.")


def _check_names(*paths: str) -> None:
    for path in paths:
        split(path)


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


@write("delete", pb.DeleteRequest, at_most_once=True)
def delete(tx: Transaction, call: Call, request: pb.DeleteRequest) -> pb.DeleteResponse:
    """A file or a tree; false where there is nothing, or for the root."""
    path = request.src
    if path == "/":
        return pb.DeleteResponse(result=False)
    try:
        delete_op(tx, call.context, path, request.recursive)
    except NotFound:
        return pb.DeleteResponse(result=False)
    except NotEmpty:
        raise HdfsError(
            "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
            f"{path} is non empty",
        ) from None
    return pb.DeleteResponse(result=True)


@write("concat", pb.ConcatRequest, at_most_once=True)
def concat(tx: Transaction, call: Call, request: pb.ConcatRequest) -> pb.ConcatResponse:
    """Move the content of files to the end of another; they are gone then."""
    concat_op(tx, call.context, request.trg, list(request.srcs))
    return pb.ConcatResponse()


@write("createSymlink", pb.CreateSymlinkRequest, at_most_once=True)
def create_symlink(tx: Transaction, call: Call, request: pb.CreateSymlinkRequest) -> pb.CreateSymlinkResponse:
    """A symbolic link. Links are followed by the namenode: clients need not know of them."""
    try:
        symlink(tx, call.context, request.link, request.target, request.createParent)
    except AlreadyExists:
        raise HdfsError(FILE_ALREADY_EXISTS, f"failed to create link {request.link}: it exists") from None
    return pb.CreateSymlinkResponse()
