"""Running jobs in a thread, each when it is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from oastfs.core.errors import OastError, StoreFull
from oastfs.namenode.jobs.base import Job

log = structlog.get_logger(__name__)

FOLLOWER_SECONDS = 0.5
"""How soon a job that is for the leader only finds out that this namenode leads."""


class JobRunner:
    """One thread for all jobs: every step is short, so none keeps the others waiting for long."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        leads: Callable[[], bool] = lambda: True,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``leads``: whether jobs run that are not for everyone. Asked before each step."""
        self._due = dict.fromkeys(jobs, 0.0)
        self._leads = leads
        self._clock_ns = clock_ns
        self._complaints: dict[Job, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self.steps: dict[str, int] = {job.name: 0 for job in jobs}
        """How much each job has done so far."""

    def start(self) -> None:
        """Run jobs from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Return once the step that is under way has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            for job in self._due:
                if self._stop.is_set():
                    return
                if self._due[job] <= time.monotonic():
                    self._due[job] = time.monotonic() + self._step(job)
            self._stop.wait(max(0.0, min(self._due.values()) - time.monotonic()))

    def _step(self, job: Job) -> float:
        """Seconds until the job is due again."""
        if not job.everywhere and not self._leads():
            return FOLLOWER_SECONDS
        try:
            done = 0 if job.is_held_up() else job.run_once(self._clock_ns())
        except StoreFull as error:
            self._complain("the store is full, job waits", job, error)
            return job.pause_after_error_seconds
        except OastError as error:
            self._complain("job failed, will try again", job, error)
            return job.pause_after_error_seconds
        except Exception:
            log.exception("job failed, will try again", job=job.name)
            return job.pause_after_error_seconds
        self._complaints.pop(job, None)
        self.steps[job.name] += done
        return 0.0 if done else job.interval_seconds

    def _complain(self, what: str, job: Job, error: OastError) -> None:
        """Log it, once for as long as it stays the same: some jobs are tried twice a second."""
        if self._complaints.get(job) != what:
            self._complaints[job] = what
            log.warning(what, job=job.name, error=str(error))
