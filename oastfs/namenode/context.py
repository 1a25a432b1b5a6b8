"""What an operation is told besides its arguments: who asks, when, of which filesystem.

Operations read no clock, no randomness and no configuration but through this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oastfs.core.types import Caller, FilesystemInfo
from oastfs.namenode.cluster import Cluster
from oastfs.namenode.hints import Hints
from oastfs.namenode.staging import Staging
from oastfs.store.ids import IdAllocator
from oastfs.store.table import PARTITIONS, Table
from oastfs.store.transaction import Transaction


class Environment:
    """What all operations of one process share."""

    __slots__ = (
        "block_ids",
        "cluster",
        "count",
        "hints",
        "info",
        "inode_ids",
        "random_below",
        "staging",
        "usage",
    )

    def __init__(
        self,
        info: FilesystemInfo,
        inode_ids: IdAllocator,
        block_ids: IdAllocator,
        random_below: Callable[[int], int],
        count: Callable[[Table[Any]], int],
        usage: Callable[[], tuple[int, int]],
        hints: Hints | None = None,
    ) -> None:
        self.info = info
        self.inode_ids = inode_ids
        self.block_ids = block_ids
        self.random_below = random_below
        self.count = count
        self.usage = usage
        self.hints = hints
        self.cluster = Cluster()
        self.staging = Staging()


class TakesLongError(Exception):
    """Raised by a brief call that would have to walk a tree: it is to be made where it holds up nobody."""


class Context:
    """One call: its caller, its time and the shared environment.

    ``group_of_parent``: what is made belongs to its directory's group, as in HDFS and BSD, instead of
    the caller's primary one. ``brief``: others wait while it is made, so it walks no tree.
    """

    __slots__ = ("brief", "caller", "environment", "group_of_parent", "info", "now_ns", "superuser")

    def __init__(self, caller: Caller, now_ns: int, environment: Environment) -> None:
        self.caller = caller
        self.group_of_parent = False
        self.brief = False
        self.now_ns = now_ns
        self.environment = environment
        self.info = info = environment.info
        self.superuser = (
            caller.uid == 0 or caller.uid == info.superuser_uid or info.supergroup_gid in caller.gids
        )

    def begin_walk(self) -> None:
        """A tree is about to be walked. Raises TakesLongError if there is no time for that."""
        if self.brief:
            raise TakesLongError

    @property
    def cluster(self) -> Cluster:
        """What this process remembers of datanodes."""
        return self.environment.cluster

    def take_inode_id(self, tx: Transaction, partition: int) -> int:
        """A new inode id in ``partition``: its parent's for a file, a random one for a directory."""
        return self.environment.inode_ids.take(tx, partition)

    def take_block_id(self, tx: Transaction, partition: int) -> int:
        """A new block id in the partition of its file."""
        return self.environment.block_ids.take(tx, partition)

    def random_partition(self) -> int:
        """Where a new directory's own rows go: anywhere, so that the tree spreads over shards."""
        return self.environment.random_below(PARTITIONS)
