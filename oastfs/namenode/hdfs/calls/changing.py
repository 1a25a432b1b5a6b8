"""Files that are there already: taken up at their end, or cut."""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import NoDatanodes, NotFound
from oastfs.core.types import Flag, LocatedBlock
from oastfs.namenode import blocks, leases, quotas, tree
from oastfs.namenode.blocks.locate import live_replicas, locations
from oastfs.namenode.hdfs import located, status
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.calls.creating import refuse_second_writer
from oastfs.namenode.hdfs.calls.writing import too_few
from oastfs.namenode.hdfs.errors import FILE_ALREADY_EXISTS, FILE_NOT_FOUND, IO, HdfsError, file_not_found
from oastfs.namenode.hdfs.methods import write
from oastfs.namenode.ops.truncate import truncate
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.tree import Node
from oastfs.store.schema import BLOCK, Inode
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb

_NEW_BLOCK: Final = 0x20


@write("append", pb.AppendRequest, at_most_once=True)
def append(tx: Transaction, call: Call, request: pb.AppendRequest) -> pb.AppendResponse:
    """Take up a file at its end: its last block, if that has room, and the file's status."""
    context, path = call.context, request.src
    node = _file_to_change(tx, call, path, "append")
    require(context, node.inode, WRITE, path)
    refuse_second_writer(tx, call, node.inode, request.clientName, path, "APPEND_FILE")
    inode = leases.acquire(tx, context, node.inode, request.clientName, exclusive=True, path=path)
    try:
        if inode.length > min(context.info.inline_limit, inode.block_size or context.info.block_size):
            # No one block can stand for what is inline: ``truncate`` has extended it.
            inode = blocks.spill(tx, context, inode)
        last: LocatedBlock | None = None
        if inode.length and not inode.flags & Flag.BLOCKS:
            last = blocks.begin_append(tx, context, inode, request.clientName, call.client_host, path)
        elif not request.flag & _NEW_BLOCK:
            last = _last_with_room(tx, call, inode)
    except NoDatanodes as error:
        raise HdfsError(IO, too_few(call, path, [], error)) from None
    node = tree.save(tx, node, inode)
    answer = pb.AppendResponse(stat=status.of_node(tx, call, node))
    if last is not None:
        answer.block.CopyFrom(located.encode_block(call, last))
        # A pipeline of fewer datanodes than the file wants would make Java ask for more of them.
        answer.stat.block_replication = len(last.locations)
    return answer


def _last_with_room(tx: Transaction, call: Call, inode: Inode) -> LocatedBlock | None:
    """The block that the file ends in, if it is not full; not in a hole, nor inline content."""
    if not inode.flags & Flag.BLOCKS or not inode.length:
        return None
    last = next(iter(blocks.locate(tx, call.context, inode, inode.length - 1, 1)), None)
    limit = inode.block_size or call.context.info.block_size
    if last is None or last.length >= limit:
        return None
    quotas.require_room(tx, inode, limit - last.length)
    row = tx.get(BLOCK, (inode.id, last.offset))
    if row is None or blocks.is_only_here(tx, call.context, row):
        return None
    live = locations(live_replicas(tx, call.context, row))
    return LocatedBlock(last.block_id, last.generation_stamp, last.offset, last.length, live)


def _file_to_change(tx: Transaction, call: Call, path: str, what: str) -> Node:
    try:
        node = tree.resolve(tx, call.context, path)
    except NotFound:
        if what == "append":
            raise HdfsError(
                FILE_NOT_FOUND, f"Failed to append to non-existent file {path} for client {call.client_host}"
            ) from None
        raise file_not_found(path) from None
    if node.is_file:
        return node
    if what != "append":
        require(call.context, node.inode, WRITE, path)
    else:
        problem = f"Cannot append to directory {path}; already exists as a directory."
        raise HdfsError(FILE_ALREADY_EXISTS, problem)
    raise HdfsError(FILE_NOT_FOUND, f"Path is not a file: {path}")


@write("truncate", pb.TruncateRequest)
def truncate_file(tx: Transaction, call: Call, request: pb.TruncateRequest) -> pb.TruncateResponse:
    """Cut a file, at once: no recovery of its last block has to be waited for."""
    path = request.src
    node = _file_to_change(tx, call, path, "truncate")
    require(call.context, node.inode, WRITE, path)
    refuse_second_writer(tx, call, node.inode, request.clientName, path, "TRUNCATE_FILE")
    if request.newLength > node.inode.length:
        raise HdfsError(
            "org.apache.hadoop.HadoopIllegalArgumentException",
            "Cannot truncate to a larger file size. Current size: "
            f"{node.inode.length}, truncate size: {request.newLength}.",
        )
    truncate(tx, call.context, path, request.newLength)
    return pb.TruncateResponse(result=True)
