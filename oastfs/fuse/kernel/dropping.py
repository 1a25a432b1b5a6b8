"""Answers to writes past the kernel's cache, for which the kernel has to drop pages first.

Before a write with ``O_DIRECT`` the kernel drops the pages that it is about. Whoever reads through the cache
while it is under way fills them again with what was there before. The kernel drops those as well once the
write is done, but not if it is an asynchronous one. So the mount has them dropped before it says that it is.

That waits for reads of the pages that are under way. It has a thread of its own, since all others may be
needed to answer those.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from oastfs.fuse.kernel.answers import AfterDropping

_log = logging.getLogger(__name__)


class Dropping:
    """The thread that calls ``drop`` (inode id, offset, length), then ``reply`` (request, answer)."""

    def __init__(self, drop: Callable[[int, int, int], None], reply: Callable[[int, bytes], None]) -> None:
        self._drop = drop
        self._reply = reply
        self._queue: SimpleQueue[tuple[int, AfterDropping] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="oastfs-mount-dropping", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Once reads are answered: give what answers there are, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def add(self, unique: int, after: AfterDropping) -> None:
        """Have pages dropped and the request answered. Waits for nothing."""
        self._queue.put((unique, after))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            unique, after = item
            try:
                self._drop(after.inode_id, after.offset, after.length)
            except Exception:
                _log.exception("dropping pages failed")
            self._reply(unique, after.answer)
