"""Ways to break blocks, replicas, names and ids. Importing this registers them."""

from __future__ import annotations

import msgspec

from oastfs.core.types import Flag
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    COUNTER,
    DATANODE,
    DATANODE_COMMAND,
    DATANODE_NAME,
    INODE,
    OPEN_FILE,
    PLACE,
    PRINCIPAL_ID,
    PRINCIPAL_NAME,
    REPLICA,
    REPLICATION_NEED,
    STORAGE_NAME,
    Block,
    BlockOwner,
    Counter,
    DatanodeCommand,
    DatanodeName,
    OpenFile,
    PrincipalId,
    Replica,
    ReplicationNeed,
    StorageName,
)
from oastfs.store.transaction import Transaction
from tests.unit.namenode.fsck.whole import NOWHERE, Whole, change, damage

_replace = msgspec.structs.replace


# --- blocks ---------------------------------------------------------------------------------------


def block_at(tx: Transaction, w: Whole, offset: int = 0) -> Block:
    row = tx.get(BLOCK, (w.blocks, offset))
    assert row is not None
    return row


@damage("block-without-file")
def blocks_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (NOWHERE, 0), Block(500 << 10, 10, 1))
    tx.put(BLOCK_OWNER, (500 << 10,), BlockOwner(NOWHERE, 0))
    tx.put(COUNTER, ("block",), Counter(501))


@damage("block-without-file")
def file_lost_with_its_entry(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "blocks"))
    tx.delete(PLACE, (w.blocks,))


@damage("block-owner")
def owner_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(BLOCK_OWNER, (w.block_ids[0],))


@damage("owner-without-block")
def owner_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK_OWNER, (999,), BlockOwner(w.blocks, 1 << 30))


@damage("overlap", mended=False)
def blocks_overlap(tx: Transaction, w: Whole) -> None:
    block = block_at(tx, w, 4096)
    tx.delete(BLOCK, (w.blocks, 4096))
    tx.put(BLOCK, (w.blocks, 4000), block)
    tx.put(BLOCK_OWNER, (block.block_id,), BlockOwner(w.blocks, 4000))


@damage("bad-block", mended=False)
def block_too_long(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 4096), _replace(block_at(tx, w, 4096), length=5000))
    change(tx, w.d, "blocks", length=10_000)


@damage("bad-block", mended=False)
def stamps_go_backwards(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 0), _replace(block_at(tx, w), pending_stamp=1, holder="writer"))
    tx.put(OPEN_FILE, (w.blocks, "writer"), OpenFile(False, 0))
    change(tx, w.d, "blocks", flags=int(Flag.OPEN | Flag.BLOCKS))


@damage("bad-block")
def writer_left_in_a_committed_block(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 0), _replace(block_at(tx, w), holder="writer"))


@damage("bad-block")
def staged_bytes_of_a_later_block_that_is_not_committed(tx: Transaction, w: Whole) -> None:
    row = tx.get(BLOCK, (w.open, 0))
    assert row is not None and not row.generation_stamp
    block_id = row.block_id + (1 << 20)
    tx.put(BLOCK, (w.open, 4096), _replace(row, block_id=block_id, staged=b"x" * 100))
    tx.put(BLOCK_OWNER, (block_id,), BlockOwner(w.open, 4096))


@damage("bad-block")
def more_staged_than_may_be_inline(tx: Transaction, w: Whole) -> None:
    row = tx.get(BLOCK, (w.open, 0))
    assert row is not None
    tx.put(BLOCK, (w.open, 0), _replace(row, staged=bytes(1025)))


@damage("bad-block")
def block_neither_new_nor_committed(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 8192), Block(700 << 10, 0, 0))
    tx.put(BLOCK_OWNER, (700 << 10,), BlockOwner(w.blocks, 8192))
    tx.put(COUNTER, ("block",), Counter(701))


@damage("block-without-writer")
def new_block_without_writer(tx: Transaction, w: Whole) -> None:
    tx.delete(OPEN_FILE, (w.open, "writer"))
    change(tx, w.d, "open", flags=0)


@damage("block-without-writer")
def update_without_writer(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 0), _replace(block_at(tx, w), pending_stamp=2, holder="nobody"))


@damage("length")
def blocks_past_the_length(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "blocks", length=10)


@damage("not-queued")
def replica_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(REPLICA, (w.block_ids[0], w.storage_id))


@damage("bad-replica", mended=False)
def replica_from_the_future(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICA, (w.block_ids[0], w.storage_id), Replica(9))


@damage("replica-without-block")
def replica_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICA, (999, w.storage_id), Replica(1))


@damage("replica-without-storage")
def replica_on_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICA, (w.block_ids[0], 999), Replica(1))
    tx.put(REPLICATION_NEED, (w.block_ids[0],), ReplicationNeed(w.blocks, 0, 0))


@damage("need-without-block")
def need_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICATION_NEED, (999,), ReplicationNeed(1, 0, 0))


@damage("command-without-datanode")
def command_to_nobody(tx: Transaction, w: Whole) -> None:
    tx.put(DATANODE_COMMAND, (999, 1, 1), DatanodeCommand(1, 1))


@damage("datanode-name")
def datanode_name_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DATANODE_NAME, ("datanode-1",))


@damage("datanode-name")
def datanode_name_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(DATANODE_NAME, ("nothing",), DatanodeName(99))


@damage("storage-name")
def storage_name_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(STORAGE_NAME, ("storage-of-datanode-1",))


@damage("storage-name")
def storage_name_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(STORAGE_NAME, ("nothing",), StorageName(99))


@damage("storage-without-datanode", mended=False)
def datanode_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DATANODE, (1,))
    tx.delete(DATANODE_NAME, ("datanode-1",))


# --- names and counters ---------------------------------------------------------------------------


def someone(tx: Transaction) -> tuple[tuple[int | str, ...], PrincipalId]:
    return next(iter(tx.scan(PRINCIPAL_ID)))


@damage("principal")
def principal_name_lost(tx: Transaction, w: Whole) -> None:
    key, row = someone(tx)
    tx.delete(PRINCIPAL_NAME, (key[0], row.id))


@damage("principal")
def principal_id_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(PRINCIPAL_ID, someone(tx)[0])


@damage("principal")
def two_names_of_one_id(tx: Transaction, w: Whole) -> None:
    tx.put(PRINCIPAL_ID, ("user", "impostor"), someone(tx)[1])
