"""Files being written: blocks, pipelines, leases, closing.

HDFS's clients name neither storages nor offsets: a block's storages are those that it was given
(``Block.targets``, replaced by updatePipeline), and each block follows the one before.
"""

from __future__ import annotations

import stat as _stat
from collections.abc import Iterable
from typing import Final

from oastfs.core.errors import (
    IsADirectory,
    NoDatanodes,
    NotFound,
    StaleBlock,
    StaleHandle,
)
from oastfs.core.types import BlockCommit, Flag
from oastfs.namenode import blocks, leases, placement, storage_policies, tree
from oastfs.namenode.hdfs import located
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.encoding import FALSE, TRUE
from oastfs.namenode.hdfs.errors import (
    FILE_NOT_FOUND,
    IO,
    HdfsError,
    file_not_found,
)
from oastfs.namenode.hdfs.methods import write
from oastfs.namenode.ops.abandon_block import abandon_block
from oastfs.namenode.ops.recover_lease import recover_lease
from oastfs.namenode.ops.renew_lease import renew_lease
from oastfs.namenode.ops.report_bad_blocks import report_bad_blocks
from oastfs.namenode.permissions import WRITE, allows
from oastfs.namenode.tree import Node
from oastfs.store.schema import BLOCK, BLOCK_OWNER, REPLICA, STORAGE_NAME, Block, Inode
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_LOOPBACK: Final = "127.0.0.1"
_LEASE_EXPIRED: Final = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException"
_NOT_REPLICATED_YET: Final = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException"


# --- blocks -----------------------------------------------------------------------------------------


@write("addBlock", pb.AddBlockRequest)
def add_block(tx: Transaction, call: Call, request: pb.AddBlockRequest) -> pb.AddBlockResponse:
    """Commit the block before, and give out the next one."""
    context, path, holder = call.context, request.src, request.clientName
    node = _open_file(tx, call, path, request.fileId, holder)
    inode = node.inode
    if request.HasField("previous"):
        _take_back_stamps(tx, inode, holder, request.previous)
        previous = request.previous
        if blocks.is_doubtful(tx, context, inode, previous.blockId, previous.numBytes):
            raise HdfsError(_NOT_REPLICATED_YET, f"Not replicated yet: {path}")
        expelled = blocks.expel(tx, context, inode, holder, previous.blockId, previous.numBytes)
        inode = expelled or _commit(tx, call, inode, holder, previous, path)
        inode = _reach(inode, _end_of_blocks(tx, inode), context.now_ns)
        tree.save(tx, node, inode)
    exclude = _datanode_ids(tx, call, (node.id for node in request.excludeNodes))
    try:
        block = blocks.allocate(
            tx,
            context,
            inode,
            holder,
            inode.length,
            exclude,
            call.client_host,
            path,
            knows_only_blocks=not inode.length,
            favored=_favored(tx, call, request.favoredNodes),
        )
    except NoDatanodes as error:
        raise HdfsError(IO, too_few(call, path, exclude, error)) from None
    return pb.AddBlockResponse(block=located.encode_block(call, block))


def _favored(tx: Transaction, call: Call, addresses: Iterable[str]) -> list[int]:
    """Ids of the datanodes at "host:port", as a program named them; it may know this machine by its name."""
    wanted = {address.replace("localhost:", f"{_LOOPBACK}:") for address in addresses}
    if not wanted:
        return []
    views = call.context.cluster.storages(tx, call.context.now_ns).values()
    return [view.datanode_id for view in views if f"{view.datanode.host}:{view.datanode.data_port}" in wanted]


def too_few(call: Call, path: str, exclude: list[int], error: NoDatanodes) -> str:
    count = len(call.context.cluster.datanodes)
    excluded = f"{len(exclude)}" if exclude else "no"
    return (
        f"File {path} could only be written to 0 of the 1 minReplication nodes. There are {count} "
        f"datanode(s) running and {excluded} node(s) are excluded in this operation. ({error.message})"
    )


def _end_of_blocks(tx: Transaction, inode: Inode) -> int:
    for (_, offset), block in tx.scan(BLOCK, (inode.id,), reverse=True):
        if block.generation_stamp:
            return int(offset) + block.length
    return 0


def _reach(inode: Inode, end: int, now_ns: int) -> Inode:
    """The inode, at least ``end`` bytes long."""
    if end <= inode.length:
        return inode
    return tree.with_attributes(inode, length=end, mtime_ns=now_ns, ctime_ns=now_ns)


@write("abandonBlock", pb.AbandonBlockRequest)
def abandon(tx: Transaction, call: Call, request: pb.AbandonBlockRequest) -> pb.AbandonBlockResponse:
    """Give up a block that could not be written; another one is asked for next."""
    node = _open_file(tx, call, request.src, request.fileId, request.holder)
    abandon_block(tx, call.context, _by_id(node.inode), request.holder, request.b.blockId)
    return pb.AbandonBlockResponse()


@write("getAdditionalDatanode", pb.GetAdditionalDatanodeRequest)
def get_additional_datanode(
    tx: Transaction, call: Call, request: pb.GetAdditionalDatanodeRequest
) -> pb.GetAdditionalDatanodeResponse:
    """More storages for a pipeline that lost some: those it has, and new ones behind them."""
    context = call.context
    node = _open_file(tx, call, request.src, request.fileId, request.clientName)
    existing = _datanode_ids(tx, call, (node.id for node in request.existings))
    excluded = _datanode_ids(tx, call, (node.id for node in request.excludes))
    cluster, now_ns = context.cluster, context.now_ns
    views = cluster.storages(tx, now_ns).values()
    live = [view for view in views if cluster.is_live(view, now_ns)]
    policy = storage_policies.of_file(tx, node.inode)
    kept = [view for uuid in request.existingStorageUuids for view in live if view.storage.uuid == uuid]
    chosen = placement.choose(
        live,
        request.numAdditionalNodes,
        node.inode.block_size or context.info.block_size,
        context.environment.random_below,
        [*existing, *excluded],
        beside=kept,
        wanted_types=policy.types_of(
            node.inode.replication or context.info.replication, [view.storage.storage_type for view in kept]
        ),
        fallback_types=policy.replication_fallbacks,
    )
    answer = pb.GetAdditionalDatanodeResponse()
    block = answer.block
    block.b.CopyFrom(request.blk)
    block.offset, block.corrupt = 0, False
    block.blockToken.CopyFrom(located.token())
    for view in [*kept, *chosen]:
        located.add_locations(call, block, [view.location])
    return answer


@write("updateBlockForPipeline", pb.UpdateBlockForPipelineRequest)
def update_block_for_pipeline(
    tx: Transaction, call: Call, request: pb.UpdateBlockForPipelineRequest
) -> pb.UpdateBlockForPipelineResponse:
    """A new generation stamp for a block, for a pipeline that is set up anew."""
    holder = request.clientName
    node, offset = _owner(tx, request.block.blockId)
    _require_lease(tx, call, node, holder)
    updated = blocks.begin_update(
        tx, call.context, node.inode, holder, offset, request.block.blockId, node.name
    )
    answer = located.encode_block(call, updated)
    answer.b.numBytes = request.block.numBytes
    return pb.UpdateBlockForPipelineResponse(block=answer)


@write("updatePipeline", pb.UpdatePipelineRequest, at_most_once=True)
def update_pipeline(
    tx: Transaction, call: Call, request: pb.UpdatePipelineRequest
) -> pb.UpdatePipelineResponse:
    """The storages of a pipeline that was set up anew: these, and no others, will have the block."""
    new = request.newBlock
    node, offset = _owner(tx, new.blockId)
    _require_lease(tx, call, node, request.clientName)
    row = tx.get(BLOCK, (node.inode.id, offset), Lock.EXCLUSIVE)
    if row is None or row.pending_stamp != new.generationStamp:
        raise HdfsError(
            IO,
            f"Update (from {request.oldBlock.blockId}_{request.oldBlock.generationStamp} to "
            f"{new.blockId}_{new.generationStamp}) fails: the stamp is not the last one that was given",
        )
    targets = tuple(_storage_ids(tx, call, request))
    blocks.retarget(tx, call.context, node.inode.id, offset, row, targets)
    return pb.UpdatePipelineResponse()


def _storage_ids(tx: Transaction, call: Call, request: pb.UpdatePipelineRequest) -> list[int]:
    found = []
    for uuid in request.storageIDs:
        name = tx.get(STORAGE_NAME, (uuid,))
        if name is not None:
            found.append(name.storage_id)
    if found:
        return found
    wanted = set(_datanode_ids(tx, call, request.newNodes))
    views = call.context.cluster.storages(tx, call.context.now_ns).values()
    return [view.storage_id for view in views if view.datanode_id in wanted]


@write("reportBadBlocks", pb.ReportBadBlocksRequest)
def report_bad(tx: Transaction, call: Call, request: pb.ReportBadBlocksRequest) -> pb.ReportBadBlocksResponse:
    """Replicas that a reader found corrupt."""
    bad = []
    for block in request.blocks:
        for uuid in block.storageIDs:
            name = tx.get(STORAGE_NAME, (uuid,))
            if name is not None:
                bad.append((block.b.blockId, name.storage_id))
    report_bad_blocks(tx, call.context, bad)
    return pb.ReportBadBlocksResponse()


# --- syncing and closing ----------------------------------------------------------------------------


@write("fsync", pb.FsyncRequest)
def fsync(tx: Transaction, call: Call, request: pb.FsyncRequest) -> pb.FsyncResponse:
    """Note how far the last block reaches; its bytes are on the datanodes' disks already."""
    context, holder = call.context, request.client
    node = _open_file(tx, call, request.src, request.fileId, holder)
    inode = node.inode
    pending = _pending(tx, inode, holder)
    if pending is not None and request.lastBlockLength > pending[1].length:
        offset, row = pending
        one = BlockCommit(row.block_id, row.pending_stamp, offset, request.lastBlockLength, row.targets)
        inode = blocks.apply_commits(tx, context, inode, holder, [one], request.src)
        blocks.keep_open(tx, inode, offset, row)
        tree.save(tx, node, inode)
    leases.touch(tx, context, holder)
    return pb.FsyncResponse()


@write("complete", pb.CompleteRequest)
def complete(tx: Transaction, call: Call, request: pb.CompleteRequest) -> bytes:
    """Commit the last block and close the file. Made again after it was carried out, it is true again."""
    context, path, holder = call.context, request.src, request.clientName
    try:
        node = _find_open(tx, call, path, request.fileId)
    except (NotFound, StaleHandle):
        raise _no_lease(path, request.fileId, "File does not exist") from None
    if not leases.holds(tx, node.inode, holder):
        if not leases.holders(tx, node.inode) and _is_complete(tx, node.inode, request):
            return TRUE
        raise _not_held(tx, node.inode, holder, path)
    inode = node.inode
    last = request.last if request.HasField("last") else None
    small = None if last is None else _take_over(tx, call, inode, holder, last)
    if small is not None:
        inode = small
    else:
        if last is not None:
            if blocks.is_doubtful(tx, context, inode, last.blockId, last.numBytes):
                return FALSE  # the client asks again: by then datanodes have offered it
            inode = _commit(tx, call, inode, holder, last, path)
        inode = blocks.give_up(tx, context, inode, holder)
    inode = leases.release(tx, inode, holder)
    tree.save(tx, node, inode)
    return TRUE


def _take_over(
    tx: Transaction, call: Call, inode: Inode, holder: str, last: types.ExtendedBlock
) -> Inode | None:
    """Make a small file inline; the inode as it is then. None if it has to stay a block."""
    arguments = (tx, call.context, inode, holder, last.blockId, last.generationStamp, last.numBytes)
    small = blocks.take_over(*arguments)
    if small is None and _take_back_stamps(tx, inode, holder, last):
        small = blocks.take_over(*arguments)
    return small


def _is_complete(tx: Transaction, inode: Inode, request: pb.CompleteRequest) -> bool:
    """Whether the file was closed with the last block that the client names."""
    if not request.HasField("last"):
        return True
    owner = tx.get(BLOCK_OWNER, (request.last.blockId,))
    if owner is None:
        return not inode.flags & Flag.BLOCKS and inode.length == request.last.numBytes
    if owner.inode_id != inode.id:
        return False
    row = tx.get(BLOCK, (inode.id, owner.offset))
    return row is not None and (row.generation_stamp, row.length) == (
        request.last.generationStamp,
        request.last.numBytes,
    )


def _take_back_stamps(tx: Transaction, inode: Inode, holder: str, named: types.ExtendedBlock) -> bool:
    return blocks.take_back_stamps(tx, inode, holder, named.blockId, named.generationStamp)


def _commit(
    tx: Transaction, call: Call, inode: Inode, holder: str, named: types.ExtendedBlock, path: str
) -> Inode:
    """Commit a block at the length that the client names, on the storages of its pipeline."""
    owner = tx.get(BLOCK_OWNER, (named.blockId,))
    row = None if owner is None else tx.get(BLOCK, (inode.id, owner.offset), Lock.EXCLUSIVE)
    if owner is None or owner.inode_id != inode.id or row is None or row.block_id != named.blockId:
        raise HdfsError(IO, f"block {named.blockId} is not of {path} (any more)")
    if row.pending_stamp:
        stamp, storages = row.pending_stamp, row.targets
        if named.generationStamp != stamp:
            raise StaleBlock(
                f"block {named.blockId} has stamp {stamp} by now, not {named.generationStamp}", path=path
            )
    else:
        # An appending client may keep the stamp; or the call is made again.
        stamp = row.generation_stamp
        storages = tuple(
            int(key[1])
            for key, replica in tx.scan(REPLICA, (row.block_id,))
            if replica.generation_stamp >= stamp and not replica.corrupt
        )
    if blocks.stands_for_content(inode, owner.offset, row) and named.numBytes < inode.length:
        raise StaleBlock(f"block {named.blockId} lacks bytes that the file had before", path=path)
    if not named.numBytes and not row.generation_stamp:
        return blocks.abandon(tx, call.context, inode, holder, row.block_id)
    one = BlockCommit(row.block_id, stamp, owner.offset, named.numBytes, storages)
    return blocks.apply_commits(tx, call.context, inode, holder, [one], path)


# --- leases -----------------------------------------------------------------------------------------


@write("renewLease", pb.RenewLeaseRequest)
def renew(tx: Transaction, call: Call, request: pb.RenewLeaseRequest) -> pb.RenewLeaseResponse:
    """The client is alive."""
    renew_lease(tx, call.context, request.clientName)
    return pb.RenewLeaseResponse()


@write("recoverLease", pb.RecoverLeaseRequest)
def recover(tx: Transaction, call: Call, request: pb.RecoverLeaseRequest) -> pb.RecoverLeaseResponse:
    """Take a file from its writer; whether it is closed by now."""
    try:
        node = tree.resolve(tx, call.context, request.src)
        if node.is_file and _is_closed_for(tx, call, node.inode):
            return pb.RecoverLeaseResponse(result=True)
        return pb.RecoverLeaseResponse(result=recover_lease(tx, call.context, request.src))
    except NotFound:
        raise file_not_found(request.src) from None
    except IsADirectory:
        raise HdfsError(FILE_NOT_FOUND, f"Path is not a file: {request.src}") from None


def _is_closed_for(tx: Transaction, call: Call, inode: Inode) -> bool:
    """Whether nobody writes the file, as far as a caller who may not change that can know."""
    if not leases.holders(tx, inode):
        return True
    may_change = call.context.superuser or allows(call.context.caller, inode, WRITE)
    return not may_change and located.exclusive_writer(tx, inode) is None


# --- who writes -------------------------------------------------------------------------------------


def _by_id(inode: Inode) -> str:
    return f"/.reserved/.inodes/{inode.id}"


def _find_open(tx: Transaction, call: Call, path: str, file_id: int) -> Node:
    """The file that a writer means: by its id, which outlives renames, or by its path."""
    if file_id:
        return tree.resolve_id(tx, file_id, path)
    return tree.resolve(tx, call.context, path)


def _open_file(tx: Transaction, call: Call, path: str, file_id: int, holder: str) -> Node:
    """The file, whose lease the holder must have."""
    try:
        node = _find_open(tx, call, path, file_id)
    except (NotFound, StaleHandle):
        raise _no_lease(path, file_id, "File does not exist") from None
    _require_lease(tx, call, node, holder, path)
    return node


def _require_lease(tx: Transaction, call: Call, node: Node, holder: str, path: str = "") -> None:
    if not _stat.S_ISREG(node.inode.mode):
        raise _no_lease(path, node.inode.id, "INode is not a regular file")
    if not leases.holds(tx, node.inode, holder):
        raise _not_held(tx, node.inode, holder, path or node.name)
    leases.touch(tx, call.context, holder)


def _no_lease(path: str, file_id: int, why: str) -> HdfsError:
    return HdfsError(_LEASE_EXPIRED, f"{why}: {path} (inode {file_id})")


def _not_held(tx: Transaction, inode: Inode, holder: str, path: str) -> HdfsError:
    owner = next((other for other, row in leases.holders(tx, inode) if row.exclusive), None)
    if owner is None:
        return _no_lease(path, inode.id, "File is not open for writing")
    return HdfsError(
        _LEASE_EXPIRED, f"Client (={holder}) is not the lease owner (={owner}): {path} (inode {inode.id})"
    )


def _owner(tx: Transaction, block_id: int) -> tuple[Node, int]:
    owner = tx.get(BLOCK_OWNER, (block_id,))
    if owner is None:
        raise HdfsError(IO, f"block {block_id} does not exist (any more)")
    return tree.resolve_id(tx, owner.inode_id), owner.offset


def _pending(tx: Transaction, inode: Inode, holder: str) -> tuple[int, Block] | None:
    for (_, offset), row in tx.scan(BLOCK, (inode.id,), reverse=True):
        if row.pending_stamp and row.holder == holder:
            return int(offset), row
    return None


def _datanode_ids(tx: Transaction, call: Call, nodes: Iterable[types.DatanodeID]) -> list[int]:
    """Ids of the datanodes that a client names, by their uuids or addresses; unknown ones are ignored."""
    views = call.context.cluster.storages(tx, call.context.now_ns).values()
    by_uuid = {view.datanode.uuid: view.datanode_id for view in views}
    by_address = {(view.datanode.host, view.datanode.data_port): view.datanode_id for view in views}
    found = []
    for one in nodes:
        number = by_uuid.get(one.datanodeUuid) or by_address.get((one.ipAddr, one.xferPort))
        if number is not None:
            found.append(number)
    return found
