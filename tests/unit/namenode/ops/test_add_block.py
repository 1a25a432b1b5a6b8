from __future__ import annotations

import msgspec
import pytest

from oastfs.core.errors import (
    InvalidArgument,
    IsADirectory,
    LeaseConflict,
    NoDatanodes,
    PermissionDenied,
    StaleHandle,
)
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.path import by_id
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock


def test_gives_as_many_targets_as_the_file_wants(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w", replication=3)
    block = namespace.add_block(ROOT, "/f", "w", 0)
    assert sorted(one.storage_id for one in block.locations) == [1, 2, 3]
    assert (block.generation_stamp, block.committed_stamp, block.length) == (1, 0, 0)
    assert block.under_construction


def test_an_uncommitted_block_is_not_seen(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    namespace.add_block(ROOT, "/f", "w", 0)
    opened = namespace.open(ROOT, "/f")
    assert opened.data == b"" and opened.blocks == ()


def test_the_writers_own_machine_comes_first(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    for number in range(20):
        block = namespace.add_block(ROOT, "/f", "w", number * 4096, None, "host-2")
        assert block.locations[0].host == "host-2"


def test_leaves_out_datanodes_that_failed(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0, [fleet.nodes[0].datanode_id])
    assert sorted(one.storage_id for one in block.locations) == [2, 3]


def test_a_second_call_replaces_the_first(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    first = namespace.add_block(ROOT, "/f", "w", 0)
    fleet.write_block(first, 100)
    second = namespace.add_block(ROOT, "/f", "w", 0)
    assert second.block_id != first.block_id
    fleet.carry_out_all()
    assert all(first.block_id not in node.ledger for node in fleet.nodes)


def test_takes_fewer_datanodes_than_wanted_but_not_none(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w", replication=5)
    assert len(namespace.add_block(ROOT, "/f", "w", 0).locations) == 3
    with pytest.raises(NoDatanodes, match="all 3 live datanodes have failed"):
        namespace.add_block(ROOT, "/f", "w", 0, [node.datanode_id for node in fleet.nodes])


def test_without_datanodes_it_says_so(namespace: Namespace) -> None:
    namespace.create(ROOT, "/f", holder="w")
    with pytest.raises(NoDatanodes, match="oastfs datanode"):
        namespace.add_block(ROOT, "/f", "w", 0)


def test_silent_and_full_datanodes_are_not_chosen(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    namespace.create(ROOT, "/f", holder="w")
    clock.advance(29)
    fleet.nodes[0].beat()
    fleet.nodes[1].remaining = 4095
    fleet.nodes[1].beat()
    clock.advance(5)
    block = namespace.add_block(ROOT, "/f", "w", 0)
    assert [one.storage_id for one in block.locations] == [1]
    fleet.nodes[0].remaining = 0
    fleet.nodes[0].beat()
    clock.advance(5)
    with pytest.raises(NoDatanodes, match="none of 2 live datanodes has room"):
        namespace.add_block(ROOT, "/f", "w", 0)


def test_not_over_a_committed_block(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 512)
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 1000)])
    for offset in (512, 600, 1511):
        with pytest.raises(InvalidArgument, match="update it"):
            namespace.add_block(ROOT, "/f", "w", offset)
    namespace.add_block(ROOT, "/f", "w", 1512)
    namespace.add_block(ROOT, "/f", "w", 0)


@pytest.mark.parametrize("offset", [-1, (1 << 63) - 1, 1 << 70])
def test_offsets_out_of_range(namespace: Namespace, fleet: Fleet, offset: int) -> None:
    namespace.create(ROOT, "/f", holder="w")
    with pytest.raises(InvalidArgument):
        namespace.add_block(ROOT, "/f", "w", offset)


def test_the_last_block_that_a_file_may_have_ends_with_it(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", FILE_BYTES_MAX - 10)
    written = fleet.write_block(block, 11)
    with pytest.raises(InvalidArgument, match="cannot have 11 bytes, but 0 to 10"):
        namespace.commit(ROOT, "/f", "w", [written])
    status = namespace.commit(ROOT, "/f", "w", [msgspec.structs.replace(written, length=10)])
    assert status.length == FILE_BYTES_MAX


@pytest.mark.parametrize("holder", ["", "/recovery", "a\0b", "x" * 201, "\ud800"])
def test_names_that_no_writer_can_have(namespace: Namespace, fleet: Fleet, holder: str) -> None:
    namespace.create(ROOT, "/f")
    with pytest.raises(InvalidArgument):
        namespace.add_block(ROOT, "/f", holder, 0)


def test_an_exclusive_writer_keeps_others_out(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="one")
    with pytest.raises(LeaseConflict, match="'one'"):
        namespace.add_block(ROOT, "/f", "other", 0)


def test_shared_writers_of_different_blocks(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f")
    first = namespace.add_block(ROOT, "/f", "one", 0)
    second = namespace.add_block(ROOT, "/f", "other", 4096)
    with pytest.raises(LeaseConflict, match="try again"):
        namespace.add_block(ROOT, "/f", "other", 0)
    namespace.complete(ROOT, "/f", "other", [fleet.write_block(second, 10)])
    status = namespace.complete(ROOT, "/f", "one", [fleet.write_block(first, 4096)])
    assert status.length == 4106 and not status.flags & 16


def test_permission_is_asked_of_who_does_not_hold_it(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ALICE, "/home/alice/f", 0o644, holder="w")
    with pytest.raises(PermissionDenied):
        namespace.add_block(BOB, "/home/alice/f", "other", 0)
    namespace.chmod(ALICE, "/home/alice/f", 0o400)
    namespace.add_block(ALICE, "/home/alice/f", "w", 0)


def test_not_for_what_is_no_file(namespace: Namespace, fleet: Fleet) -> None:
    with pytest.raises(IsADirectory):
        namespace.add_block(ROOT, "/tmp", "w", 0)
    namespace.mknod(ROOT, "/fifo", 0o010600)
    with pytest.raises(InvalidArgument):
        namespace.add_block(ROOT, "/fifo", "w", 0)


def test_a_removed_file_is_stale(namespace: Namespace, fleet: Fleet) -> None:
    inode_id = namespace.create(ROOT, "/f", holder="w").inode_id
    namespace.delete(ROOT, "/f")
    with pytest.raises(StaleHandle):
        namespace.add_block(ROOT, by_id(inode_id), "w", 0)
