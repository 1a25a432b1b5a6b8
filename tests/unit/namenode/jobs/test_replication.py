"""Replication and failure detection: one dies, its replicas are made anew, it returns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oastfs.namenode.jobs.commands import CommandExpiry
from oastfs.namenode.jobs.failures import FailureDetection
from oastfs.namenode.jobs.replication import Replication
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import DATANODE, DATANODE_COMMAND, REPLICATION_NEED, STORAGE
from tests.harness.fleet import Fleet, Node
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.ops.test_truncate import rows, write

FILES = 12


class World:
    """A fleet with files, and the jobs that look after them."""

    def __init__(self, namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
        self.namespace = namespace
        self.fleet = fleet
        self.clock = clock
        self.jobs = [FailureDetection(namespace), Replication(namespace), CommandExpiry(namespace)]
        for number in range(FILES):
            write(namespace, fleet, f"/f{number}", [100])
        self.jobs[0].run_once(clock())
        self.seconds(3)  # so all have been heard of

    def seconds(self, count: int) -> None:
        """Time passes, as it does with heartbeats and jobs running."""
        for _ in range(count // 3):
            self.clock.advance(3)
            for node in self.fleet.running():
                node.carry_out()
            for job in self.jobs:
                job.run_all(self.clock())

    def replicas(self) -> list[int]:
        """Live replicas of each file."""
        return [len(self.namespace.open(ROOT, f"/f{number}").blocks[0].locations) for number in range(FILES)]

    def held(self) -> int:
        return sum(len(node.ledger) for node in self.fleet.nodes)

    def state(self, node: Node) -> int:
        row = self.namespace.store.read(lambda tx: tx.get(DATANODE, (node.datanode_id,)))
        assert row is not None
        return row.state


@pytest.fixture
def world(namespace: Namespace, fleet: Fleet, clock: Clock) -> World:
    return World(namespace, fleet, clock)


def test_a_dead_datanodes_replicas_are_made_anew(world: World) -> None:
    dead = world.fleet.nodes[0]
    dead.running = False
    world.seconds(27)
    assert world.state(dead) == 0
    assert min(world.replicas()) == 2, "a silent datanode is offered until it is taken for dead"
    world.seconds(30)
    assert world.state(dead) == 1
    assert world.replicas() == [2] * FILES
    assert dead.storage_id not in {
        one.storage_id
        for number in range(FILES)
        for one in world.namespace.open(ROOT, f"/f{number}").blocks[0].locations
    }
    assert rows(world.namespace, REPLICATION_NEED) == 0


def test_its_return_makes_a_surplus_that_is_removed(world: World) -> None:
    dead = world.fleet.nodes[0]
    kept = len(dead.ledger)
    assert kept
    dead.running = False
    world.seconds(60)
    assert len(dead.ledger) == kept
    dead.register()
    dead.report_blocks()
    assert max(world.replicas()) == 3
    world.seconds(60)
    assert world.replicas() == [2] * FILES
    assert world.held() == 2 * FILES
    assert rows(world.namespace, DATANODE_COMMAND) == 0
    assert rows(world.namespace, REPLICATION_NEED) == 0


def test_blocks_removed_meanwhile_are_removed_from_who_returns(world: World) -> None:
    dead = world.fleet.nodes[0]
    dead.running = False
    world.seconds(60)
    for number in range(FILES):
        world.namespace.truncate(ROOT, f"/f{number}", 0)
    world.seconds(6)
    dead.register()
    dead.report_blocks()
    world.seconds(6)
    assert world.held() == 0


def test_after_a_start_datanodes_have_time_to_be_heard(world: World) -> None:
    """All heartbeats are old when everything was stopped for an hour."""
    world.clock.advance(3600)
    world.jobs = [FailureDetection(world.namespace)]
    world.jobs[0].run_once(world.clock())
    world.clock.advance(5)
    for node in world.fleet.nodes:
        node.beat()
    for _ in range(12):
        world.clock.advance(3)
        world.fleet.beat_all()
        world.jobs[0].run_once(world.clock())
    assert [world.state(node) for node in world.fleet.nodes] == [0, 0, 0]


def test_after_a_start_it_is_patient_with_those_never_heard_of(world: World) -> None:
    """Machines come back one after the other, and one that came and went is missed as soon as ever."""
    _, late, never = world.fleet.nodes
    world.clock.advance(3600)
    world.namespace = restarted = Namespace(world.namespace.store, clock_ns=world.clock)
    world.jobs = [FailureDetection(restarted), Replication(restarted)]
    late.running = never.running = False
    world.seconds(270)
    assert [world.state(node) for node in world.fleet.nodes] == [0, 0, 0]
    assert rows(restarted, DATANODE_COMMAND) == 0, "nothing is copied in vain"
    late.running = True
    world.seconds(9)
    late.running = False
    world.seconds(24)
    assert [world.state(node) for node in world.fleet.nodes] == [0, 0, 1]
    world.seconds(12)
    assert [world.state(node) for node in world.fleet.nodes] == [0, 1, 1]


def test_clocks_of_namenodes_may_differ(world: World) -> None:
    """Heartbeats stamped an hour ahead by another namenode, which then is gone, and an hour behind."""
    other = Namespace(world.namespace.store, clock_ns=lambda: world.clock() + 3600 * 10**9)
    mine = world.namespace
    for namespace in (other, mine, other):
        world.fleet.namespace = namespace
        world.seconds(90)
        assert [world.state(node) for node in world.fleet.nodes] == [0, 0, 0]
        assert all(mine.context(ROOT).cluster.is_live(node.view, world.clock()) for node in world.fleet.nodes)
    world.fleet.nodes[0].running = False
    world.seconds(36)
    assert [world.state(node) for node in world.fleet.nodes] == [1, 0, 0]


def test_one_that_follows_listens_as_well(world: World) -> None:
    """A datanode that dies with the leader is missed by the next one as soon as by the first."""
    leads = [False]
    world.jobs = [FailureDetection(world.namespace, lambda: leads[0])]
    world.seconds(9)
    world.fleet.nodes[0].running = False
    world.seconds(36)
    assert world.state(world.fleet.nodes[0]) == 0, "it is not for followers to say so"
    leads[0] = True
    world.seconds(3)
    assert world.state(world.fleet.nodes[0]) == 1


def test_a_failed_volume(world: World) -> None:
    node = world.fleet.nodes[1]
    node.failed = True
    node.ledger.clear()
    world.seconds(60)
    assert world.replicas() == [2] * FILES
    assert not node.ledger
    row = world.namespace.store.read(lambda tx: tx.get(STORAGE, (node.storage_id,)))
    assert row is not None and row.state == 2


def test_what_a_report_lacks_is_made_anew(world: World) -> None:
    node = world.fleet.nodes[1]
    lost = len(node.ledger)
    node.ledger.clear()
    node.report_blocks()
    assert world.replicas().count(1) == lost
    world.seconds(60)
    assert world.replicas() == [2] * FILES


def test_with_too_few_datanodes_it_waits(world: World) -> None:
    for node in world.fleet.nodes[:2]:
        node.running = False
    world.seconds(60)
    assert rows(world.namespace, REPLICATION_NEED) > 0
    back = world.fleet.nodes[0]
    back.register()
    back.report_blocks()
    world.seconds(120)
    assert world.replicas() == [2] * FILES


def test_a_copy_that_never_arrives_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.namespace.set_replication(ROOT, "/f0", 3)
    lost: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(Node, "_copy", lambda node, block_id, command: lost.append(block_id))
        world.seconds(9)
    assert lost and world.replicas()[0] == 2
    world.seconds(120)
    assert world.replicas()[0] == 3


@pytest.mark.parametrize("looks", [2, 5])
def test_two_looks_running_delete_one_replica(world: World, looks: int) -> None:
    """Several namenodes, or one that starts again, must not remove the last replicas between them."""
    world.namespace.set_replication(ROOT, "/f0", 1)
    look: Callable[[], object] = lambda: Replication(world.namespace).run_all(world.clock())  # noqa: E731
    for _ in range(looks):
        look()
        for node in world.fleet.nodes:
            node.remaining -= 1_000_000
        world.namespace.set_replication(ROOT, "/f0", 2)
        world.namespace.set_replication(ROOT, "/f0", 1)
        world.clock.advance(2)
    world.seconds(90)
    assert world.replicas()[0] == 1


def test_not_while_a_block_is_being_written(world: World) -> None:
    (block,) = world.namespace.open(ROOT, "/f0").blocks
    update = world.namespace.update_block(ROOT, "/f0", "w", 0, block.block_id)
    world.namespace.set_replication(ROOT, "/f0", 3)
    world.seconds(30)
    assert world.replicas()[0] == 2
    world.namespace.complete(ROOT, "/f0", "w", [world.fleet.write_block(update, 200)])
    world.seconds(30)
    assert world.replicas()[0] == 3
