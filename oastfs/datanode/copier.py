"""Copying a replica to another datanode: on a namenode's command or a client's request."""

from __future__ import annotations

from oastfs.core.errors import BlockNotFound, ConnectionLost
from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.reader import ReplicaReader
from oastfs.datanode.sender import BlockSender
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.messages import BlockId, Stage, Target, check_response, write_request

CONNECT_SECONDS = 10.0


def copy_replica(
    store: BlockStore,
    block_id: int,
    generation_stamp: int,
    target: Target,
    *,
    client_name: str = "",
    timeout_seconds: float = 75.0,
) -> int:
    """Send a replica with that stamp or a later one; returns its bytes once they are durable over there.

    A final replica arrives final, another stays being written there too.
    """
    replica = store.get(block_id, generation_stamp)
    if replica.corrupt:
        raise BlockNotFound(f"block {block_id} is corrupt here and not copied")
    stage = Stage.TRANSFER_FINALIZED if replica.final else Stage.TRANSFER_RBW
    with ReplicaReader(replica) as reader:
        length = replica.visible_length
        stamp = replica.generation_stamp
        sender = BlockSender(reader, 0, length)
        block = BlockId(block_id, stamp, length)
        with TransferConnection.open(target.host, target.data_port, CONNECT_SECONDS) as connection:
            connection.sock.settimeout(timeout_seconds)
            request = write_request(block, [target], stage, client_name=client_name)
            try:
                sender.send(connection, request)
            except ConnectionLost:
                # A target that refuses answers and closes: its reason is worth more than the broken pipe.
                check_response(connection.receive_message(pb.BlockOpResponse))
                raise
            check_response(connection.receive_message(pb.BlockOpResponse))
    return length
