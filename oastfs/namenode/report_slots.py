"""How many block reports are taken in at once, by all namenodes together.

A report of millions of replicas reads as many rows. When a whole cluster starts, its datanodes would all
report at once, and clients would wait behind them. So whoever takes one in holds one of a few claims
meanwhile; a datanode that finds all of them held comes back a moment later, to another namenode. A namenode
that dies with a claim gives it up by falling silent.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from oastfs.core.errors import OastError
from oastfs.namenode.claims import Claimant
from oastfs.store.transaction import Store

log = structlog.get_logger(__name__)

SLOTS: Final = 4
SILENT_SECONDS: Final = 30.0
"""A slot whose holder gave no sign of life for this long is free."""
RENEWED_SECONDS: Final = 5.0


class Slot:
    """One of them, while it is held."""

    def __init__(self, claim: Claimant, clock: Callable[[], float]) -> None:
        self._claim = claim
        self._clock = clock
        self._renewed = clock()

    def renew(self) -> None:
        """A sign of life, if it is time for one. To be called with each part of a report."""
        if self._clock() - self._renewed > RENEWED_SECONDS:
            self._renewed = self._clock()
            # One that was lost to another is not worth breaking off for: the limit is no law.
            self._claim.renew()


class ReportSlots:
    """This process's part in them. Safe for many threads."""

    def __init__(
        self,
        store: Store,
        namenode_id: Callable[[], int],
        *,
        slots: int = SLOTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namenode_id = namenode_id
        self._clock = clock
        self._free = [
            Claimant(
                store,
                f"block report {number}",
                taken_over_seconds=SILENT_SECONDS,
                held_seconds=SILENT_SECONDS,
                clock=clock,
            )
            for number in range(slots)
        ]
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[Slot | None]:
        """A slot, for as long as the context is open; None if all are taken."""
        claim = self._take()
        if claim is None:
            yield None
            return
        try:
            yield Slot(claim, self._clock)
        finally:
            try:
                claim.release()
            except OastError as error:
                log.warning("a slot for block reports is free only later", error=str(error))
            with self._lock:
                self._free.append(claim)

    def _take(self) -> Claimant | None:
        # What is not free here need not be asked for. The order is random so that namenodes seldom meet.
        with self._lock:
            random.shuffle(self._free)
            for claim in self._free:
                if claim.try_to_take(self._namenode_id() or 1):
                    self._free.remove(claim)
                    return claim
        return None
