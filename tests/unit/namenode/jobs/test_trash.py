"""The trash: checkpoints come and go as with Hadoop's emptier, once for all namenodes."""

from __future__ import annotations

import time

import pytest

from oastfs.core.errors import InvalidArgument
from oastfs.namenode import trash
from oastfs.namenode.jobs.trash import FORMAT, TrashEmptier, checkpoint_time_ns
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, ROOT, SECOND_NS, Clock, names

CURRENT = "/user/alice/.Trash/Current"


@pytest.fixture(autouse=True)
def home(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/user/alice")
    namespace.chown(ROOT, "/user/alice", ALICE.uid, ALICE.gid)


def turn_on(namespace: Namespace, interval: int, checkpoint_interval: int = 0) -> None:
    namespace.store.write(lambda tx: trash.change(tx, interval, checkpoint_interval))


def throw_away(namespace: Namespace, name: str) -> None:
    namespace.mkdirs(ALICE, f"{CURRENT}/data")
    namespace.write_file(ALICE, f"{CURRENT}/data/{name}", b"x")


def test_the_settings_are_the_filesystems(namespace: Namespace, clock: Clock) -> None:
    assert namespace.filesystem_info(ROOT).trash_interval_minutes == 0
    turn_on(namespace, 60, 10)
    other = Namespace(namespace.store, clock_ns=clock)
    assert other.filesystem_info(ROOT).trash_interval_minutes == 60
    assert other.store.read(trash.settings) == (60, 10)
    namespace.store.write(lambda tx: trash.change(tx, None, 100))
    assert other.store.read(trash.settings).period == 60
    with pytest.raises(InvalidArgument):
        turn_on(namespace, -1)


def test_without_an_interval_nothing_is_touched(namespace: Namespace, clock: Clock) -> None:
    throw_away(namespace, "f")
    clock.advance(10**6)
    TrashEmptier(namespace).run_once(clock())
    assert names(namespace, "/user/alice/.Trash") == ["Current"]


def test_a_checkpoint_is_made_and_deleted_in_time(namespace: Namespace, clock: Clock) -> None:
    turn_on(namespace, 60, 10)
    job = TrashEmptier(namespace)
    job.run_once(clock())
    throw_away(namespace, "f")
    job.run_once(clock())
    assert names(namespace, "/user/alice/.Trash") == ["Current"], "it is not time yet"
    clock.advance(600)
    job.run_once(clock())
    made = time.strftime(FORMAT, time.localtime(clock.now_ns // SECOND_NS))
    assert names(namespace, "/user/alice/.Trash") == [made]
    assert names(namespace, f"/user/alice/.Trash/{made}/data") == ["f"]
    for _ in range(5):
        clock.advance(600)
        job.run_once(clock())
        assert names(namespace, "/user/alice/.Trash") == [made]
    clock.advance(601)
    job.run_once(clock())
    assert names(namespace, "/user/alice/.Trash") == []


def test_two_namenodes_take_turns(namespace: Namespace, clock: Clock) -> None:
    turn_on(namespace, 60, 10)
    jobs = [TrashEmptier(namespace), TrashEmptier(Namespace(namespace.store, clock_ns=clock))]
    jobs[0].run_once(clock())
    clock.advance(600)
    throw_away(namespace, "f")
    jobs[0].run_once(clock())
    throw_away(namespace, "g")
    jobs[1].run_once(clock())
    assert len(names(namespace, "/user/alice/.Trash")) == 2
    assert "Current" in names(namespace, "/user/alice/.Trash")


def test_a_name_that_is_taken_gets_a_number(namespace: Namespace, clock: Clock) -> None:
    turn_on(namespace, 60, 10)
    job = TrashEmptier(namespace)
    job.run_once(clock())
    clock.advance(600)
    made = time.strftime(FORMAT, time.localtime(clock.now_ns // SECOND_NS))
    namespace.mkdirs(ALICE, f"/user/alice/.Trash/{made}")
    throw_away(namespace, "f")
    job.run_once(clock())
    assert names(namespace, "/user/alice/.Trash") == [made, f"{made}-1"]
    assert checkpoint_time_ns(f"{made}-1") == clock.now_ns // SECOND_NS * SECOND_NS


def test_other_things_stay(namespace: Namespace, clock: Clock) -> None:
    turn_on(namespace, 1)
    job = TrashEmptier(namespace)
    job.run_once(clock())
    for name in ("kept", "990101000000x", "99130100000", "991399000000"):
        namespace.mkdirs(ALICE, f"/user/alice/.Trash/{name}")
    namespace.write_file(ALICE, "/user/alice/.Trash/990101000000", b"a file")
    namespace.mkdirs(ROOT, "/elsewhere/990101000000")
    namespace.mkdirs(ROOT, "/user/bob")
    namespace.symlink(ROOT, "/user/bob/.Trash", "/elsewhere")
    before = names(namespace, "/user/alice/.Trash")
    clock.advance(61)
    job.run_once(clock())
    assert names(namespace, "/user/alice/.Trash") == before
    assert names(namespace, "/elsewhere") == ["990101000000"]
    namespace.mkdirs(ALICE, "/user/alice/.Trash/990101000000-3")
    clock.advance(61)
    job.run_once(clock())
    assert names(namespace, "/user/alice/.Trash") == before
