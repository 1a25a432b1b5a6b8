"""Committing on one shard or on several.

On one, as ever. On several: all but the last are prepared. The last is the *coordinator*: it commits its own
part and the decision in one transaction, and with that everything is committed. Then the others are told.

Rows are locked in one order everywhere (shard, table, key), as no server sees a deadlock that spans several.
But where two or more are to be prepared, they are so at the same time; then each waits for a row for a moment
only. Any circle of those who wait has one of these in it, so it does not last.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Final

from oastfs.core.errors import StoreError
from oastfs.store.failpoints import reach
from oastfs.store.run import run
from oastfs.store.sql_driver.failures import InDoubt, Lost, NoSuchTransaction
from oastfs.store.sql_driver.freeze import SHARE_FREEZE
from oastfs.store.sql_driver.session import Call, Session
from oastfs.store.sql_driver.shards.branch import Branch
from oastfs.store.sql_driver.shards.objects import DECIDE, WAIT_BRIEFLY
from oastfs.store.sql_driver.shards.recovery import DECIDE_SECONDS, Recovery, now_seconds

_ASK_SECONDS: Final = 10.0
"""How long a coordinator that was lost is asked for the decision."""


@dataclass
class Participant:
    """What is done on one shard."""

    number: int
    session: Session
    calls: list[Call]
    partitions: frozenset[int]
    """Whose rows change."""


class Committer:
    """For one handle of a store."""

    def __init__(self, store_id: str, recovery: Recovery) -> None:
        self._store_id = store_id
        self._recovery = recovery
        self.begin_process()

    def begin_process(self) -> None:
        """A name of its own, so that keys are never used twice."""
        self._owner = os.urandom(6).hex()
        self._numbers = itertools.count(1)

    def commit(self, participants: list[Participant]) -> None:
        """Commit on all of them, or on none. Conflict, StoreError, InDoubt."""
        if len(participants) == 1:
            (only,) = participants
            only.session.commit([(SHARE_FREEZE, ()), *only.calls])
            return
        *others, coordinator = sorted(participants, key=lambda one: one.number)
        key = f"{self._owner}.{next(self._numbers)}"
        branches = [
            Branch(self._store_id, key, coordinator.number, one.number, one.partitions) for one in others
        ]
        self._decide(key, others, branches, coordinator)
        reach("two-phase.decided")
        if self._finish(others, branches):
            self._recovery.finished(branches[0])
        reach("two-phase.finished")

    def _decide(
        self, key: str, others: list[Participant], branches: list[Branch], coordinator: Participant
    ) -> None:
        """Prepare, and commit on the coordinator; whatever is raised, nothing is committed, but InDoubt."""
        too_late_at = now_seconds() + DECIDE_SECONDS
        prepared: list[tuple[Participant, Branch]] = []
        share = (SHARE_FREEZE, ())
        try:
            reach("two-phase.begun")
            self._prepare(others, branches, prepared)
            reach("two-phase.prepared")
            coordinator.session.commit([share, *coordinator.calls, (DECIDE, (key, too_late_at))])
        except InDoubt as unknown:
            if not self._was_decided(branches[0], unknown):
                self._undo(prepared)
                raise Lost(unknown.message) from unknown
        except BaseException:
            self._undo(prepared)
            raise

    def _prepare(
        self, others: list[Participant], branches: list[Branch], prepared: list[tuple[Participant, Branch]]
    ) -> None:
        """On all of these at the same time; ``prepared`` has those that are, whatever is raised."""
        first = [(SHARE_FREEZE, ())] if len(others) == 1 else [(SHARE_FREEZE, ()), (WAIT_BRIEFLY, ())]
        started: list[tuple[Participant, Branch]] = []
        failure: StoreError | None = None
        for one, branch in zip(others, branches, strict=True):
            try:
                one.session.start_prepare([*first, *one.calls], branch.gid)
                started.append((one, branch))
            except StoreError as error:
                failure = error
                break
        interruption: BaseException | None = None
        for one, branch in started:
            try:
                one.session.finish()
                prepared.append((one, branch))
                if interruption is None:
                    reach("two-phase.prepared-one")
            except StoreError as error:
                failure = failure or error
            except BaseException as error:
                interruption = interruption or error  # what was sent to others is awaited all the same
        if interruption is not None:
            raise interruption
        if failure is not None:
            raise failure

    def _was_decided(self, branch: Branch, unknown: InDoubt) -> bool:
        """The connection was lost as the coordinator committed: it knows. Raises InDoubt if it stays away."""
        try:
            return run(lambda: self._recovery.decide(branch), deadline_seconds=_ASK_SECONDS)
        except StoreError:
            raise unknown from None

    def _undo(self, prepared: list[tuple[Participant, Branch]]) -> None:
        """What cannot be undone now is so by recovery: nobody has decided that it be committed."""
        for one, branch in prepared:
            try:
                one.session.command(f"ROLLBACK PREPARED '{branch.gid}'")
            except StoreError:
                continue

    def _finish(self, others: list[Participant], branches: list[Branch]) -> bool:
        """Whether it is known to be committed on all of them."""
        done = True
        started: list[Session] = []
        for one, branch in zip(others, branches, strict=True):
            try:
                one.session.start_command(f"COMMIT PREPARED '{branch.gid}'")
                started.append(one.session)
            except StoreError:
                done = False
        for session in started:
            try:
                session.finish()
            except NoSuchTransaction:
                pass  # somebody who came across it was quicker
            except StoreError:
                done = False  # lost, or somebody is at it; recovery looks again
            reach("two-phase.finished-one")
        return done
