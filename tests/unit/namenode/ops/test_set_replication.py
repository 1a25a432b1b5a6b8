from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, IsADirectory, PermissionDenied
from oastfs.namenode.jobs.replication import Replication
from oastfs.namenode.namespace import Namespace
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock
from tests.unit.namenode.ops.test_truncate import write


def replicas(namespace: Namespace) -> list[int]:
    return [len(block.locations) for block in namespace.open(ROOT, "/f").blocks]


def settle(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    for _ in range(3):
        Replication(namespace).run_all(clock())
        fleet.carry_out_all()


def test_up_and_down(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [4096, 100])
    assert namespace.set_replication(ROOT, "/f", 3).replication == 3
    settle(namespace, fleet, clock)
    assert replicas(namespace) == [3, 3]
    namespace.set_replication(ROOT, "/f", 1)
    settle(namespace, fleet, clock)
    assert replicas(namespace) == [1, 1]
    assert sum(len(node.ledger) for node in fleet.nodes) == 2
    namespace.set_replication(ROOT, "/f", 2)
    settle(namespace, fleet, clock)
    assert replicas(namespace) == [2, 2]


def test_refused(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/home/alice/f", b"")
    for wrong in (0, -1, 513):
        with pytest.raises(InvalidArgument):
            namespace.set_replication(ALICE, "/home/alice/f", wrong)
    with pytest.raises(PermissionDenied):
        namespace.set_replication(BOB, "/home/alice/f", 1)
    with pytest.raises(IsADirectory):
        namespace.set_replication(ROOT, "/tmp", 1)
