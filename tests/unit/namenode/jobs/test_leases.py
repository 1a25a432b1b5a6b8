"""Lease expiry and orphans."""

from __future__ import annotations

import pytest

from oastfs.core.errors import LeaseExpired, NotFound, StaleHandle
from oastfs.core.limits import LEASE_HARD_LIMIT_NS
from oastfs.core.path import by_id
from oastfs.core.types import Flag
from oastfs.namenode.blocks.replicas import mark_corrupt
from oastfs.namenode.jobs.leases import LeaseExpiry
from oastfs.namenode.jobs.orphans import Orphans
from oastfs.namenode.jobs.reclaim import Reclaim
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import LEASE, OPEN_FILE
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, SECOND_NS, Clock
from tests.unit.namenode.ops.test_truncate import rows, write

HARD_LIMIT_SECONDS = LEASE_HARD_LIMIT_NS // SECOND_NS


def is_open(namespace: Namespace, path: str) -> bool:
    return bool(namespace.stat(ROOT, path).flags & Flag.OPEN)


def expire(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    clock.advance(HARD_LIMIT_SECONDS + 1)
    fleet.beat_all()
    LeaseExpiry(namespace).run_all(clock())


def test_a_living_writer_is_left_alone(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    namespace.create(ROOT, "/f", holder="w")
    clock.advance(HARD_LIMIT_SECONDS - 10)
    namespace.renew_lease(ROOT, "w")
    clock.advance(20)
    LeaseExpiry(namespace).run_all(clock())
    assert is_open(namespace, "/f") and rows(namespace, LEASE) == 1


def test_files_of_a_dead_writer_are_closed(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    for number in range(150):
        namespace.create(ROOT, f"/f{number}", holder="w")
    fleet.write_block(namespace.add_block(ROOT, "/f0", "w", 0), 50)
    namespace.create(ROOT, "/other", holder="alive")
    clock.advance(HARD_LIMIT_SECONDS - 10)
    namespace.renew_lease(ROOT, "alive")
    clock.advance(20)
    fleet.beat_all()
    LeaseExpiry(namespace).run_all(clock())
    assert [number for number in range(150) if is_open(namespace, f"/f{number}")] == [0]
    fleet.carry_out_all()
    assert not is_open(namespace, "/f0") and namespace.stat(ROOT, "/f0").length == 50
    assert is_open(namespace, "/other")
    LeaseExpiry(namespace).run_all(clock())
    assert rows(namespace, LEASE) == 1
    with pytest.raises(LeaseExpired):
        namespace.commit(ROOT, "/f0", "w", [])


def test_a_dead_mounts_update_is_settled(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [100])
    (block,) = namespace.open(ROOT, "/f").blocks
    fleet.write_block(namespace.update_block(ROOT, "/f", "mount", 0, block.block_id), 4000)
    expire(namespace, fleet, clock)
    fleet.carry_out_all()
    (block,) = namespace.open(ROOT, "/f").blocks
    assert (block.length, block.generation_stamp, block.under_construction) == (100, 3, False)
    assert not is_open(namespace, "/f")


def test_another_is_asked_when_the_first_does_not_answer(
    namespace: Namespace, fleet: Fleet, clock: Clock
) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    fleet.write_block(block, 70)
    expire(namespace, fleet, clock)
    asked = next(node for node in fleet.nodes if any(kind == 3 for _, kind, _ in node.beat()))
    asked.running = False
    late = asked.ledger[block.block_id]
    clock.advance(40)
    fleet.beat_all()
    LeaseExpiry(namespace).run_all(clock())
    fleet.carry_out_all()
    assert not is_open(namespace, "/f") and namespace.stat(ROOT, "/f").length == 70
    assert asked.ledger[block.block_id] == late
    (seen,) = namespace.open(ROOT, "/f").blocks
    assert asked.storage_id not in {one.storage_id for one in seen.locations}


def test_a_new_block_without_any_datanode_is_dropped(
    namespace: Namespace, fleet: Fleet, clock: Clock
) -> None:
    namespace.create(ROOT, "/f", holder="w")
    namespace.add_block(ROOT, "/f", "w", 0)
    clock.advance(HARD_LIMIT_SECONDS + 1)
    LeaseExpiry(namespace).run_all(clock())
    assert not is_open(namespace, "/f") and namespace.open(ROOT, "/f").data == b""


def test_another_is_asked_when_the_first_is_corrupt(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [100])
    (block,) = namespace.open(ROOT, "/f").blocks
    fleet.write_block(namespace.update_block(ROOT, "/f", "mount", 0, block.block_id), 100)
    expire(namespace, fleet, clock)
    asked = next(node for node in fleet.nodes if any(kind == 3 for _, kind, _ in node.beat()))
    fleet.write(mark_corrupt, block.block_id, asked.storage_id)
    fleet.carry_out_all()
    (seen,) = namespace.open(ROOT, "/f").blocks
    assert not is_open(namespace, "/f") and seen.generation_stamp == 4
    assert asked.storage_id not in {one.storage_id for one in seen.locations}


def test_a_late_answer_changes_nothing(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    namespace.create(ROOT, "/f", holder="w")
    fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 70)
    expire(namespace, fleet, clock)
    asked = next(node for node in fleet.nodes if any(kind == 3 for _, kind, _ in node.beat()))
    namespace.delete(ROOT, "/f")
    Reclaim(namespace).run_all(clock())
    clock.advance(61)
    asked.carry_out()
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/f")
    assert rows(namespace, OPEN_FILE) == 0


def test_orphans_of_a_dead_mount(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [100])
    namespace.write_file(ROOT, "/g", b"x")
    ids = [namespace.unlink(ROOT, path, "mount").inode_id for path in ("/f", "/g")]
    clock.advance(HARD_LIMIT_SECONDS - 10)
    namespace.renew_lease(ROOT, "mount")
    clock.advance(20)
    Orphans(namespace).run_all(clock())
    assert namespace.stat(ROOT, by_id(ids[0])).nlink == 0
    clock.advance(HARD_LIMIT_SECONDS)
    Orphans(namespace).run_all(clock())
    Reclaim(namespace).run_all(clock())
    for inode_id in ids:
        with pytest.raises(StaleHandle):
            namespace.stat(ROOT, by_id(inode_id))
    fleet.carry_out_all()
    assert all(not node.ledger for node in fleet.nodes)


def test_more_orphans_than_a_page(namespace: Namespace, clock: Clock) -> None:
    for number in range(600):
        namespace.write_file(ROOT, f"/f{number}", b"x")
        namespace.unlink(ROOT, f"/f{number}", "mount")
    clock.advance(HARD_LIMIT_SECONDS + 1)
    Orphans(namespace).run_all(clock())
    assert rows(namespace, OPEN_FILE) == 0
