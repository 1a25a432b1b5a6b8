from __future__ import annotations

import pytest

from oastfs.core.errors import BlockNotFound, LeaseConflict, StaleBlock
from oastfs.core.types import LocatedBlock
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock


def one_block(namespace: Namespace, fleet: Fleet, length: int = 1000) -> LocatedBlock:
    """A file ``/f`` of one committed block; as readers see it."""
    namespace.create(ROOT, "/f", holder="first")
    block = namespace.add_block(ROOT, "/f", "first", 0)
    namespace.complete(ROOT, "/f", "first", [fleet.write_block(block, length)])
    return namespace.open(ROOT, "/f").blocks[0]


def stored(block: LocatedBlock) -> set[int]:
    return {one.storage_id for one in block.locations}


def test_gives_a_new_stamp_and_the_replicas(namespace: Namespace, fleet: Fleet) -> None:
    before = one_block(namespace, fleet)
    update = namespace.update_block(ROOT, "/f", "w", 0, before.block_id)
    assert (update.generation_stamp, update.committed_stamp) == (2, 1)
    assert update.length == 1000 and update.under_construction
    assert stored(update) == stored(before)
    seen = namespace.open(ROOT, "/f").blocks[0]
    assert (seen.generation_stamp, seen.length, seen.under_construction) == (1, 1000, True)
    status = namespace.complete(ROOT, "/f", "w", [fleet.write_block(update, 2000)])
    assert status.length == 2000
    assert namespace.open(ROOT, "/f").blocks[0].generation_stamp == 2


def test_a_later_writer_fences_an_earlier_one(namespace: Namespace, fleet: Fleet) -> None:
    block = one_block(namespace, fleet)
    early = namespace.update_block(ROOT, "/f", "early", 0, block.block_id)
    late = namespace.update_block(ROOT, "/f", "late", 0, block.block_id)
    assert late.generation_stamp == early.generation_stamp + 1
    with pytest.raises(StaleBlock):
        namespace.commit(ROOT, "/f", "early", [fleet.write_block(early, 1500)])
    namespace.commit(ROOT, "/f", "late", [fleet.write_block(late, 1200)])
    assert namespace.stat(ROOT, "/f").length == 1200


def test_another_writer_takes_one_replica_only(namespace: Namespace, fleet: Fleet) -> None:
    """What two replicas have of an unfinished write may differ: only one can be built upon."""
    block = one_block(namespace, fleet)
    early = namespace.update_block(ROOT, "/f", "early", 0, block.block_id)
    fleet.write_block(early, 1100)
    late = namespace.update_block(ROOT, "/f", "late", 0, block.block_id)
    assert len(late.locations) == 1
    namespace.complete(ROOT, "/f", "late", [fleet.write_block(late, 1000)])
    fleet.carry_out_all()
    (kept,) = stored(late)
    assert [node.storage_id for node in fleet.nodes if block.block_id in node.ledger] == [kept]


def test_the_same_writer_goes_on_after_a_broken_pipeline(namespace: Namespace, fleet: Fleet) -> None:
    block = one_block(namespace, fleet)
    first = namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    fleet.write_block(first, 1100)
    again = namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    assert again.generation_stamp == 3 and stored(again) == stored(first)
    (dropped, kept) = sorted(stored(again))
    namespace.complete(ROOT, "/f", "w", [fleet.write_block(again, 1100, on={kept})])
    assert stored(namespace.open(ROOT, "/f").blocks[0]) == {kept}
    fleet.carry_out_all()
    assert block.block_id not in fleet.by_storage(dropped).ledger


def test_recovering_the_pipeline_of_a_new_block(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    lost, kept = (one.storage_id for one in block.locations)
    clock.advance(31)
    for node in fleet.nodes:
        if node.storage_id != lost:
            node.beat()
    again = namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    assert stored(again) == {kept}
    assert (again.generation_stamp, again.committed_stamp) == (2, 0)
    namespace.complete(ROOT, "/f", "w", [fleet.write_block(again, 10)])
    assert namespace.stat(ROOT, "/f").length == 10


def test_no_live_replica(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    block = one_block(namespace, fleet)
    clock.advance(31)
    with pytest.raises(BlockNotFound, match="no live datanode"):
        namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    fleet.beat_all()
    clock.advance(2)
    namespace.update_block(ROOT, "/f", "w", 0, block.block_id)


def test_corrupt_replicas_are_left_out(namespace: Namespace, fleet: Fleet) -> None:
    block = one_block(namespace, fleet)
    bad, good = sorted(stored(block))
    namespace.report_bad_blocks(ROOT, [(block.block_id, bad)])
    assert stored(namespace.update_block(ROOT, "/f", "w", 0, block.block_id)) == {good}


def test_blocks_that_are_not_there(namespace: Namespace, fleet: Fleet) -> None:
    block = one_block(namespace, fleet)
    for offset, block_id in ((0, block.block_id + 1), (512, block.block_id), (0, 0)):
        with pytest.raises(StaleBlock):
            namespace.update_block(ROOT, "/f", "w", offset, block_id)


def test_a_new_block_of_another_writer(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f")
    block = namespace.add_block(ROOT, "/f", "one", 0)
    with pytest.raises(LeaseConflict):
        namespace.update_block(ROOT, "/f", "other", 0, block.block_id)
