"""Ids that are never given twice, from a row of the ``counter`` table.

An id is a sequence number with a partition in its low bits. Sequence numbers are reserved in batches, each
by a committed transaction of its own, and then handed out without touching the store. Until a batch has
arrived, an operation takes its number within its own transaction: if that is undone, so is the
taking. Thus no number is ever used before the counter past it is durable, and what is aborted or killed
only leaves gaps.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator

from oastfs.core.errors import OastError
from oastfs.store.schema import COUNTER, Counter
from oastfs.store.table import PARTITION_BITS, PARTITIONS, Lock
from oastfs.store.transaction import Store, Transaction

_MISSES_BEFORE_BATCH = 2
"""A process that makes one thing and ends needs no batch."""


class IdAllocator:
    """Gives ids from the counter ``name``, ``first`` or above. Safe in threads, and across a fork."""

    def __init__(self, store: Store, name: str, *, first: int = 1, batch: int = 1000) -> None:
        self._store = store
        self._key = (name,)
        self._first_sequence = -(-first // PARTITIONS) or 1
        self._batch = batch
        self.forget()
        _allocators.add(self)

    def forget(self) -> None:
        """Drop the numbers in hand: they are another process's after a fork."""
        self._lock = threading.Lock()
        self._numbers: Iterator[int] = iter(())
        self._next_numbers: Iterator[int] | None = None
        self._awaiting = False
        self._misses = 0

    def take(self, tx: Transaction, partition: int) -> int:
        """A new id in ``partition``, for use by the operation whose transaction is ``tx``."""
        sequence = next(self._numbers, None)
        if sequence is None:
            sequence = self._take_slowly(tx)
        return sequence << PARTITION_BITS | partition

    def _take_slowly(self, tx: Transaction) -> int:
        with self._lock:
            sequence = next(self._numbers, None)
            if sequence is None and self._next_numbers is not None:
                self._numbers, self._next_numbers = self._next_numbers, None
                sequence = next(self._numbers, None)
            self._misses += 1
            ask = not self._awaiting and self._next_numbers is None and self._misses >= _MISSES_BEFORE_BATCH
            if ask:
                self._awaiting = True
        if ask:
            self._ask_for_batch()
        return self._reserve(tx, 1) if sequence is None else sequence

    def _ask_for_batch(self) -> None:
        try:
            self._store.submit(lambda tx: self._reserve(tx, self._batch), self._receive)
        except OastError:
            self._awaiting = False

    def _receive(self, start: int | None, error: BaseException | None) -> None:
        with self._lock:
            self._awaiting = False
            if start is not None:
                self._next_numbers = iter(range(start, start + self._batch))

    def _reserve(self, tx: Transaction, count: int) -> int:
        """Move the counter on by ``count``; the first of the numbers."""
        row = tx.get(COUNTER, self._key, Lock.EXCLUSIVE)
        start = self._first_sequence if row is None else row.value
        tx.put(COUNTER, self._key, Counter(start + count))
        return start


_allocators: weakref.WeakSet[IdAllocator] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for allocator in list(_allocators):
        allocator.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)
