"""Work for datanodes and for the replication job, as rows.

A command is a wish, not a fact: it may be given twice, come late, or be lost with its datanode. What a
datanode reports afterwards is what counts.
"""

from __future__ import annotations

from typing import Final

from oastfs.namenode.cluster import DATANODE_DEAD, StorageView
from oastfs.store.schema import DATANODE_COMMAND, REPLICATION_NEED, DatanodeCommand, ReplicationNeed
from oastfs.store.transaction import Transaction

DELETE: Final = 1
COPY: Final = 2
RECOVER: Final = 3


def order_delete(tx: Transaction, view: StorageView, block_id: int, stamp: int) -> None:
    """Have a replica removed unless its stamp is above ``stamp``.

    A dead datanode is not told: should it come back, its block report shows what it has too much.
    """
    if view.datanode.state == DATANODE_DEAD:
        return
    tx.put(DATANODE_COMMAND, (view.datanode_id, block_id, DELETE), DatanodeCommand(view.storage_id, stamp))


def order_copy(
    tx: Transaction, source: StorageView, block_id: int, stamp: int, length: int, targets: tuple[int, ...]
) -> None:
    """Have a replica copied to other storages."""
    command = DatanodeCommand(source.storage_id, stamp, length, targets)
    tx.put(DATANODE_COMMAND, (source.datanode_id, block_id, COPY), command)


def order_recover(
    tx: Transaction, view: StorageView, block_id: int, stamp: int, length: int, new_stamp: int
) -> None:
    """Have a replica made final, at the length it holds and under a new stamp."""
    command = DatanodeCommand(view.storage_id, stamp, length, new_stamp=new_stamp)
    tx.put(DATANODE_COMMAND, (view.datanode_id, block_id, RECOVER), command)


def is_to_recover(tx: Transaction, view: StorageView, block_id: int, stamp: int) -> bool:
    """Whether a datanode has yet to make its replica final under this stamp."""
    command = tx.get(DATANODE_COMMAND, (view.datanode_id, block_id, RECOVER))
    return command is not None and command.new_stamp == stamp


def withdraw(tx: Transaction, view: StorageView, block_id: int, kind: int) -> None:
    """Take a command back, if it is there."""
    tx.delete(DATANODE_COMMAND, (view.datanode_id, block_id, kind))


def need_check(tx: Transaction, block_id: int, inode_id: int, offset: int, due_ns: int) -> None:
    """Have the replication job look at a block, not before ``due_ns``."""
    tx.put(REPLICATION_NEED, (block_id,), ReplicationNeed(inode_id, offset, due_ns))
