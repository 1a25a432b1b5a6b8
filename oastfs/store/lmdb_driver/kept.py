"""A write transaction that stays open from group to group, for as long as nobody else wants to see it.

LMDB writes each page that a commit changed to a new place: some twenty pages for three changes of the
namespace, most of them the same ones in the next group. So an event loop's thread, which runs its groups
itself, keeps their transaction open while it is the only one that uses the store. Groups are logged, synced
and answered as ever; the loop's own reads go through the transaction. It is committed, and so shown, when

* another thread of this process reads, or has something to write;
* it holds KEPT_GROUPS groups, or KEPT_BYTES of rows, or a checkpoint is due;
* nothing was added for KEPT_SECONDS.

No other process is let in meanwhile (``Presence.claim``), and nothing is kept where the disk is nearly full.
If this process dies, whoever comes next has the store alone and applies the log, as always. A transaction
that fails takes along what was kept in it: so its rows are remembered, and put into the next one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from oastfs.store.lmdb_driver.records import Changes

KEPT_GROUPS = 256
KEPT_BYTES = 1 << 20
KEPT_SECONDS = 0.005
SHOWN_SECONDS = 0.002
"""For so long nothing is kept after it was shown: time for other processes to come in."""
WANTED_SECONDS = 0.01
"""The same after somebody else wanted to see it, who may want more."""

_clock = time.monotonic


class Kept:
    """What is logged and answered, but not committed. Changed by whoever has the leadership."""

    def __init__(self) -> None:
        self.txn: Any = None
        """The open transaction; None if there is none, if a group is being run in it, or after a failure."""
        self.owner = 0
        """The thread that holds the leadership for the transaction's sake; 0 if none does."""
        self.rows: Changes = {}
        """What has been logged but not committed."""
        self.pending = False
        """Whether there is anything of that kind."""
        self.position = b""
        """The row that says where the log goes on behind it."""
        self.groups = 0
        self.shows = 0
        """How often an owner has shown what it kept, or tried to."""
        self.shown = threading.Condition()
        """Notified of that."""
        self.last = 0.0
        self._bytes = 0
        self._not_before = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The owner's."""
        assert self._loop is not None
        return self._loop

    @property
    def is_welcome(self) -> bool:
        """Whether a transaction may be kept, as far as time tells."""
        return _clock() >= self._not_before

    @property
    def is_full(self) -> bool:
        return self.groups >= KEPT_GROUPS or self._bytes >= KEPT_BYTES

    def keep(self, txn: Any, logged: Changes, position: bytes, loop: asyncio.AbstractEventLoop) -> None:
        """Leave a transaction open with a group's rows, which have been logged."""
        for name, rows in logged.items():
            self.rows.setdefault(name, {}).update(rows)
            self._bytes += sum(len(key) + len(value or b"") for key, value in rows.items())
        self.txn, self.position, self.last = txn, position, _clock()
        self.groups += 1
        self.owner, self._loop = threading.get_ident(), loop
        self.pending = True  # last: who sees this asks the owner

    def take(self) -> Any:
        """The open transaction, for a group to be run in it; None if there is none."""
        txn, self.txn = self.txn, None
        return txn

    def clear(self) -> None:
        """It has been committed."""
        self.rows, self.position = {}, b""
        self.groups = self._bytes = 0
        self.pending = False
        self.hold_off(SHOWN_SECONDS)

    def hold_off(self, seconds: float) -> None:
        """Have nothing kept for so long."""
        self._not_before = max(self._not_before, _clock() + seconds)

    def release(self) -> None:
        """The owner is about to give up the leadership."""
        with self.shown:
            self.owner = 0
            self.shows += 1
            self.shown.notify_all()

    def want(self) -> asyncio.AbstractEventLoop | None:
        """Somebody else wants to see what is kept: the loop that is to show it, if one has it."""
        self.hold_off(WANTED_SECONDS)
        return self._loop if self.owner else None
