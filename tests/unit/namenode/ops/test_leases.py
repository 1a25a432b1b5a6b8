"""renew_lease and recover_lease."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, LeaseExpired, PermissionDenied, StaleBlock
from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import LEASE
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock


def renewed_ns(namespace: Namespace, holder: str) -> int:
    row = namespace.store.read(lambda tx: tx.get(LEASE, (holder,)))
    return 0 if row is None else row.renewed_ns


def test_renewal(namespace: Namespace, clock: Clock) -> None:
    namespace.create(ROOT, "/f", holder="w")
    first = renewed_ns(namespace, "w")
    clock.advance(1)
    namespace.renew_lease(ROOT, "w")
    assert renewed_ns(namespace, "w") > first


def test_a_writer_of_nothing_has_no_lease(namespace: Namespace) -> None:
    namespace.renew_lease(ROOT, "w")
    assert renewed_ns(namespace, "w") == 0
    with pytest.raises(InvalidArgument):
        namespace.renew_lease(ROOT, "")


def test_a_file_without_writers_is_closed(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"")
    assert namespace.recover_lease(ROOT, "/f")


def test_a_file_without_blocks_is_closed_at_once(namespace: Namespace) -> None:
    namespace.create(ROOT, "/f", holder="w")
    assert namespace.recover_lease(ROOT, "/f")
    with pytest.raises(LeaseExpired):
        namespace.commit(ROOT, "/f", "w", [])


def test_what_an_exclusive_writer_flushed_is_kept(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    commit = fleet.write_block(block, 123)
    assert not namespace.recover_lease(ROOT, "/f")
    assert not namespace.recover_lease(ROOT, "/f")
    with pytest.raises(LeaseExpired):
        namespace.complete(ROOT, "/f", "w", [commit])
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/f")
    assert namespace.stat(ROOT, "/f").length == 123
    (seen,) = namespace.open(ROOT, "/f").blocks
    assert seen.generation_stamp == 2 and len(seen.locations) == 1


def test_what_was_flushed_after_the_last_commit_is_kept(
    namespace: Namespace, fleet: Fleet, clock: Clock
) -> None:
    """HDFS's clients tell of the first flush of a pipeline only."""
    namespace.create(ROOT, "/f", holder="w")
    clock.advance(1)
    block = namespace.add_block(ROOT, "/f", "w", 0)
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 100)])
    fleet.write_block(block, 300)
    assert not namespace.recover_lease(ROOT, "/f")
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/f")
    assert namespace.stat(ROOT, "/f").length == 300


def test_a_last_block_that_an_appender_had_is_settled(namespace: Namespace, fleet: Fleet) -> None:
    """Only the datanodes know whether it was touched."""
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    namespace.complete(ROOT, "/f", "w", [fleet.write_block(block, 100)])
    namespace.append(ROOT, "/f", "x")
    assert not namespace.recover_lease(ROOT, "/f")
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/f") and namespace.stat(ROOT, "/f").length == 100
    (seen,) = namespace.open(ROOT, "/f").blocks
    assert seen.generation_stamp == 2


def test_an_update_that_its_writer_leaves_unfinished_is_settled(namespace: Namespace, fleet: Fleet) -> None:
    """The file stays open for that, and for nothing else."""
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 100)])
    namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    assert namespace.complete(ROOT, "/f", "w", []).flags & Flag.OPEN
    assert not namespace.recover_lease(ROOT, "/f")
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/f")
    assert not namespace.stat(ROOT, "/f").flags & Flag.OPEN


def test_a_block_that_no_datanode_has_is_dropped(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    namespace.add_block(ROOT, "/f", "w", 0)
    assert not namespace.recover_lease(ROOT, "/f")
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/f")
    opened = namespace.open(ROOT, "/f")
    assert opened.data == b"" and opened.blocks == ()


def test_inline_content_is_not_lost_to_an_unfinished_block(namespace: Namespace, fleet: Fleet) -> None:
    namespace.write_file(ROOT, "/f", b"x" * 500)
    namespace.append(ROOT, "/f", "w")
    fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 100)
    assert namespace.recover_lease(ROOT, "/f")
    assert namespace.open(ROOT, "/f").data == b"x" * 500


def test_a_shared_writers_new_blocks_are_dropped(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f")
    block = namespace.add_block(ROOT, "/f", "mount", 0)
    commit = fleet.write_block(block, 100)
    assert namespace.recover_lease(ROOT, "/f")
    with pytest.raises(StaleBlock):
        namespace.add_block(ROOT, "/f", "mount", 4096)
        namespace.commit(ROOT, "/f", "mount", [commit])


def test_needs_permission(namespace: Namespace) -> None:
    namespace.create(ALICE, "/home/alice/f", 0o644, holder="w")
    with pytest.raises(PermissionDenied):
        namespace.recover_lease(BOB, "/home/alice/f")
