"""The thread, and the jobs that only clear away."""

from __future__ import annotations

import threading

from structlog.testing import capture_logs

from oastfs.core.errors import NotFound, StoreFull
from oastfs.namenode.jobs import Job, JobRunner, all_jobs
from oastfs.namenode.jobs.retries import RetryExpiry
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import RETRY, RetryEntry
from oastfs.store.transaction import Transaction
from tests.harness.waiting import wait_until
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.ops.test_truncate import rows


class Counting(Job):
    """Has ``left`` steps to do."""

    name = "counting"
    interval_seconds = 3600.0

    def __init__(self, namespace: Namespace, left: int) -> None:
        super().__init__(namespace)
        self.left = left
        self.idle = threading.Event()

    def run_once(self, now_ns: int) -> int:
        if not self.left:
            self.idle.set()
            return 0
        self.left -= 1
        return 1


class Failing(Job):
    name = "failing"
    interval_seconds = 3600.0
    error: Exception = StoreFull()
    ran = 0

    def run_once(self, now_ns: int) -> int:
        self.ran += 1
        raise self.error


def test_steps_follow_at_once_until_nothing_is_left(namespace: Namespace) -> None:
    job = Counting(namespace, 1000)
    runner = JobRunner([job])
    runner.start()
    assert job.idle.wait(10), "the job should have come to its end"
    runner.stop()
    assert runner.steps == {"counting": 1000}


def test_a_failing_job_does_not_stop_the_others(namespace: Namespace) -> None:
    broken, full = Failing(namespace), Failing(namespace)
    broken.error = ZeroDivisionError()
    job = Counting(namespace, 10)
    runner = JobRunner([broken, full, job])
    with capture_logs() as logs:
        runner.start()
        assert job.idle.wait(10), "the job should have come to its end"
        runner.stop()
    assert broken.ran == full.ran == 1
    assert {(entry["job"], entry["log_level"]) for entry in logs} == {
        ("failing", "error"),
        ("failing", "warning"),
    }


class Recovering(Failing):
    """Fails, and fails otherwise after a while, then no more."""

    name = "recovering"
    interval_seconds = 0.01
    pause_after_error_seconds = 0.01

    def run_once(self, now_ns: int) -> int:
        self.ran += 1
        if self.ran <= 10:
            raise StoreFull()
        if self.ran <= 20:
            raise NotFound("a row")
        return 0


def test_what_fails_again_and_again_is_told_once(namespace: Namespace) -> None:
    job = Recovering(namespace)
    runner = JobRunner([job])
    with capture_logs() as logs:
        runner.start()
        wait_until(lambda: job.ran > 25, "the job to recover")
        runner.stop()
    assert [entry["event"] for entry in logs] == [
        "the store is full, job waits",
        "job failed, will try again",
    ]


def test_all_jobs_run_on_a_real_namespace(namespace: Namespace, clock: Clock) -> None:
    namespace.mkdirs(ROOT, "/t/d")
    namespace.write_file(ROOT, "/t/d/f", b"x")
    namespace.delete(ROOT, "/t", True)
    runner = JobRunner(all_jobs(namespace), clock_ns=clock)
    runner.start()
    try:
        wait_until(lambda: runner.steps["reclaim"] >= 3, "the tree to be reclaimed")
    finally:
        runner.stop()


def test_stopping_what_never_started(namespace: Namespace) -> None:
    JobRunner(all_jobs(namespace)).stop()


def test_kept_answers_are_forgotten(namespace: Namespace, clock: Clock) -> None:
    minute = clock() // (60 * 10**9)

    def fill(tx: Transaction) -> None:
        for number in range(2500):
            tx.put(RETRY, (minute + number % 2, "client", number), RetryEntry(b"", 0))

    namespace.store.write(fill)
    job = RetryExpiry(namespace)
    assert job.run_all(clock()) == 0
    clock.advance(60)
    assert job.run_all(clock()) == 1250
    clock.advance(120)
    assert job.run_all(clock()) == 1250
    assert rows(namespace, RETRY) == 0


class Cautious(Counting):
    """As those that delete or move data."""

    interval_seconds = 0.01
    waits_in_safe_mode = True


def test_safe_mode_holds_jobs_up_that_delete_or_move(namespace: Namespace) -> None:
    namespace.safe_mode(ROOT, "enter")
    cautious, other = Cautious(namespace, 3), Counting(namespace, 3)
    runner = JobRunner([cautious, other])
    runner.start()
    try:
        assert other.idle.wait(10), "the other job should have come to its end"
        assert cautious.left == 3
        namespace.safe_mode(ROOT, "leave")
        assert cautious.idle.wait(10), "the job should have come to its end after safe mode"
    finally:
        runner.stop()
