"""Which namenode leads: that is, runs the jobs that look after the whole store.

The leader holds a claim in the store (``namenode/claims.py``), so nothing besides the store is needed to
agree on one. A leader that stops gives the claim back, and another leads within half a second; of one that
is killed, the row stops changing, and another leads within ``TAKEN_OVER_SECONDS`` and half a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from oastfs.core.errors import OastError
from oastfs.namenode.claims import HELD_SECONDS, RENEWED_SECONDS, TAKEN_OVER_SECONDS, Claimant
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.registry import LEADER

log = structlog.get_logger(__name__)


class Election(Job):
    """One namenode's part in it. Not one of ``all_jobs``: it decides who runs them."""

    name = "election"
    interval_seconds = 0.5
    pause_after_error_seconds = 0.5
    everywhere = True

    def __init__(
        self,
        namespace: Namespace,
        namenode_id: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``namenode_id``: 0 while it has none."""
        super().__init__(namespace)
        self._namenode_id = namenode_id
        self._clock = clock
        self._claim = Claimant(
            namespace.store,
            LEADER,
            taken_over_seconds=TAKEN_OVER_SECONDS,
            held_seconds=HELD_SECONDS,
            clock=clock,
        )
        self._renew_at = 0.0
        self._leading = False

    @property
    def leads(self) -> bool:
        """Whether this namenode leads now."""
        return self._claim.holds

    def run_once(self, now_ns: int) -> int:
        if self._leading:
            if self._clock() < self._renew_at:
                return 0
            self._renew_at = self._clock() + RENEWED_SECONDS
            if not self._claim.renew():
                self._leading = False
                log.warning("another namenode leads now")
            return 0
        namenode_id = self._namenode_id()
        if namenode_id and self._claim.try_to_take(namenode_id):
            self._leading = True
            self._renew_at = self._clock() + RENEWED_SECONDS
            log.info("this namenode leads", namenode_id=namenode_id)
        return 0

    def leave(self) -> None:
        """Let another lead. The jobs have to have ended before."""
        self._leading = False
        try:
            self._claim.release()
        except OastError:
            pass  # a store that does not answer must not keep it from stopping; others will find out
