"""The scrubber finds what went bad on disk, goes on where it was, and leaves writers alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from oastfs.datanode.block_store import Change
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.replica import Replica
from oastfs.datanode.scrubber import PROGRESS_NAME, Scrubber
from tests.harness.waiting import wait_until
from tests.unit.datanode.home import Home


def fill(home: Home, count: int, size: int = 100_000) -> list[Replica]:
    replicas = []
    for number in range(1, count + 1):
        writer = home.store.create(number << 10, 1)
        writer.write(0, [os.urandom(size)], None)
        writer.finalize()
        replicas.append(writer.replica)
    return replicas


def flip(replica: Replica, offset: int, *, meta: bool = False) -> None:
    path = replica.meta_path if meta else replica.data_path
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ 0x10,)))


@pytest.fixture
def scrubber(home: Home) -> Iterator[Scrubber]:
    scrubber = Scrubber(home.store, Metrics(), 0, 3600.0)
    yield scrubber
    scrubber.stop()


@pytest.mark.parametrize(
    ("offset", "meta"), [(0, False), (99_999, False), (51_234, False), (7, True), (400, True)]
)
def test_one_flipped_bit_is_found(home: Home, scrubber: Scrubber, offset: int, meta: bool) -> None:
    replicas = fill(home, 3)
    assert scrubber.run_pass() == 0
    flip(replicas[1], offset, meta=meta)
    assert scrubber.run_pass() == 1
    assert [one.corrupt for one in replicas] == [False, True, False]
    assert home.changes == [(Change.CORRUPT, 2 << 10)]


def test_cut_and_missing_files_are_found(home: Home, scrubber: Scrubber) -> None:
    cut, cut_meta, gone = fill(home, 3)
    os.truncate(cut.data_path, 1000)
    os.truncate(cut_meta.meta_path, 100)
    gone.data_path.unlink()
    scrubber.run_pass()
    assert sorted(change.value for change, _ in home.changes) == ["corrupt", "corrupt", "missing"]
    assert home.store.find(gone.block_id) is None


def test_a_replica_that_is_being_written_is_left_alone(home: Home, scrubber: Scrubber) -> None:
    writer = home.store.create(1 << 10, 1)
    writer.write(0, [b"x" * 1000], None)
    flip(writer.replica, 10)
    assert scrubber.run_pass() == 0
    assert home.changes == []
    writer.abort()


def test_a_complaint_is_looked_into_at_once(home: Home, scrubber: Scrubber) -> None:
    good, bad = fill(home, 2)
    flip(bad, 500)
    scrubber.start()
    scrubber.check_soon(good)
    scrubber.check_soon(bad)
    wait_until(lambda: home.changes == [(Change.CORRUPT, bad.block_id)], "the bad replica to be reported")


def test_a_requested_pass_runs_in_the_background(home: Home, scrubber: Scrubber) -> None:
    replicas = fill(home, 4)
    flip(replicas[3], 1)
    scrubber.start()
    scrubber.request_pass()
    wait_until(lambda: replicas[3].corrupt, "the pass to find the flipped bit")


def test_progress_is_remembered(home: Home) -> None:
    replicas = fill(home, 6)
    volume = home.store.volumes[0]
    progress = {"begun": 4e9, "last_block_id": 3 << 10, "complete": False}
    (volume.path / PROGRESS_NAME).write_text(json.dumps(progress))
    for number in (0, 4):
        flip(replicas[number], 100)
    scrubber = Scrubber(home.store, Metrics(), 1 << 30, 3600.0)
    scrubber.start()

    def complete() -> bool:
        return bool(json.loads((volume.path / PROGRESS_NAME).read_text())["complete"])

    wait_until(complete, "the rest of the pass")
    scrubber.stop()
    assert [one.corrupt for one in replicas] == [False, False, False, False, True, False]


def test_a_complete_pass_is_begun_again_when_its_time_has_come(home: Home) -> None:
    (replica,) = fill(home, 1)
    volume = home.store.volumes[0]
    progress = {"begun": 0.0, "last_block_id": 9 << 10, "complete": True}
    (volume.path / PROGRESS_NAME).write_text(json.dumps(progress))
    flip(replica, 5)
    scrubber = Scrubber(home.store, Metrics(), 1 << 30, 3600.0)
    scrubber.start()
    wait_until(lambda: replica.corrupt, "the new pass")
    scrubber.stop()


def test_the_rate_is_kept(home: Home) -> None:
    """A pass at a crawl is far from complete when a full-speed pass over the same bytes is."""
    fill(home, 3, 3_000_000)
    slow = Scrubber(home.store, Metrics(), 1_000_000, 3600.0)
    slow.start()
    fast = Scrubber(home.store, Metrics(), 0, 3600.0)
    fast.run_pass()
    slow.stop()
    scrubbed = slow._metrics.bytes_scrubbed._value.get()
    assert scrubbed < 9_000_000


def test_torn_progress_begins_anew(home: Home) -> None:
    (replica,) = fill(home, 1)
    (home.store.volumes[0].path / PROGRESS_NAME).write_text('{"begun": 1')
    flip(replica, 5)
    scrubber = Scrubber(home.store, Metrics(), 1 << 30, 3600.0)
    scrubber.start()
    wait_until(lambda: replica.corrupt, "the pass to run")
    scrubber.stop()
