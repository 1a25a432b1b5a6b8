"""Who leads: one at a time, followed soon, whatever the clocks of the machines say."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from oastfs.core.errors import StoreError
from oastfs.namenode.claims import Claimant, release
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.jobs.election import Election
from oastfs.namenode.jobs.runner import JobRunner
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.registry import LEADER, Ports
from oastfs.store.schema import CLAIM, Claim
from oastfs.store.transaction import Transaction
from tests.harness.waiting import wait_until
from tests.unit.namenode.conftest import ROOT, Clock


class Machine:
    """A namenode with a monotonic clock of its own, which began who knows when."""

    def __init__(self, namespace: Namespace, number: int) -> None:
        self.seconds = random.Random(number).uniform(0, 1e6)
        self.election = Election(namespace, lambda: number, clock=lambda: self.seconds)
        self.number = number

    @property
    def leads(self) -> bool:
        return self.election.leads


class Machines:
    """Several of them, for which the same time passes."""

    def __init__(self, namespace: Namespace, count: int) -> None:
        self.namespace = namespace
        self.all = [Machine(namespace, number) for number in range(1, count + 1)]

    def pass_time(self, seconds: float, *running: Machine) -> None:
        """In tenths of a second, in each of which one that runs looks; never do two lead."""
        for step in range(round(seconds * 10)):
            for machine in self.all:
                machine.seconds += 0.1
            if running:
                running[step % len(running)].election.run_once(0)
            assert len(self.leading()) <= 1

    def leading(self) -> list[int]:
        return [machine.number for machine in self.all if machine.leads]

    def row(self) -> Claim:
        row = self.namespace.store.read(lambda tx: tx.get(CLAIM, (LEADER,)))
        assert row is not None
        return row


@pytest.fixture
def three(namespace: Namespace) -> Machines:
    return Machines(namespace, 3)


def test_the_first_one_leads_and_goes_on_leading(three: Machines) -> None:
    three.pass_time(60, *three.all)
    assert three.leading() == [1]
    assert three.row().epoch == 1
    assert three.row().beats > 20


def test_one_that_is_killed_is_followed_within_four_seconds(three: Machines) -> None:
    one, two, _ = three.all
    three.pass_time(10, *three.all)
    three.pass_time(1.5, two)
    assert not two.leads, "not too soon either"
    three.pass_time(2.5, two)
    assert three.leading() == [2]
    assert three.row().epoch == 2
    one.election.run_once(0)
    assert not one.leads, "it goes on after all, and finds another in its place"
    three.pass_time(60, *three.all)
    assert three.leading() == [2]


def test_one_that_stops_is_followed_at_once(three: Machines) -> None:
    one, two, three_ = three.all
    three.pass_time(10, *three.all)
    one.election.leave()
    assert three.leading() == []
    three_.election.run_once(0)
    assert three.leading() == [3]
    three.pass_time(10, two, three_)
    assert three.leading() == [3]


def test_one_that_cannot_renew_stops_leading_before_another_begins(three: Machines) -> None:
    three.pass_time(10, *three.all)
    three.pass_time(2.9)
    assert three.leading() == [], "nobody looks, and yet it knows"
    three.all[0].election.run_once(0)
    assert three.leading() == [1], "nobody else wanted it"


def test_one_without_an_id_does_not_lead(namespace: Namespace) -> None:
    election = Election(namespace, lambda: 0)
    election.run_once(0)
    assert not election.leads


def test_a_renewal_whose_answer_is_lost_costs_nothing(
    three: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = three.all[0]
    three.pass_time(5, *three.all)
    store, write = three.namespace.store, three.namespace.store.write

    def lose(operation: Callable[[Transaction], object]) -> object:
        write(operation)
        raise StoreError("it is not known whether it was committed")

    one.seconds += 1.1
    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(store, "write", lose)
        one.election.run_once(0)
    three.pass_time(10, *three.all)
    assert three.leading() == [1]
    assert three.row().epoch == 1


def test_two_that_take_it_over_at_the_same_moment(namespace: Namespace) -> None:
    """Both have seen the same row: the second one's change finds another."""
    now = [0.0]
    claimants = [Claimant(namespace.store, "x", clock=lambda: now[0]) for _ in range(2)]
    namespace.store.write(lambda tx: tx.put(CLAIM, ("x",), Claim(9, 4, 7)))
    assert [one.try_to_take(number) for number, one in enumerate(claimants, 1)] == [False, False]
    now[0] += 3.0
    assert [one.try_to_take(number) for number, one in enumerate(claimants, 1)] == [True, False]
    assert namespace.store.read(lambda tx: tx.get(CLAIM, ("x",))) == Claim(1, 5)
    namespace.store.write(lambda tx: release(tx, "x", Claim(2, 5)))
    assert claimants[0].renew(), "one that does not hold it cannot let it go"


class Counted(Job):
    """Counts its steps."""

    name = "counted"
    interval_seconds = 0.01

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.ran = 0

    def run_once(self, now_ns: int) -> int:
        self.ran += 1
        return 0


class Everywhere(Counted):
    name = "everywhere"
    everywhere = True


def test_jobs_run_at_the_leader_only_and_some_everywhere(namespace: Namespace) -> None:
    leads = [False]
    jobs = [Counted(namespace), Everywhere(namespace)]
    runner = JobRunner(jobs, leads=lambda: leads[0])
    runner.start()
    try:
        wait_until(lambda: jobs[1].ran > 5, "the job that runs everywhere")
        assert jobs[0].ran == 0
        leads[0] = True
        wait_until(lambda: jobs[0].ran > 5, "the job of the leader, now that it leads")
    finally:
        runner.stop()


def test_the_list_of_namenodes_says_who_leads(namespace: Namespace, clock: Clock) -> None:
    from oastfs.namenode.jobs.presence import Presence

    presences = [Presence(namespace, f"host-{number}", Ports(8020, 9870, 8120)) for number in (1, 2)]
    for presence in presences:
        presence.run_once(clock())
    election = Election(namespace, lambda: presences[1].namenode_id)
    election.run_once(clock())
    assert [(one.host, one.leader) for one in namespace.namenodes(ROOT)] == [
        ("host-1", False),
        ("host-2", True),
    ]
    election.leave()
    assert not any(one.leader for one in namespace.namenodes(ROOT))
