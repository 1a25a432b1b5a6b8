from __future__ import annotations

import pytest

from oastfs.core.errors import LeaseConflict, PermissionDenied
from oastfs.core.limits import LEASE_SOFT_LIMIT_NS
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, SECOND_NS, Clock

SOFT_LIMIT_SECONDS = LEASE_SOFT_LIMIT_NS // SECOND_NS


def test_of_inline_content(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"abc")
    opened = namespace.append(ROOT, "/f", "w")
    assert opened.data == b"abc" and opened.status.length == 3
    namespace.complete(ROOT, "/f", "w", [])


def test_gives_the_last_block_unless_it_is_full(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    full = fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 4096)
    namespace.complete(ROOT, "/f", "w", [full])
    opened = namespace.append(ROOT, "/f", "a")
    assert opened.data is None and opened.blocks == ()
    part = fleet.write_block(namespace.add_block(ROOT, "/f", "a", 4096), 100)
    namespace.complete(ROOT, "/f", "a", [part])
    (last,) = namespace.append(ROOT, "/f", "a").blocks
    assert (last.offset, last.length) == (4096, 100)
    update = namespace.update_block(ROOT, "/f", "a", last.offset, last.block_id)
    status = namespace.complete(ROOT, "/f", "a", [fleet.write_block(update, 300)])
    assert status.length == 4396


def test_after_a_hole_there_is_no_last_block(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    namespace.complete(ROOT, "/f", "w", [fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 10)])
    namespace.truncate(ROOT, "/f", 100)
    assert namespace.append(ROOT, "/f", "w").blocks == ()


def test_one_writer_at_a_time(namespace: Namespace, clock: Clock) -> None:
    namespace.write_file(ROOT, "/f", b"abc")
    namespace.append(ROOT, "/f", "one")
    with pytest.raises(LeaseConflict, match="being written by 'one'"):
        namespace.append(ROOT, "/f", "two")
    clock.advance(SOFT_LIMIT_SECONDS - 1)
    namespace.renew_lease(ROOT, "one")
    clock.advance(SOFT_LIMIT_SECONDS - 1)
    with pytest.raises(LeaseConflict):
        namespace.append(ROOT, "/f", "two")
    clock.advance(2)
    namespace.append(ROOT, "/f", "two")


def test_a_silent_writer_with_blocks_is_recovered_first(
    namespace: Namespace, fleet: Fleet, clock: Clock
) -> None:
    namespace.create(ROOT, "/f", holder="one")
    fleet.write_block(namespace.add_block(ROOT, "/f", "one", 0), 50)
    clock.advance(SOFT_LIMIT_SECONDS + 1)
    fleet.beat_all()
    with pytest.raises(LeaseConflict, match="recover_lease"):
        namespace.append(ROOT, "/f", "two")
    assert not namespace.recover_lease(ROOT, "/f")
    with pytest.raises(LeaseConflict, match="recovered"):
        namespace.append(ROOT, "/f", "two")
    fleet.carry_out_all()
    assert namespace.recover_lease(ROOT, "/f")
    (last,) = namespace.append(ROOT, "/f", "two").blocks
    assert last.length == 50


def test_needs_permission(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/home/alice/f", b"", 0o644)
    with pytest.raises(PermissionDenied):
        namespace.append(BOB, "/home/alice/f", "w")
