"""The registry of namenodes."""

from __future__ import annotations

from oastfs.namenode.jobs.presence import Presence
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.registry import Ports
from tests.unit.namenode.conftest import ALICE, Clock


def test_namenodes_are_listed_while_they_beat(namespace: Namespace, clock: Clock) -> None:
    one = Presence(namespace, "host-1", Ports(8020, 9870, 8120))
    two = Presence(Namespace(namespace.store, clock_ns=clock), "host-2", Ports(8020, 9870, 8120))
    for job in (one, two):
        job.run_once(clock())
    assert [(r.namenode_id, r.host, r.port, r.http_port, r.live) for r in namespace.namenodes(ALICE)] == [
        (1, "host-1", 8020, 9870, True),
        (2, "host-2", 8020, 9870, True),
    ]
    clock.advance(16)
    two.run_once(clock())
    assert [r.live for r in namespace.namenodes(ALICE)] == [False, True]
    clock.advance(600)
    two.run_once(clock())
    assert [r.host for r in namespace.namenodes(ALICE)] == ["host-2"]
    one.run_once(clock())
    assert [(r.namenode_id, r.live) for r in namespace.namenodes(ALICE)] == [(1, True), (2, True)]


def test_one_that_stops_is_gone_and_one_that_starts_again_is_the_same(
    namespace: Namespace, clock: Clock
) -> None:
    first = Presence(namespace, "host-1", Ports(8020, 9870, 8120))
    first.run_once(clock())
    Presence(namespace, "host-1", Ports(8020, 9871, 8120)).run_once(clock())
    (report,) = namespace.namenodes(ALICE)
    assert (report.namenode_id, report.http_port) == (1, 9871)
    first.leave()
    assert namespace.namenodes(ALICE) == []
