"""statfs, datanodes and content_summary."""

from __future__ import annotations

import pytest

from oastfs.core.errors import PermissionDenied
from oastfs.core.types import ContentSummary
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import GIB, Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock
from tests.unit.namenode.ops.test_truncate import write


def test_statfs(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    before = namespace.statfs(BOB)
    write(namespace, fleet, "/f", [4096, 100])
    namespace.link(ROOT, "/f", "/g")
    fleet.nodes[0].remaining -= 1000
    fleet.nodes[0].beat()
    after = namespace.statfs(BOB)
    assert after.inodes == before.inodes + 1 and after.blocks == 2
    assert (after.capacity, after.used, after.remaining) == (3 * GIB, 1000, 3 * GIB - 1000)
    assert (after.datanodes_live, after.datanodes_dead) == (3, 0)
    assert after.metadata_bytes > 0 and after.metadata_remaining > 0
    clock.advance(31)
    fleet.nodes[0].beat()
    assert (namespace.statfs(BOB).datanodes_live, namespace.statfs(BOB).capacity) == (1, GIB)


def test_datanodes(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [4096, 100])
    reports = namespace.datanodes(ROOT)
    assert [one.state for one in reports] == ["live"] * 3
    assert sum(one.blocks for one in reports) == 4
    clock.advance(31)
    fleet.nodes[2].beat()
    assert [one.state for one in namespace.datanodes(ROOT)] == ["dead", "dead", "live"]


def test_content_summary(namespace: Namespace, fleet: Fleet) -> None:
    namespace.mkdirs(ROOT, "/d/e")
    write(namespace, fleet, "/d/f", [4096, 100])
    namespace.write_file(ROOT, "/d/e/g", b"x" * 10)
    namespace.link(ROOT, "/d/f", "/d/e/again")
    assert namespace.content_summary(BOB, "/d") == ContentSummary(2 * 4196 + 10, 3, 2, 4 * 4196 + 10)
    assert namespace.content_summary(BOB, "/d/e/g") == ContentSummary(10, 1, 0, 10)
    namespace.mkdirs(ALICE, "/home/alice/private", 0o700)
    with pytest.raises(PermissionDenied):
        namespace.content_summary(BOB, "/home")
