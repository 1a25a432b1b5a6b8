"""Claims: what only one namenode is to do at a time, told by rows that its holder keeps changing.

Transactions, and ``Claimant``, which is one process's part in one claim. Clocks of machines are never
compared: whoever wants a claim watches its row, and takes it over when the row has stayed the same for
``TAKEN_OVER_SECONDS`` of the watcher's own monotonic clock. The holder counts as such for a shorter time,
from the moment before its last change began. So as long as clocks run about equally fast, one ends before
the next begins. A process that is stopped in the middle of a step (or whose step takes long) may yet find
itself beside another holder when it goes on: what is done under a claim has to be right even then. The
claim saves work and keeps order; it is no lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from oastfs.store.schema import CLAIM, Claim
from oastfs.store.table import Lock
from oastfs.store.transaction import Store, Transaction

TAKEN_OVER_SECONDS: Final = 3.0
HELD_SECONDS: Final = 2.7
RENEWED_SECONDS: Final = 1.0

NOBODY: Final = 0


def take(tx: Transaction, name: str, holder: int, seen: Claim | None) -> Claim | None:
    """Make it ``holder``'s if it is free, or still as it was ``seen`` (None: only if free); None if not."""
    row = tx.get(CLAIM, (name,), Lock.EXCLUSIVE)
    if row is not None and row.holder != NOBODY and row != seen:
        return None
    taken = Claim(holder, 1 if row is None else row.epoch + 1)
    tx.put(CLAIM, (name,), taken)
    return taken


def renew(tx: Transaction, name: str, held: Claim) -> Claim | None:
    """Give a sign of life; None if another has taken it over."""
    row = tx.get(CLAIM, (name,), Lock.EXCLUSIVE)
    if not _is_same(row, held):
        return None
    assert row is not None
    renewed = Claim(row.holder, row.epoch, row.beats + 1)
    tx.put(CLAIM, (name,), renewed)
    return renewed


def release(tx: Transaction, name: str, held: Claim) -> None:
    """Let go of it, if it is still held: the next one need not wait."""
    if _is_same(tx.get(CLAIM, (name,), Lock.EXCLUSIVE), held):
        tx.put(CLAIM, (name,), Claim(NOBODY, held.epoch))


def holder(tx: Transaction, name: str) -> int:
    """The namenode that holds it, or held it last; 0: nobody."""
    row = tx.get(CLAIM, (name,))
    return NOBODY if row is None else row.holder


def _is_same(row: Claim | None, held: Claim) -> bool:
    """Epochs are given once, so the beats need not agree: a renewal's answer may have been lost."""
    return row is not None and (row.holder, row.epoch) == (held.holder, held.epoch)


class Claimant:
    """One process that wants, or holds, one claim. For one thread, but for ``holds``."""

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        taken_over_seconds: float = TAKEN_OVER_SECONDS,
        held_seconds: float = HELD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._store = store
        self._clock = clock
        self._taken_over_seconds = taken_over_seconds
        self._held_seconds = held_seconds
        self._held: Claim | None = None
        self._held_until = 0.0
        self._seen: Claim | None = None
        self._seen_since = 0.0

    @property
    def holds(self) -> bool:
        """Whether it is held now, as far as this process can know without asking."""
        return self._held is not None and self._clock() < self._held_until

    def renew(self) -> bool:
        """Give a sign of life; whether it is held (still)."""
        held = self._held
        if held is not None:
            self._held, self._held_until = self._change(lambda tx: renew(tx, self.name, held))
        return self._held is not None

    def try_to_take(self, holder: int) -> bool:
        """Take it if nobody seems to be at it; whether it was taken."""
        seen = self._store.read(lambda tx: tx.get(CLAIM, (self.name,)))
        now = self._clock()
        if seen != self._seen:
            self._seen, self._seen_since = seen, now
        if seen is not None and seen.holder and now - self._seen_since < self._taken_over_seconds:
            return False
        self._held, self._held_until = self._change(lambda tx: take(tx, self.name, holder, seen))
        return self._held is not None

    def release(self) -> None:
        """Let go of it."""
        held, self._held = self._held, None
        if held is not None:
            self._store.write(lambda tx: release(tx, self.name, held))

    def _change(self, change: Callable[[Transaction], Claim | None]) -> tuple[Claim | None, float]:
        """What is held after a change, and until when: counted from before its (last) attempt."""
        begun = 0.0

        def attempt(tx: Transaction) -> Claim | None:
            nonlocal begun
            begun = self._clock()
            return change(tx)

        held = self._store.write(attempt)
        return held, begun + self._held_seconds
