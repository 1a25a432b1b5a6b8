"""One thread of a session that looks after files open for writing, as long as there are any.

It renews leases, sends data that has been dirty for some seconds, and ends pipelines that are idle.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        self._thread = threading.Thread(target=self._run, name="oastfs-housekeeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            files = self._session.writers_or_rest(self)
            if not files:
                return
            now = time.monotonic()
            renew = now - self._renewed > RENEWAL_SECONDS
            if renew:
                self._renewed = now
            for file in files:
                try:
                    if renew:
                        file.renew_lease()
                    file.tend(now, WRITE_BACK_SECONDS, IDLE_PIPELINE_SECONDS)
                except Exception as error:
                    # What was not sent is still there: the user's next flush tries again and is told.
                    log.info("inode %d could not be looked after: %s", file.inode_id, error)
