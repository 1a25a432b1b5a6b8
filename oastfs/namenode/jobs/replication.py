"""Giving every block as many good replicas as its file wants: copying what lacks, deleting what is too much.

Works through ``replication_need``. A row stays until nothing is left to be done for its block; what is
under way is looked at again later, in case it was lost.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from oastfs.core.errors import StaleHandle
from oastfs.namenode import placement, storage_policies, tree
from oastfs.namenode.blocks import commands
from oastfs.namenode.blocks.replicas import is_leaving, owner_and_block
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import (
    DATANODE_COMMAND,
    RECLAIM_ID,
    REPLICA,
    REPLICATION_NEED,
    Block,
    Inode,
    ReplicationNeed,
)
from oastfs.store.table import Key
from oastfs.store.transaction import Transaction

ROWS_PER_PAGE: Final = 2_000
BLOCKS_PER_STEP: Final = 200
SECOND_NS: Final = 10**9
BEING_WRITTEN_NS: Final = 10 * SECOND_NS
UNDER_WAY_NS: Final = 60 * SECOND_NS
IMPOSSIBLE_NS: Final = 30 * SECOND_NS
UNHEARD_NS: Final = 5 * SECOND_NS


class Replication(Job):
    """One step looks at up to ``BLOCKS_PER_STEP`` blocks that are due, going round the table."""

    name = "replication"
    interval_seconds = 1.0
    waits_in_safe_mode = True

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._after: Key | None = None

    def run_once(self, now_ns: int) -> int:
        after = self._after
        page = self.store.read(
            lambda tx: [
                (key, row.due_ns) for key, row in tx.scan(REPLICATION_NEED, after=after, limit=ROWS_PER_PAGE)
            ]
        )
        due = [key for key, due_ns in page if due_ns <= now_ns][:BLOCKS_PER_STEP]
        if len(due) == BLOCKS_PER_STEP:
            self._after = due[-1]
        else:
            self._after = page[-1][0] if len(page) == ROWS_PER_PAGE else None
        if due:
            self.write(now_ns, partial(look_at_all, block_ids=[int(key[0]) for key in due]))
        # A round that passed rows which are not due is no work, but has to go on to its end.
        return len(due) or int(self._after is not None)


def look_at_all(tx: Transaction, context: Context, block_ids: list[int]) -> None:
    """Look at each block once."""
    for block_id in block_ids:
        Look(tx, context, block_id).run()


class Look:
    """One look at one block."""

    def __init__(self, tx: Transaction, context: Context, block_id: int) -> None:
        self.tx = tx
        self.context = context
        self.block_id = block_id
        self.good: list[StorageView] = []
        self.corrupt: list[StorageView] = []
        self.stale: list[StorageView] = []
        self.lost: list[int] = []
        self.unheard = 0
        """Replicas of datanodes that are silent and not taken for dead: they may yet be heard."""
        self.leaving = 0
        """Replicas that a datanode has been told to delete."""

    def run(self) -> None:
        need = self.tx.get(REPLICATION_NEED, (self.block_id,))
        owner, block = owner_and_block(self.tx, self.block_id)
        if need is None or owner is None or block is None or not block.generation_stamp:
            self.tx.delete(REPLICATION_NEED, (self.block_id,))
            return
        inode = self._owner(owner.inode_id)
        wanted = 0 if inode is None else inode.replication or self.context.info.replication
        if inode is None:
            self.tx.delete(REPLICATION_NEED, (self.block_id,))
        elif block.pending_stamp:
            self._later(need, BEING_WRITTEN_NS)
        else:
            self._count(block)
            if self.unheard:
                self._later(need, UNHEARD_NS)
            elif len(self.good) < wanted:
                self._later(need, self._make_up(inode, block, wanted - len(self.good)))
            elif self._tidy(block, wanted):
                self._later(need, UNDER_WAY_NS)
            else:
                self.tx.delete(REPLICATION_NEED, (self.block_id,))

    def _owner(self, inode_id: int) -> Inode | None:
        """The file; None if it is gone."""
        try:
            node = tree.resolve_id(self.tx, inode_id)
        except StaleHandle:
            return None
        return None if node.parent_id == RECLAIM_ID else node.inode

    def _count(self, block: Block) -> None:
        cluster, now_ns = self.context.cluster, self.context.now_ns
        for key, row in self.tx.scan(REPLICA, (self.block_id,)):
            view = cluster.find(self.tx, now_ns, int(key[1]))
            if view is None or not view.readable:
                if not row.corrupt:
                    self.lost.append(int(key[1]))
            elif not cluster.is_live(view, now_ns):
                self.unheard += 1
            elif is_leaving(self.tx, view, self.block_id):
                # It does not count: two looks running must not delete two replicas.
                self.leaving += 1
            elif row.generation_stamp < block.generation_stamp:
                self.stale.append(view)
            elif row.corrupt:
                self.corrupt.append(view)
            else:
                self.good.append(view)

    def _make_up(self, inode: Inode, block: Block, count: int) -> int:
        """Have copies made; how long to wait for them, in ns."""
        self._delete(self.stale, block)
        if not self.good:
            return IMPOSSIBLE_NS
        if any(self._is_waiting(source) for source in self.good):
            return UNDER_WAY_NS
        targets = self._targets(inode, block, count)
        if not targets:
            # There is no other place than that of a bad replica: good ones exist, so it may go.
            self._delete(self.corrupt, block)
            return IMPOSSIBLE_NS
        source = min(self.good, key=lambda view: view.datanode.active_transfers)
        ids = tuple(view.storage_id for view in targets)
        commands.order_copy(self.tx, source, self.block_id, block.generation_stamp, block.length, ids)
        return UNDER_WAY_NS

    def _is_waiting(self, source: StorageView) -> bool:
        """Whether the source has yet to be told of a copy that was decided before."""
        row = self.tx.get(DATANODE_COMMAND, (source.datanode_id, self.block_id, commands.COPY))
        return row is not None and row.due_ns == 0

    def _targets(self, inode: Inode, block: Block, count: int) -> list[StorageView]:
        cluster, now_ns = self.context.cluster, self.context.now_ns
        held = {int(key[1]) for key, _ in self.tx.scan(REPLICA, (self.block_id,))}
        storages = cluster.storages(self.tx, now_ns).values()
        policy = storage_policies.of_file(self.tx, inode)
        held_types = [view.storage.storage_type for view in self.good]
        return placement.choose(
            [view for view in storages if cluster.is_live(view, now_ns)],
            count,
            block.length,
            self.context.environment.random_below,
            {view.datanode_id for view in storages if view.storage_id in held and view.readable},
            beside=self.good,
            wanted_types=policy.types_of(len(self.good) + count, held_types),
            fallback_types=policy.replication_fallbacks,
        )

    def _tidy(self, block: Block, wanted: int) -> bool:
        """Remove what is bad, lost or too much; whether datanodes have to do something for it."""
        self._withdraw_copies()
        for storage_id in self.lost:
            self.tx.delete(REPLICA, (self.block_id, storage_id))
        surplus = least_useful(self.good, len(self.good) - wanted)
        self._delete([*surplus, *self.corrupt, *self.stale], block)
        return bool(surplus or self.corrupt or self.stale or self.leaving)

    def _withdraw_copies(self) -> None:
        for view in self.good:
            commands.withdraw(self.tx, view, self.block_id, commands.COPY)

    def _delete(self, views: list[StorageView], block: Block) -> None:
        for view in views:
            commands.order_delete(self.tx, view, self.block_id, block.generation_stamp)

    def _later(self, need: ReplicationNeed, wait_ns: int) -> None:
        due_ns = self.context.now_ns + wait_ns
        changed = ReplicationNeed(need.inode_id, need.offset, due_ns, need.attempts + 1)
        self.tx.put(REPLICATION_NEED, (self.block_id,), changed)


def least_useful(views: list[StorageView], count: int) -> list[StorageView]:
    """Replicas to give up: such on a machine that has another one, then those on the fullest storages."""
    remaining = list(views)
    chosen: list[StorageView] = []
    while len(chosen) < count:
        hosts = [view.datanode.host for view in remaining]
        worst = min(
            remaining,
            key=lambda view: (hosts.count(view.datanode.host) == 1, placement.merit(view), view.storage_id),
        )
        remaining.remove(worst)
        chosen.append(worst)
    return chosen
