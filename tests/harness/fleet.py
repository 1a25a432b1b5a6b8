"""Datanodes as the namespace sees them: registered, beating, and carrying out commands on a ledger.

The rows and the transactions are the real ones; what is not there is disks and sockets. Each storage has a
ledger of replicas (block id to stamp and length), changed as a datanode would change its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from oastfs.core.types import SUPERUSER, BlockCommit, LocatedBlock
from oastfs.namenode import block_report, membership
from oastfs.namenode.block_report import Reported
from oastfs.namenode.blocks import recover, replicas
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.membership import Registration, StorageReport
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import DatanodeCommand

T = TypeVar("T")

GIB = 1 << 30


class Node:
    """One datanode with one storage."""

    def __init__(self, fleet: Fleet, number: int, host: str, capacity: int) -> None:
        self.fleet = fleet
        self.uuid = f"datanode-{number}"
        self.host = host
        self.data_port = 9000 + number
        self.capacity = capacity
        self.remaining = capacity
        self.failed = False
        self.rack = ""
        self.storage_type = "DISK"
        self.running = True
        self.ledger: dict[int, tuple[int, int]] = {}
        self.datanode_id = self.storage_id = 0

    @property
    def report(self) -> StorageReport:
        return StorageReport(
            f"storage-of-{self.uuid}",
            self.storage_type,
            self.capacity,
            self.capacity - self.remaining,
            self.remaining,
            self.failed,
        )

    @property
    def view(self) -> StorageView:
        namespace = self.fleet.namespace
        context = namespace.context(SUPERUSER)
        view = namespace.store.read(lambda tx: context.cluster.find(tx, context.now_ns, self.storage_id))
        assert view is not None
        return view

    def register(self) -> None:
        request = Registration("", self.uuid, self.host, self.data_port, 0, "", [self.report], rack=self.rack)
        self.datanode_id, (self.storage_id,) = self.fleet.write(membership.register, request)
        self.running = True

    def beat(self) -> list[tuple[int, int, DatanodeCommand]]:
        """A heartbeat that is written, and the commands that it brings."""
        return self.fleet.write(membership.beat, self.datanode_id, self.uuid, [self.report], 0)

    def report_blocks(self) -> None:
        """Two full block reports running, as when the first one lacks something."""
        lacking: set[int] = set()
        for _ in range(2):
            lacking = self._report_once(lacking)

    def _report_once(self, suspected: set[int]) -> set[int]:
        found = [Reported(block_id, *self.ledger[block_id]) for block_id in sorted(self.ledger)]
        view = self.view
        differences = self.fleet.namespace.store.read(
            lambda tx: block_report.compare(tx, self.storage_id, 0, found, True)
        )
        for one in differences.odd:
            self.fleet.write(block_report.correct, view, one)
        for block_id in suspected.intersection(differences.lacking):
            self.fleet.write(block_report.drop_missing, view, block_id)
        return set(differences.lacking)

    def carry_out(self) -> int:
        """Beat, do what is told, and report it; how many commands there were."""
        handed = self.beat()
        for block_id, kind, command in handed:
            getattr(self, {1: "_delete", 2: "_copy", 3: "_recover"}[kind])(block_id, command)
        return len(handed)

    def _delete(self, block_id: int, command: DatanodeCommand) -> None:
        held = self.ledger.get(block_id)
        if held is None:
            self.fleet.write(replicas.missing, self.view, block_id)
        elif held[0] <= command.generation_stamp:
            del self.ledger[block_id]
            self.fleet.write(replicas.deleted, self.view, block_id, held[0])

    def _copy(self, block_id: int, command: DatanodeCommand) -> None:
        held = self.ledger.get(block_id)
        if held is None:
            self.fleet.write(replicas.missing, self.view, block_id)
            return
        for target_id in command.targets:
            target = self.fleet.by_storage(target_id)
            if target.running:
                target.ledger[block_id] = held
                self.fleet.write(replicas.received, target.view, block_id, *held)

    def _recover(self, block_id: int, command: DatanodeCommand) -> None:
        held = self.ledger.get(block_id)
        if held is None:
            self.fleet.write(replicas.missing, self.view, block_id)
            return
        length = max(held[1], command.length)
        self.ledger[block_id] = (command.new_stamp, length)
        self.fleet.write(recover.settled, block_id, self.storage_id, command.new_stamp, length)


class Fleet:
    """Datanodes of one namespace."""

    def __init__(self, namespace: Namespace, kind: type[Node] = Node) -> None:
        self.namespace = namespace
        self.kind = kind
        self.nodes: list[Node] = []

    def add(self, host: str = "", capacity: int = GIB) -> Node:
        """A new datanode, registered."""
        number = len(self.nodes) + 1
        node = self.kind(self, number, host or f"host-{number}", capacity)
        self.nodes.append(node)
        node.register()
        return node

    def by_storage(self, storage_id: int) -> Node:
        return next(node for node in self.nodes if node.storage_id == storage_id)

    def write(self, operation: Callable[..., T], *arguments: object) -> T:
        """Run a function of (tx, context, ...) as a transaction."""
        context = self.namespace.context(SUPERUSER)
        return self.namespace.store.write(lambda tx: operation(tx, context, *arguments))

    def beat_all(self) -> None:
        for node in self.running():
            node.beat()

    def running(self) -> Iterator[Node]:
        return (node for node in self.nodes if node.running)

    def carry_out_all(self) -> int:
        """Every running datanode does what it is told, until there is nothing more to do."""
        total = 0
        while did := sum(node.carry_out() for node in list(self.running())):
            total += did
        return total

    def write_block(self, block: LocatedBlock, length: int, on: set[int] | None = None) -> BlockCommit:
        """What a writer does with a block: its targets (or those of ``on``) have ``length`` bytes."""
        storage_ids = tuple(one.storage_id for one in block.locations if on is None or one.storage_id in on)
        for storage_id in storage_ids:
            self.by_storage(storage_id).ledger[block.block_id] = (block.generation_stamp, length)
        return BlockCommit(block.block_id, block.generation_stamp, block.offset, length, storage_ids)
