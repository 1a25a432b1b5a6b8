"""Directories and names: mkdirs, rename, delete, concat, symbolic links."""

from __future__ import annotations

from oastfs.core.errors import (
    AlreadyExists,
    InvalidArgument,
    NameTooLong,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    OastError,
    PermissionDenied,
    StoreError,
)
from oastfs.core.path import join
from oastfs.core.types import RenameMode
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.checks import authorize, check_new
from oastfs.namenode.hdfs.encoding import FALSE, TRUE
from oastfs.namenode.hdfs.errors import (
    FILE_ALREADY_EXISTS,
    FILE_NOT_FOUND,
    ILLEGAL_ARGUMENT,
    IO,
    HdfsError,
    file_not_found,
    parent_not_directory,
)
from oastfs.namenode.hdfs.located import exclusive_writer
from oastfs.namenode.hdfs.methods import write
from oastfs.namenode.hdfs.status import PERMISSION_MASK, unmasked_mode
from oastfs.namenode.ops.concat import concat as concat_op
from oastfs.namenode.ops.delete import delete as delete_op
from oastfs.namenode.ops.delete import require_tree
from oastfs.namenode.ops.mkdirs import make_directory
from oastfs.namenode.ops.rename import rename_entry
from oastfs.namenode.ops.symlink import symlink
from oastfs.namenode.permissions import READ, WRITE, require
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb


@write("mkdirs", pb.MkdirsRequest)
def mkdirs(tx: Transaction, call: Call, request: pb.MkdirsRequest) -> bytes:
    """A directory, and with ``createParent`` those above it. One that is there already is fine."""
    path = request.src
    mode = request.masked.perm & PERMISSION_MASK
    check_new("mkdirs", path)
    try:
        make_directory(tx, call.context, path, mode, request.createParent, True, unmasked_mode(request))
    except AlreadyExists:
        raise HdfsError(FILE_ALREADY_EXISTS, f"Path is not a directory: {path}") from None
    except NotFound:
        above = path.rpartition("/")[0] or "/"
        authorize(tx, call, path, ancestor=WRITE)
        raise HdfsError(FILE_NOT_FOUND, f"Parent directory doesn't exist: {above}") from None
    except NotADirectory:
        raise parent_not_directory(tx, call, path) from None
    return TRUE


@write("rename", pb.RenameRequest, at_most_once=True)
def rename(tx: Transaction, call: Call, request: pb.RenameRequest) -> bytes:
    """HDFS's first rename: into a directory that is the target, and false for whatever is not possible."""
    source, target = request.src, request.dst
    if _is_moved(tx, call, source, target):
        return TRUE
    node = _source(tx, call, source)
    if node is not None:
        check_new("rename", target)
    there = _target(tx, call, target)
    if there is not None and there.is_directory and source != "/":
        target = join(target, source.rpartition("/")[2])
    try:
        done = node is not None and _rename(tx, call, source, target)
    except (NotPermitted, PermissionDenied):
        _authorize_rename(tx, call, source, target)
        raise
    if not done or source == target:
        _authorize_rename(tx, call, source, target)
    return TRUE if done else FALSE


def _is_moved(tx: Transaction, call: Call, source: str, target: str) -> bool:
    """Carry out what is mostly wanted: something goes to where nothing is. False if it is anything else, and
    nothing was changed: then it is for those who call this to find out what HDFS does or says about it.
    """
    if _is_below(target, source):
        return False
    try:
        check_new("rename", target)
        rename_entry(tx, call.context, source, target, RenameMode.HDFS_OVERWRITE, "", replacing=0)
    except StoreError:
        raise
    except OastError:
        return False
    return True


def _rename(tx: Transaction, call: Call, source: str, target: str) -> bool:
    if source == target:
        return True
    try:
        if source == "/" or _is_below(target, source) or _target(tx, call, target) is not None:
            return False
        rename_entry(tx, call.context, source, target, RenameMode.HDFS, "")
    except (AlreadyExists, InvalidArgument, NotFound):
        return False
    return True


def _authorize_rename(tx: Transaction, call: Call, source: str, target: str) -> None:
    authorize(tx, call, source, parent=WRITE)
    authorize(tx, call, target, ancestor=WRITE)


def _source(tx: Transaction, call: Call, path: str) -> tree.Node | None:
    """What a rename is to move."""
    try:
        return tree.find(tx, call.context, path, False)
    except NotFound:
        return None


def _target(tx: Transaction, call: Call, path: str) -> tree.Node | None:
    """What is at the target of a rename."""
    try:
        return tree.find(tx, call.context, path)
    except (NameTooLong, NotFound):
        return None
    except NotADirectory:
        raise parent_not_directory(tx, call, path) from None


@write("rename2", pb.Rename2Request, at_most_once=True)
def rename2(tx: Transaction, call: Call, request: pb.Rename2Request) -> bytes:
    """HDFS's second rename: never into a directory, replaces on demand, and says why it is not possible."""
    source, target = request.src, request.dst
    if _is_moved(tx, call, source, target):
        return b""
    node = _source(tx, call, source)
    if node is not None:
        check_new("rename", target)
    there = _target(tx, call, target)
    try:
        if node is None:
            raise HdfsError(FILE_NOT_FOUND, f"rename source {source} is not found.")
        _check_rename2(source, node, target, there, request.overwriteDest)
        if there is None and _target(tx, call, target.rpartition("/")[0] or "/") is None:
            raise HdfsError(FILE_NOT_FOUND, f"rename destination parent {target} not found.")
        rename_entry(tx, call.context, source, target, RenameMode.HDFS_OVERWRITE, "")
    except OastError as error:
        _authorize_rename(tx, call, source, target)
        if isinstance(error, NotEmpty):
            raise HdfsError(IO, f"rename destination directory is not empty: {target}") from None
        raise
    return b""


def _check_rename2(
    source: str, node: tree.Node, target: str, there: tree.Node | None, overwrite: bool
) -> None:
    """Raise what keeps a rename from being possible, in HDFS's order."""
    if source == "/":
        raise HdfsError(IO, "rename source cannot be the root")
    if source == target:
        raise HdfsError(FILE_ALREADY_EXISTS, f"The source {source} and destination {target} are the same")
    if _is_below(target, source):
        raise HdfsError(IO, f"Rename destination {target} is a directory or file under source {source}")
    if target == "/":
        raise HdfsError(IO, "rename destination cannot be the root")
    if there is not None:
        if there.is_directory != node.is_directory:
            raise HdfsError(IO, f"Source {source} and destination {target} must both be directories")
        if not overwrite:
            raise HdfsError(FILE_ALREADY_EXISTS, f"rename destination {target} already exists")


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


@write("delete", pb.DeleteRequest, at_most_once=True)
def delete(tx: Transaction, call: Call, request: pb.DeleteRequest) -> bytes:
    """A file or a tree; false where there is nothing, or for the root."""
    path = request.src
    if path == "/":
        return FALSE
    try:
        delete_op(tx, call.context, path, request.recursive)
    except (NameTooLong, NotFound):
        authorize(tx, call, path, parent=WRITE)
        return FALSE
    except (NotPermitted, PermissionDenied):
        authorize(tx, call, path, parent=WRITE)
        raise
    except NotEmpty:
        authorize(tx, call, path, parent=WRITE)
        if not call.context.superuser:
            require_tree(tx, call.context, tree.resolve(tx, call.context, path, False).inode, path)
        raise HdfsError(
            "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
            f"`{path} is non empty': Directory is not empty",
        ) from None
    return TRUE


@write("concat", pb.ConcatRequest, at_most_once=True)
def concat(tx: Transaction, call: Call, request: pb.ConcatRequest) -> pb.ConcatResponse:
    """Move the content of files to the end of another; they are gone then."""
    _check_concat(tx, call, request.trg, list(request.srcs))
    concat_op(tx, call.context, request.trg, list(request.srcs))
    return pb.ConcatResponse()


def _check_concat(tx: Transaction, call: Call, target: str, sources: list[str]) -> None:
    """Raise what HDFS, unlike the operation, refuses: empty files and those of other directories."""
    above = target.rpartition("/")[0]
    joined = _file_to_join(tx, call, target, WRITE)
    if exclusive_writer(tx, joined.inode) is not None:
        raise HdfsError(ILLEGAL_ARGUMENT, f"concat: target file {target} is under construction")
    block_size = _block_size(call, joined)
    seen: set[int] = set()
    for source in sources:
        node = _file_to_join(tx, call, source, READ)
        if source.rpartition("/")[0] != above:
            problem = f"Source file {source} is not in the same directory with the target {target}"
        elif source == target:
            problem = f"concat: the src file {source} is the same with the target file {target}"
        elif not node.inode.length or exclusive_writer(tx, node.inode) is not None:
            problem = f"concat: source file {source} is invalid or empty or underConstruction"
        elif _block_size(call, node) > block_size:
            problem = (
                f"concat: source file {source} has preferred block size {_block_size(call, node)} which is "
                f"greater than the target file's preferred block size {block_size}"
            )
        else:
            seen.add(node.inode.id)
            continue
        raise HdfsError(ILLEGAL_ARGUMENT, problem)
    if len(seen) < len(sources):
        raise HdfsError(ILLEGAL_ARGUMENT, "concat: at least two of the source files are the same")


def _block_size(call: Call, node: tree.Node) -> int:
    return node.inode.block_size or call.context.info.block_size


def _file_to_join(tx: Transaction, call: Call, path: str, mask: int) -> tree.Node:
    try:
        node = tree.resolve(tx, call.context, path)
    except NotFound:
        node = None
    if node is not None:
        require(call.context, node.inode, mask, path)
    if mask == READ:
        authorize(tx, call, path, parent=WRITE)  # it will be gone
    if node is None:
        raise file_not_found(path)
    if not node.is_file:
        raise HdfsError(FILE_NOT_FOUND, f"Path is not a file: {path}")
    return node


@write("createSymlink", pb.CreateSymlinkRequest, at_most_once=True)
def create_symlink(tx: Transaction, call: Call, request: pb.CreateSymlinkRequest) -> pb.CreateSymlinkResponse:
    """A symbolic link. Links are followed by the namenode: clients need not know of them."""
    try:
        symlink(tx, call.context, request.link, request.target, request.createParent)
    except AlreadyExists:
        raise HdfsError(FILE_ALREADY_EXISTS, f"failed to create link {request.link}: it exists") from None
    return pb.CreateSymlinkResponse()
