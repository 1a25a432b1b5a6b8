"""The operations of the data port but for receiving a block: one function each.

Each takes the connection after its request was read, and returns whether another request may follow on it.
"""

from __future__ import annotations

import array
import socket

from oastfs.core.errors import BlockNotFound, ConnectionLost, CorruptBlock, InvalidArgument, Unsupported
from oastfs.datanode.context import DataContext
from oastfs.datanode.copier import copy_replica
from oastfs.datanode.reader import ReplicaReader
from oastfs.datanode.replica import Replica
from oastfs.datanode.sender import BlockSender
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.answers import BlockDigest
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.messages import Target, refusal

SHORT_CIRCUIT_VERSION = 1
_BATCH_BYTES = 1024 * 1024


def find_replica(context: DataContext, block: pb.ExtendedBlock) -> Replica:
    """The replica of a request that may be read. Raises BlockNotFound."""
    context.small_blocks.make_if_inline(block.blockId, block.generationStamp)
    replica = context.store.get(block.blockId, block.generationStamp)
    if replica.corrupt:
        raise BlockNotFound(f"block {block.blockId} is corrupt here")
    return replica


def open_reader(context: DataContext, replica: Replica) -> ReplicaReader:
    """Open a replica's files; if they have disappeared, namenodes are told."""
    try:
        return ReplicaReader(replica)
    except BlockNotFound:
        context.store.mark_missing(replica)
        raise


def read_block(context: DataContext, connection: TransferConnection, request: pb.OpReadBlock) -> bool:
    """OP_READ_BLOCK."""
    replica = find_replica(context, request.header.baseHeader.block)
    with open_reader(context, replica) as reader:
        sender = BlockSender(reader, request.offset, request.len, request.sendChecksums)
        connection.set_timeout(context.config.reader_timeout_seconds)
        try:
            sent_bytes = sender.send(connection, sender.response())
        except CorruptBlock as error:
            context.verify_soon(replica)
            if sender.begun:
                raise ConnectionLost(error.message) from None
            raise
    context.metrics.bytes_read.inc(sent_bytes)
    connection.set_timeout(context.config.connection_timeout_seconds)
    status = connection.receive_message(pb.ClientReadStatus).status
    if status == pb.ERROR_CHECKSUM:
        context.verify_soon(replica)
    return True


def block_checksum(context: DataContext, connection: TransferConnection, request: pb.OpBlockChecksum) -> bool:
    """OP_BLOCK_CHECKSUM: a digest by which clients compare files without reading them."""
    block = request.header.block
    replica = find_replica(context, block)
    length = replica.visible_length
    if block.numBytes and block.numBytes < length:
        length = block.numBytes
    digest = BlockDigest(request.blockChecksumOptions)
    with open_reader(context, replica) as reader:
        for data, checksums in reader.batches(length, _BATCH_BYTES):
            digest.add(data, checksums)
    connection.send(digest.answer())
    return True


def transfer_block(context: DataContext, connection: TransferConnection, request: pb.OpTransferBlock) -> bool:
    """OP_TRANSFER_BLOCK: copy the replica to each target, for a client that mends its pipeline."""
    block = request.header.baseHeader.block
    storages = list(request.targetStorageIds) + [""] * len(request.targets)
    if not request.targets:
        raise InvalidArgument("a transfer needs a target")
    for node, storage_uuid in zip(request.targets, storages, strict=False):
        target = Target(node.id.ipAddr, node.id.xferPort, storage_uuid, node.id.datanodeUuid)
        copy_replica(
            context.store,
            block.blockId,
            block.generationStamp,
            target,
            client_name=request.header.clientName,
            timeout_seconds=context.config.connection_timeout_seconds,
        )
    connection.send_message(pb.BlockOpResponse(status=pb.SUCCESS))
    return True


def request_descriptors(
    context: DataContext, connection: TransferConnection, request: pb.OpRequestShortCircuitAccess
) -> bool:
    """OP_REQUEST_SHORT_CIRCUIT_FDS: pass a replica's open files to a client on this machine.

    The descriptors are for reading: data first, then checksums. What a client may rely on:

    * Updates are made in place, in the same files, under a newer generation stamp: open descriptors
      show them. Checksums of a chunk that is being overwritten at that moment may not match its
      data: read again, or ask the datanode, which keeps the two together.
    * A deleted replica stays readable through open descriptors; a block that is made anew here has
      other files.
    * So descriptors are good for the stamp that they were asked with, and earlier ones. When the block's
      committed stamp is newer, ask again: the answer is an error if the replica here is stale.
    """
    if connection.sock.family != socket.AF_UNIX:
        raise Unsupported("file descriptors are passed over the datanode's Unix socket only")
    if request.maxVersion < SHORT_CIRCUIT_VERSION:
        raise Unsupported(f"short-circuit version {request.maxVersion} is too old")
    replica = find_replica(context, request.header.block)
    with open_reader(context, replica) as reader:
        connection.send_message(
            pb.BlockOpResponse(status=pb.SUCCESS, shortCircuitAccessVersion=SHORT_CIRCUIT_VERSION)
        )
        descriptors = array.array("i", (reader.data_fd, reader.meta_fd))
        answer = bytes((pb.DO_NOT_USE_RECEIPT_VERIFICATION,))
        connection.send_descriptors(answer, descriptors)
    return True


def release_descriptors(
    context: DataContext, connection: TransferConnection, request: pb.ReleaseShortCircuitAccessRequest
) -> bool:
    """OP_RELEASE_SHORT_CIRCUIT_FDS: nothing is kept for a client, so there is nothing to release."""
    connection.send_message(pb.ReleaseShortCircuitAccessResponse(status=pb.SUCCESS))
    return True


def request_shared_memory(
    context: DataContext, connection: TransferConnection, request: pb.ShortCircuitShmRequest
) -> bool:
    """OP_REQUEST_SHORT_CIRCUIT_SHM: clients go on without when it is not supported."""
    connection.send_message(
        pb.ShortCircuitShmResponse(status=pb.ERROR_UNSUPPORTED, error="shared memory is not supported")
    )
    return True


def answer_refusal(connection: TransferConnection, error: OSError) -> None:
    """Tell the peer why its operation was refused, and close in a way that lets it read that."""
    connection.send_message(refusal(error))
    connection.linger(1.0)
