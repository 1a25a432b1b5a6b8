"""Flushes of inline content that their callers carry out, without the file's lock: one at a time.

Two that are under way at once carry the same bytes, and the later one may arrive when others have changed the
file since: after a lock was given back, or a close was answered. So whoever else wants to flush waits for the
first, whose end is noted by a thread that may not wait for the lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from oastfs.client.inline_content import InlineChange, InlineContent
from oastfs.core.errors import DeadlineExceeded
from oastfs.core.types import FileStatus

LOOK_SECONDS: Final = 0.005
"""The end of a flush is noted by who cannot wake others: they look for it after this long."""


class Flush:
    """A flush that its caller carries out (``OpenFile.begin_flush``): ``write_inline`` with ``change``."""

    def __init__(self, change: InlineChange, content: InlineContent, mtime_ns: int) -> None:
        self.change = change
        self.content = content
        self.mtime_ns = mtime_ns
        self.status: FileStatus | None = None
        """What the filesystem answered; None if it was not done."""
        self.is_over = False


class Flushes:
    """The flush of one file that is under way. All but noting its end is done under the file's ``lock``."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._ended = threading.Condition(lock)
        self._flush: Flush | None = None

    @property
    def is_any(self) -> bool:
        """Whether there is one that is not over."""
        return self._flush is not None and not self._flush.is_over

    def has_sent(self, mtime_ns: int) -> bool:
        """Whether what was last written then was sent, and that is not taken in yet. Without the lock."""
        flush = self._flush
        return flush is not None and flush.status is not None and flush.mtime_ns == mtime_ns

    def begin(self, flush: Flush) -> Flush:
        """It is under way from now on."""
        self._flush = flush
        return flush

    def end(self, flush: Flush, status: FileStatus | None, take_in: Callable[[], None]) -> None:
        """It is over, which is taken in now, if nobody has the lock, or by who has it. Does not wait."""
        flush.status = status
        flush.is_over = True
        if self._lock.acquire(blocking=False):
            try:
                take_in()
            finally:
                self._lock.release()

    def take(self) -> Flush | None:
        """One that is over, once: its status is to be taken in."""
        flush = self._flush
        if flush is None or not flush.is_over:
            return None
        self._flush = None
        self._ended.notify_all()
        return flush

    def wait(self, timeout_seconds: float) -> None:
        """Until there is none under way, without the lock meanwhile. Raises DeadlineExceeded."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_any:
            if time.monotonic() > deadline:
                raise DeadlineExceeded("another flush of the file was not answered in time")
            self._ended.wait(LOOK_SECONDS)
