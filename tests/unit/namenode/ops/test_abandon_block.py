from __future__ import annotations

import pytest

from oastfs.core.errors import LeaseExpired
from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT


def test_drops_a_new_block(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    fleet.write_block(block, 10)
    namespace.abandon_block(ROOT, "/f", "w", block.block_id)
    namespace.abandon_block(ROOT, "/f", "w", block.block_id)
    fleet.carry_out_all()
    assert all(not node.ledger for node in fleet.nodes)
    assert namespace.complete(ROOT, "/f", "w", []).length == 0


def test_keeps_what_was_committed(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f", holder="w")
    block = namespace.add_block(ROOT, "/f", "w", 0)
    namespace.commit(ROOT, "/f", "w", [fleet.write_block(block, 10)])
    namespace.abandon_block(ROOT, "/f", "w", block.block_id)
    assert not namespace.open(ROOT, "/f").blocks[0].under_construction
    update = namespace.update_block(ROOT, "/f", "w", 0, block.block_id)
    fleet.write_block(update, 20)
    namespace.abandon_block(ROOT, "/f", "w", block.block_id)
    fleet.carry_out_all()
    (seen,) = namespace.open(ROOT, "/f").blocks
    assert (seen.length, seen.under_construction) == (10, False)
    assert not namespace.complete(ROOT, "/f", "w", []).flags & Flag.OPEN


def test_not_anothers(namespace: Namespace, fleet: Fleet) -> None:
    namespace.create(ROOT, "/f")
    block = namespace.add_block(ROOT, "/f", "one", 0)
    with pytest.raises(LeaseExpired):
        namespace.abandon_block(ROOT, "/f", "two", block.block_id)
    namespace.add_block(ROOT, "/f", "two", 4096)
    namespace.abandon_block(ROOT, "/f", "two", block.block_id)
    assert namespace.complete(ROOT, "/f", "one", [fleet.write_block(block, 10)]).length == 10
