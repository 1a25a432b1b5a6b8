"""Comparing what a storage really holds with what the rows say, and correcting the rows.

A report comes as a stream in order of block id and is merged with ``replica_by_storage`` as it comes: any
size passes in little memory. Comparing reads a snapshot; each difference is looked at again in the
transaction that corrects it.

A report is old when it arrives: a block that was written meanwhile is not in it. So a replica that a
report lacks is only suspected, and the datanode asked for another report; what that one lacks as well
is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from oastfs.core.errors import InvalidArgument
from oastfs.namenode.blocks import commands
from oastfs.namenode.blocks.inline import was_given_out
from oastfs.namenode.blocks.replicas import check_soon, is_leaving, mark_corrupt, missing, owner_and_block
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.store.schema import BLOCK, BLOCK_OWNER, REPLICA, Block, Replica
from oastfs.store.transaction import Transaction

BATCH: Final = 500
"""Corrections in one transaction."""
SUSPECTS_MAX: Final = 100_000


class Reported(NamedTuple):
    """One replica that a datanode has. Being written ones have their pending stamp."""

    block_id: int
    generation_stamp: int
    length: int


class Differences(NamedTuple):
    """What a part of a report shows: replicas to look at, and block ids that it lacks."""

    odd: list[Reported]
    lacking: list[int]


def compare(
    tx: Transaction, storage_id: int, after: int, replicas: Sequence[Reported], last: bool
) -> Differences:
    """Merge one batch, all of it above block id ``after``, with the rows of the storage."""
    end = None if last else replicas[-1].block_id
    rows = _rows_between(tx, storage_id, after, end)
    blocks = _blocks_of(tx, replicas)
    differences = Differences([], [])
    known_id, known = next(rows, (None, None))
    for one, block in zip(replicas, blocks, strict=True):
        while known_id is not None and known_id < one.block_id:
            differences.lacking.append(known_id)
            known_id, known = next(rows, (None, None))
        row = None
        if known_id == one.block_id:
            row = known
            known_id, known = next(rows, (None, None))
        if not _agrees(one, row, block):
            differences.odd.append(one)
    while known_id is not None:
        differences.lacking.append(known_id)
        known_id, known = next(rows, (None, None))
    return differences


def correct(tx: Transaction, context: Context, view: StorageView, one: Reported) -> None:
    """Bring the rows in line with a replica that a datanode has, or have it removed."""
    owner, block = owner_and_block(tx, one.block_id)
    if owner is None or block is None:
        if was_given_out(tx, one.block_id):
            commands.order_delete(tx, view, one.block_id, one.generation_stamp)
        return
    if block.pending_stamp and view.storage_id in block.targets:
        return  # its writer's commit will tell
    row = tx.get(REPLICA, (one.block_id, view.storage_id))
    if not block.generation_stamp or one.generation_stamp < block.generation_stamp:
        commands.order_delete(tx, view, one.block_id, one.generation_stamp)
        if row is not None:
            tx.put(REPLICA, (one.block_id, view.storage_id), Replica(one.generation_stamp, row.corrupt))
            check_soon(tx, context, one.block_id)
    elif one.length < block.length:
        if row is None:
            commands.order_delete(tx, view, one.block_id, one.generation_stamp)
        else:
            mark_corrupt(tx, context, one.block_id, view.storage_id)
    elif row is None:
        _take_in(tx, context, view, one, block)
    elif row.corrupt:
        check_soon(tx, context, one.block_id)
    elif row.generation_stamp < block.generation_stamp:
        _revive(tx, context, view, one, block)


def drop_missing(tx: Transaction, context: Context, view: StorageView, block_id: int) -> None:
    """Two reports running lack a replica: it is lost, unless it is being written or fetched just now."""
    _, block = owner_and_block(tx, block_id)
    if block is not None and block.pending_stamp and view.storage_id in block.targets:
        return
    if (
        block is not None
        and block.staged
        and commands.is_to_recover(tx, view, block_id, block.generation_stamp)
    ):
        return
    missing(tx, context, view, block_id)


def check_order(after: int, replicas: Sequence[Reported]) -> None:
    """Raise InvalidArgument unless block ids rise, and numbers are in range."""
    for one in replicas:
        if one.block_id <= after:
            raise InvalidArgument(f"block ids of a report must rise: {one.block_id} after {after}")
        if one.block_id >> 63 or one.generation_stamp >> 63 or one.length >> 63:
            raise InvalidArgument(f"numbers of block {one.block_id} are out of range")
        after = one.block_id


def _take_in(tx: Transaction, context: Context, view: StorageView, one: Reported, block: Block) -> None:
    """A replica without a row: of a datanode that was dead, or a copy that nobody told of."""
    if is_leaving(tx, view, one.block_id):
        return
    if one.generation_stamp > block.generation_stamp:
        commands.order_delete(tx, view, one.block_id, one.generation_stamp)
        return
    tx.put(REPLICA, (one.block_id, view.storage_id), Replica(one.generation_stamp))
    check_soon(tx, context, one.block_id)


def _revive(tx: Transaction, context: Context, view: StorageView, one: Reported, block: Block) -> None:
    """A row says stale, the datanode has the committed stamp: the datanode knows better.

    Only the exact stamp counts: it is given to one writer, and those of its targets that it did not name are
    noted as corrupt.
    """
    if one.generation_stamp == block.generation_stamp:
        tx.put(REPLICA, (one.block_id, view.storage_id), Replica(one.generation_stamp))
        check_soon(tx, context, one.block_id)


def _agrees(one: Reported, row: Replica | None, block: Block | None) -> bool:
    return (
        row is not None
        and block is not None
        and not row.corrupt
        and row.generation_stamp >= block.generation_stamp
        and one.generation_stamp >= block.generation_stamp
        and one.length >= block.length
    )


def _blocks_of(tx: Transaction, replicas: Sequence[Reported]) -> list[Block | None]:
    owners = tx.get_many(BLOCK_OWNER, [(one.block_id,) for one in replicas])
    keys = [(owner.inode_id, owner.offset) for owner in owners if owner is not None]
    found = iter(tx.get_many(BLOCK, keys))
    blocks = [None if owner is None else next(found) for owner in owners]
    return [
        block if block is not None and block.block_id == one.block_id else None
        for one, block in zip(replicas, blocks, strict=True)
    ]


def _rows_between(
    tx: Transaction, storage_id: int, after: int, end: int | None
) -> Iterator[tuple[int | None, Replica | None]]:
    index = REPLICA.indexes[0]
    for (block_id, _), row in tx.scan(REPLICA, (storage_id,), after=(after,), index=index):
        if end is not None and int(block_id) > end:
            return
        yield int(block_id), row
