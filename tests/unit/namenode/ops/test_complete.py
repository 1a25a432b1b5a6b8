from __future__ import annotations

import pytest

from oastfs.core.errors import LeaseExpired
from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT


def test_an_empty_file(namespace: Namespace) -> None:
    assert namespace.create(ROOT, "/f", holder="w").flags & Flag.OPEN
    status = namespace.complete(ROOT, "/f", "w", [])
    assert status.length == 0 and status.flags == 0


def test_made_again_it_answers_the_same(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    commits = [fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 10)]
    first = namespace.complete(ROOT, "/f", "w", commits)
    assert namespace.complete(ROOT, "/f", "w", commits) == first


def test_not_by_who_does_not_write_it(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    commits = [fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 10)]
    with pytest.raises(LeaseExpired):
        namespace.complete(ROOT, "/f", "other", commits)


def test_new_blocks_that_are_not_named_are_dropped(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    kept = fleet.write_block(namespace.add_block(ROOT, "/f", "w", 0), 10)
    dropped = fleet.write_block(namespace.add_block(ROOT, "/f", "w", 4096), 10)
    status = namespace.complete(ROOT, "/f", "w", [kept])
    assert status.length == 10 and not status.flags & Flag.OPEN
    fleet.carry_out_all()
    assert all(dropped.block_id not in node.ledger for node in fleet.nodes)


def test_an_update_that_is_not_named_is_settled(namespace: Namespace, fleet: Fleet) -> None:
    """Its replicas may differ: one of them decides, and the file is closed when it has."""
    namespace.create(ROOT, "/f")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    namespace.complete(ROOT, "/f", "w", [fleet.write_block(block, 100)])
    update = namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    fleet.write_block(update, 200)
    status = namespace.complete(ROOT, "/f", "w", [])
    assert status.length == 100 and status.flags & Flag.OPEN
    fleet.carry_out_all()
    status = namespace.stat(ROOT, "/f")
    assert status.length == 100 and not status.flags & Flag.OPEN
    (seen,) = namespace.open(ROOT, "/f").blocks
    assert seen.generation_stamp == 3 and len(seen.locations) == 1


def test_shared_writers_leave_one_by_one(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f")
    one = fleet.write_block(namespace.add_block(ROOT, "/f", "one", 0), 4096)
    two = fleet.write_block(namespace.add_block(ROOT, "/f", "two", 4096), 5)
    assert namespace.complete(ROOT, "/f", "one", [one]).flags & Flag.OPEN
    assert not namespace.complete(ROOT, "/f", "two", [two]).flags & Flag.OPEN
