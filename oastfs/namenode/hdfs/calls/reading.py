"""Statuses, listings, and the blocks of files."""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import IsADirectory, NameTooLong, NotADirectory, NotFound, OastError
from oastfs.core.path import split
from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.hdfs import located, small_files, status
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.encoding import delimited
from oastfs.namenode.hdfs.errors import (
    FILE_NOT_FOUND,
    HdfsError,
    denied,
    describe,
    file_not_found,
    worded,
)
from oastfs.namenode.hdfs.methods import read
from oastfs.namenode.hdfs.pages import ENTRY, Page, page, shown
from oastfs.namenode.ops.listdir import listdir
from oastfs.namenode.permissions import EXECUTE, READ, WRITE, allows, require
from oastfs.namenode.tree import Node
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_FIRST: Final = b"\x0a"
"""The tag of a message's first field, of bytes or a message."""
LIST_LIMIT: Final = 1000
"""Entries of one listing (dfs.ls.limit)."""


@read("getFileInfo", pb.GetFileInfoRequest)
def get_file_info(tx: Transaction, call: Call, request: pb.GetFileInfoRequest) -> bytes:
    """The status of a path, links followed; an empty answer where there is nothing."""
    node = _if_there(tx, call, request.src)
    if node is None:
        return b""
    return delimited(_FIRST, status.encode_bytes(tx, call, tree.status_of(tx, call.context, node)))


@read("getFileLinkInfo", pb.GetFileLinkInfoRequest)
def get_file_link_info(
    tx: Transaction, call: Call, request: pb.GetFileLinkInfoRequest
) -> pb.GetFileLinkInfoResponse | bytes:
    """The status of a path, of the link itself if it is one."""
    node = _if_there(tx, call, request.src, False)
    if node is None:
        return b""
    return pb.GetFileLinkInfoResponse(fs=status.of_node(tx, call, node))


@read("getLocatedFileInfo", pb.GetLocatedFileInfoRequest)
def get_located_file_info(
    tx: Transaction, call: Call, request: pb.GetLocatedFileInfoRequest
) -> pb.GetLocatedFileInfoResponse | bytes:
    """Status and blocks in one answer."""
    node = _if_there(tx, call, request.src)
    if node is None:
        return b""
    encoded = status.of_node(tx, call, node)
    if node.is_file:
        require(call.context, node.inode, READ, request.src)
        encoded.locations.CopyFrom(located.located_blocks(tx, call, node, 0, node.inode.length or 1))
    return pb.GetLocatedFileInfoResponse(fs=encoded)


@read("getBlockLocations", pb.GetBlockLocationsRequest)
def get_block_locations(
    tx: Transaction, call: Call, request: pb.GetBlockLocationsRequest
) -> pb.GetBlockLocationsResponse | bytes:
    """The blocks of a byte range."""
    if (hints := call.context.environment.hints) is not None:
        hints.expect(tx, request.src, blocks=True)
    try:
        node = located.resolve_for_reading(tx, call, request.src)
    except NotFound:
        raise file_not_found(request.src) from None
    except IsADirectory:
        raise HdfsError(FILE_NOT_FOUND, f"Path is not a file: {request.src}") from None
    require(call.context, node.inode, READ, request.src)
    small = small_files.answer(tx, call, node.inode, request.offset) if request.length else None
    if small is not None:
        return small
    found = located.located_blocks(tx, call, node, request.offset, request.length)
    return pb.GetBlockLocationsResponse(locations=found)


@read("getListing", pb.GetListingRequest)
def get_listing(tx: Transaction, call: Call, request: pb.GetListingRequest) -> bytes:
    """A page of a directory, or the one entry of a file; an empty answer where there is nothing."""
    try:
        found = _page(tx, call, request.src, request.startAfter, request.needLocation, LIST_LIMIT)
    except (NameTooLong, NotFound):
        return b""
    return delimited(_FIRST, _listing(found))


def _listing(found: Page) -> bytes:
    """An encoded DirectoryListing."""
    return found.entries + (b"\x10\x01" if found.more else b"\x10\x00")


def _page(
    tx: Transaction, call: Call, path: str, start_after: bytes, need_location: bool, limit: int
) -> Page:
    context = call.context
    if (hints := context.environment.hints) is not None:
        hints.expect(tx, path, entries=True)
    node = tree.resolve(tx, context, path)
    if node.is_directory:
        require(context, node.inode, READ | EXECUTE, path)
    elif start_after:
        return Page(b"", 0, False)
    after = start_after.decode(errors="replace")
    if node.is_directory and not need_location:
        return page(tx, call, node, path, after, limit)
    listed = listdir(tx, context, path, after, limit)
    encoded = [_one(tx, call, path, entry, node.is_directory, need_location) for entry in listed.entries]
    return Page(b"".join(delimited(ENTRY, one) for one in encoded), len(encoded), listed.more)


def _one(tx: Transaction, call: Call, path: str, entry: FileStatus, named: bool, located_too: bool) -> bytes:
    if entry.is_symlink and named:
        link = Node(entry.parent_id, entry.name, tree.resolve_id(tx, entry.inode_id).inode)
        entry = tree.status_of(tx, call.context, shown(tx, call, path, link))
    encoded = status.encode_bytes(tx, call, entry, entry.name if named else "")
    if not entry.is_file or not located_too:
        return encoded
    file = tree.Node(entry.parent_id, entry.name, tree.resolve_id(tx, entry.inode_id).inode)
    blocks = located.located_blocks(tx, call, file, 0, entry.length or 1)
    return encoded + delimited(b"\x62", blocks.SerializeToString())


@read("getBatchedListing", pb.GetBatchedListingRequest, long=True)
def get_batched_listing(
    tx: Transaction, call: Call, request: pb.GetBatchedListingRequest
) -> pb.GetBatchedListingResponse:
    """Listings of several directories, in their order, cut where the limit is reached.

    ``startAfter`` carries on: an encoded (path, name) of the last entry that was given.
    """
    answer = pb.GetBatchedListingResponse(hasMore=False, startAfter=b"")
    first, after = _batch_position(request)
    room = LIST_LIMIT
    for index in range(first, len(request.paths)):
        path = request.paths[index]
        one = answer.listings.add(parentIdx=index)
        try:
            found = _page(tx, call, path, after, request.needLocation, room)
        except OSError as error:
            _note_failure(tx, call, one, path, error)
            after = b""
            continue
        one.partialListing.extend(types.DirectoryListing.FromString(_listing(found)).partialListing)
        room -= found.entry_count
        if found.more or (room <= 0 and index + 1 < len(request.paths)):
            name = one.partialListing[-1].path if found.more else b""
            at = index if found.more else index + 1
            answer.hasMore = True
            answer.startAfter = b"%d/%s" % (at, name)
            return answer
        after = b""
    return answer


def _batch_position(request: pb.GetBatchedListingRequest) -> tuple[int, bytes]:
    index, separator, name = request.startAfter.partition(b"/")
    if not separator or not index.isdigit():
        return 0, b""
    return int(index), name


def _note_failure(
    tx: Transaction, call: Call, one: types.BatchedDirectoryListing, path: str, error: OSError
) -> None:
    if isinstance(error, NotFound):
        error = HdfsError(FILE_NOT_FOUND, f"Path {path} does not exist")
    elif isinstance(error, OastError):
        error = worded(tx, call, error)
    one.exception.className, one.exception.message = describe(error)


@read("getPreferredBlockSize", pb.GetPreferredBlockSizeRequest)
def get_preferred_block_size(
    tx: Transaction, call: Call, request: pb.GetPreferredBlockSizeRequest
) -> pb.GetPreferredBlockSizeResponse:
    """The block size of a file."""
    node = _existing_file(tx, call, request.filename)
    size = node.inode.block_size or call.context.info.block_size
    return pb.GetPreferredBlockSizeResponse(bsize=size)


@read("isFileClosed", pb.IsFileClosedRequest)
def is_file_closed(tx: Transaction, call: Call, request: pb.IsFileClosedRequest) -> pb.IsFileClosedResponse:
    """Whether no writer has the file for itself."""
    node = _existing_file(tx, call, request.src)
    return pb.IsFileClosedResponse(result=located.exclusive_writer(tx, node.inode) is None)


@read("getLinkTarget", pb.GetLinkTargetRequest)
def get_link_target(
    tx: Transaction, call: Call, request: pb.GetLinkTargetRequest
) -> pb.GetLinkTargetResponse:
    """What a symbolic link says."""
    try:
        node = tree.resolve(tx, call.context, request.path, False)
    except NotFound:
        raise file_not_found(request.path) from None
    if not node.is_symlink:
        raise HdfsError("java.io.IOException", f"Path {request.path} is not a symbolic link")
    return pb.GetLinkTargetResponse(targetPath=tree.link_target(tx, node.inode))


@read("checkAccess", pb.CheckAccessRequest)
def check_access(tx: Transaction, call: Call, request: pb.CheckAccessRequest) -> pb.CheckAccessResponse:
    """access(2) for HDFS: the mode is an FsAction, whose bits are those of permissions."""
    try:
        node = tree.resolve(tx, call.context, request.path)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, "Path not found") from None
    mask = request.mode & (READ | WRITE | EXECUTE)
    if not call.context.superuser and not allows(call.context.caller, node.inode, mask):
        raise denied(tx, call, node, mask)
    return pb.CheckAccessResponse()


@read("getEnclosingRoot", pb.GetEnclosingRootRequest)
def get_enclosing_root(
    tx: Transaction, call: Call, request: pb.GetEnclosingRootRequest
) -> pb.GetEnclosingRootResponse:
    """The directory within which a rename is possible: there are no encryption zones, so the root."""
    split(request.filename)
    return pb.GetEnclosingRootResponse(enclosingRootPath="/")


def _if_there(tx: Transaction, call: Call, path: str, follow: bool = True) -> tree.Node | None:
    try:
        return tree.find(tx, call.context, path, follow)
    except (NameTooLong, NotFound):
        return None
    except NotADirectory:
        # Odd, but so does HDFS: only superusers are told that there is nothing below a file.
        if call.context.superuser:
            return None
        raise


def _existing_file(tx: Transaction, call: Call, path: str) -> tree.Node:
    try:
        return located.resolve_for_reading(tx, call, path)
    except NotFound:
        raise file_not_found(path) from None
    except IsADirectory:
        raise HdfsError(FILE_NOT_FOUND, f"Path is not a file: {path}") from None
