"""One thread of a session that looks after files open for writing, as long as there are any.

It renews leases, sends data that has been dirty for some seconds, and ends pipelines that are idle.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oastfs.client.file import OpenFile
    from oastfs.client.session import Session

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
WRITE_BACK_SECONDS = 2.0
"""Written data is visible to others after about this long even if nobody flushes it."""
IDLE_PIPELINE_SECONDS = 10.0
RENEWAL_SECONDS = 20.0
"""HDFS's clients renew at half of the soft limit of 60 s or sooner."""


class Housekeeper:
    """A daemon thread; it ends with ``stop``, or by itself when no file is open for writing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stopped = threading.Event()
        self._renewed = time.monotonic()
        self._tending: dict[int, Future[None]] = {}
        self._in_vain: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="oastfs-housekeeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        session = self._session
        while not self._stopped.wait(TICK_SECONDS):
            files, holders = session.in_care(self)
            if not files and not holders:
                return
            now = time.monotonic()
            self._tending = {key: one for key, one in self._tending.items() if not one.done()}
            if now - self._renewed > RENEWAL_SECONDS:
                self._renewed = now
                self._renew(holders)
            for file in files:
                if file.needs_care(now, WRITE_BACK_SECONDS, IDLE_PIPELINE_SECONDS):
                    self._tend(file, now)

    def _renew(self, holders: list[str]) -> None:
        for holder in holders:
            try:
                self._session.metadata.renew_lease(self._session.caller, holder)
            except OSError as error:
                if holder not in self._in_vain:  # once: an outage may last, and files may stay open for days
                    self._in_vain.add(holder)
                    log.warning("the lease of %s could not be renewed, tried on: %s", holder, error)
            else:
                if holder in self._in_vain:
                    self._in_vain.discard(holder)
                    log.warning("the lease of %s is renewed again", holder)

    def _tend(self, file: OpenFile, now: float) -> None:
        """On a worker, because a datanode that does not answer must not hold up renewals."""
        under_way = self._tending.get(file.inode_id)
        if under_way is not None and not under_way.done():
            return
        try:
            self._tending[file.inode_id] = self._session.workers.submit(
                file.tend, now, WRITE_BACK_SECONDS, IDLE_PIPELINE_SECONDS
            )
        except (OSError, RuntimeError):
            pass  # the session is being closed, which flushes everything
