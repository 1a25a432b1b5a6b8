from __future__ import annotations

import msgspec
import pytest

from oastfs.core.errors import InvalidArgument, LeaseExpired, NotFound, StaleBlock, StaleHandle
from oastfs.core.path import by_id
from oastfs.core.types import BlockCommit, LocatedBlock
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import CONTENT, REPLICA, REPLICATION_NEED
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock


@pytest.fixture
def block(namespace: Namespace, fleet: Fleet) -> LocatedBlock:
    namespace.create(ROOT, "/f", holder="w")
    return namespace.add_block(ROOT, "/f", "w", 0)


def queued(namespace: Namespace, block_id: int) -> bool:
    return namespace.store.read(lambda tx: tx.get(REPLICATION_NEED, (block_id,))) is not None


def test_makes_the_block_visible(
    namespace: Namespace, fleet: Fleet, block: LocatedBlock, clock: Clock
) -> None:
    clock.advance(5)
    status = namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 700)])
    assert status.length == 700 and not status.is_inline
    assert status.mtime_ns == status.ctime_ns == clock.now_ns
    seen = namespace.open(ROOT, "/f").blocks
    assert [(one.offset, one.length, len(one.locations)) for one in seen] == [(0, 700, 2)]
    assert not queued(namespace, block.block_id)


def test_fewer_replicas_than_wanted_are_queued(
    namespace: Namespace, fleet: Fleet, block: LocatedBlock
) -> None:
    kept = block.locations[0].storage_id
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 700, on={kept})])
    assert queued(namespace, block.block_id)
    assert [one.storage_id for one in namespace.open(ROOT, "/f").blocks[0].locations] == [kept]


def test_a_target_that_is_not_named_is_bad(namespace: Namespace, fleet: Fleet, block: LocatedBlock) -> None:
    """It may have the stamp without the bytes: a block report must not bring it back."""
    kept, left = (one.storage_id for one in block.locations)
    fleet.write_block(block, 700)
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 700, on={kept})])
    fleet.by_storage(left).report_blocks()
    row = namespace.store.read(lambda tx: tx.get(REPLICA, (block.block_id, left)))
    assert row is not None and row.corrupt
    fleet.carry_out_all()
    assert block.block_id not in fleet.by_storage(left).ledger


def test_a_given_length_counts(namespace: Namespace, fleet: Fleet, block: LocatedBlock) -> None:
    commit = fleet.write_block(block, 700)
    assert namespace.commit(ROOT, "/f", "w", [commit], 5000).length == 5000
    assert namespace.commit(ROOT, "/f", "w", [], 600).length == 600
    assert namespace.open(ROOT, "/f").blocks[0].length == 600
    with pytest.raises(InvalidArgument):
        namespace.commit(ROOT, "/f", "w", [], -2)


def test_made_again_it_changes_nothing(namespace: Namespace, fleet: Fleet, block: LocatedBlock) -> None:
    commit = fleet.write_block(block, 700)
    namespace.commit(ROOT, "/f", "w", [commit])
    before = namespace.open(ROOT, "/f").blocks
    namespace.commit(ROOT, "/f", "w", [commit])
    assert namespace.open(ROOT, "/f").blocks == before


def test_appending_goes_on_under_the_same_stamp(
    namespace: Namespace, fleet: Fleet, block: LocatedBlock
) -> None:
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 700)])
    assert namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 900)]).length == 900
    with pytest.raises(InvalidArgument, match="900 to 4096"):
        namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 800)])
    strange = msgspec.structs.replace(fleet.write_block(block, 1000), storage_ids=(77,))
    with pytest.raises(InvalidArgument, match="not given to storages"):
        namespace.commit(ROOT, "/f", "w", [strange])


def test_inline_content_is_replaced(namespace: Namespace, fleet: Fleet) -> None:
    inode_id = namespace.write_file(ROOT, "/g", b"x" * 1000).inode_id
    block = namespace.add_block(ROOT, "/g", "w", 0)
    assert namespace.open(ROOT, "/g").data == b"x" * 1000
    namespace.complete(ROOT, "/g", "w", [fleet.write_block(block, 2000)])
    assert namespace.open(ROOT, "/g").data is None
    assert namespace.store.read(lambda tx: tx.get(CONTENT, (inode_id,))) is None


@pytest.mark.parametrize(
    "change",
    [{"generation_stamp": 2}, {"generation_stamp": 0}, {"block_id": 5}, {"offset": 512}],
)
def test_what_was_not_given_is_stale(
    namespace: Namespace, fleet: Fleet, block: LocatedBlock, change: dict[str, int]
) -> None:
    commit = msgspec.structs.replace(fleet.write_block(block, 10), **change)
    with pytest.raises(StaleBlock):
        namespace.commit(ROOT, "/f", "w", [commit])


@pytest.mark.parametrize("change", [{"length": 4097}, {"length": -1}, {"storage_ids": ()}])
def test_what_cannot_be(
    namespace: Namespace, fleet: Fleet, block: LocatedBlock, change: dict[str, object]
) -> None:
    commit = msgspec.structs.replace(fleet.write_block(block, 10), **change)
    with pytest.raises(InvalidArgument):
        namespace.commit(ROOT, "/f", "w", [commit])


def test_all_or_nothing(namespace: Namespace, fleet: Fleet, block: LocatedBlock) -> None:
    good = fleet.write_block(block, 10)
    bad = BlockCommit(99, 1, 4096, 10, (1,))
    with pytest.raises(StaleBlock):
        namespace.commit(ROOT, "/f", "w", [good, bad])
    assert namespace.open(ROOT, "/f").data == b""


def test_a_block_may_not_grow_over_the_next(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    after = namespace.add_block(ROOT, "/f", "w", 1024)
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(after, 10)])
    first = namespace.add_block(ROOT, "/f", "w", 0)
    with pytest.raises(StaleBlock, match="reach over"):
        namespace.commit(ROOT, "/f", "w", [fleet.write_block(first, 1025)])
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(first, 1024)])


def test_only_its_writer_commits(namespace: Namespace, fleet: Fleet, block: LocatedBlock) -> None:
    commit = fleet.write_block(block, 10)
    with pytest.raises(LeaseExpired):
        namespace.commit(ROOT, "/f", "other", [commit])
    with pytest.raises(LeaseExpired):
        namespace.commit(ROOT, "/f", "/recovery", [commit])


def test_of_a_removed_file(namespace: Namespace, fleet: Fleet, block: LocatedBlock) -> None:
    inode_id = namespace.stat(ROOT, "/f").inode_id
    commit = fleet.write_block(block, 10)
    namespace.delete(ROOT, "/f")
    with pytest.raises(NotFound):
        namespace.commit(ROOT, "/f", "w", [commit])
    with pytest.raises(StaleHandle):
        namespace.commit(ROOT, by_id(inode_id), "w", [commit])


def test_of_an_open_file_without_a_name(namespace: Namespace, fleet: Fleet) -> None:
    inode_id = namespace.create(ROOT, "/g").inode_id
    block = namespace.add_block(ROOT, "/g", "mount", 0)
    namespace.unlink(ROOT, "/g", "mount")
    namespace.commit(ROOT, by_id(inode_id), "mount", [fleet.write_block(block, 10)])
    assert namespace.open(ROOT, by_id(inode_id)).blocks[0].length == 10
