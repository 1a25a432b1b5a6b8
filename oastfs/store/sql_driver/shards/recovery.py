"""Settling transactions on several shards that were left in the middle, whoever left them.

A transaction is committed if its coordinator has a decision that says so. Who finds it prepared and no
decision may have it undone, but first writes down that decision: then a late commit on the coordinator
fails on the key that is there already. So everybody may settle anything at any time, and all come to the
same end.

Each open store looks every second for what has been prepared for longer than any healthy transaction takes.
A reader does not wait for that: what it finds decided it finishes itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from oastfs.core.errors import StoreError
from oastfs.store.failpoints import reach
from oastfs.store.run import Conflict
from oastfs.store.sql_driver.failures import NoSuchTransaction
from oastfs.store.sql_driver.layout import SCHEMA
from oastfs.store.sql_driver.server import Server
from oastfs.store.sql_driver.session import READ
from oastfs.store.sql_driver.shards.branch import Branch, parse, prefix

PERIOD_SECONDS: Final = 1.0
LEFT_SECONDS: Final = 2.0
"""Prepared for so long: its owner is dead, or so slow that it may try again."""
DECIDE_SECONDS: Final = 60.0
"""A transaction that is not decided so long after its begin, by its own clock, never is."""
_FORGET_SECONDS: Final = {True: 60.0, False: 3600.0}
"""When decisions that nobody removed are looked at. What was decided against must outlive DECIDE_SECONDS, and
whatever the clocks of namenodes and servers differ by."""
_CLEAN_EVERY: Final = 30
_DECISION: Final = f"{SCHEMA}.decision"

_log = logging.getLogger(__name__)


class Recovery:
    """For one handle of a store."""

    def __init__(self, servers: Sequence[Server], store_id: str) -> None:
        self._servers = servers
        self._store_id = store_id
        self.begin_process()

    def begin_process(self) -> None:
        """What a forked child needs anew."""
        self._finished: list[Branch] = []
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Look every second, from a thread."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._watch, name="oastfs-store-recover", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread, and remove the decisions that nobody needs."""
        with self._lock:
            self._stopped.set()
            thread = self._thread
        if thread is not None:
            thread.join(10)
        try:
            self.forget_finished()
        except StoreError:
            pass  # others will, a minute later

    def _watch(self) -> None:
        rounds = 0
        while not self._stopped.wait(PERIOD_SECONDS):
            rounds += 1
            try:
                self.settle_all()
                self.forget_finished()
                if rounds % _CLEAN_EVERY == 0:
                    self.clean()
            except StoreError as error:
                _log.info("looking for transactions left in doubt: %s", error)
            except Exception:
                _log.exception("looking for transactions left in doubt failed")

    # --- decisions --------------------------------------------------------------------------------------

    def decision(self, branch: Branch) -> bool | None:
        """What was decided; None: nothing yet."""

        def ask(connection: Any) -> Any:
            return connection.execute(
                sa.text(f"SELECT committed FROM {_DECISION} WHERE key = :key"), {"key": branch.key}
            ).scalar()

        answer = self._servers[branch.coordinator].connections.ask(ask)
        return None if answer is None else bool(answer)

    def decide(self, branch: Branch) -> bool:
        """Whether it is committed; from now on it is decided."""

        def ask(connection: Any) -> Any:
            # Waits for the coordinator's own transaction if that is about to write the same key.
            connection.execute(
                sa.text(
                    f"INSERT INTO {_DECISION} (key, committed) VALUES (:key, false) "
                    "ON CONFLICT (key) DO NOTHING"
                ),
                {"key": branch.key},
            )
            return connection.execute(
                sa.text(f"SELECT committed FROM {_DECISION} WHERE key = :key"), {"key": branch.key}
            ).scalar()

        return bool(self._servers[branch.coordinator].connections.ask(ask))

    def settle_if_decided(self, branch: Branch) -> bool:
        """Finish it if it is committed; whether it is, or may have been: it has come to its end meanwhile.

        A decision is removed when all is carried out. So where there is none, nothing was decided only if the
        branch is prepared still.
        """
        committed = self.decision(branch)
        if committed is None:
            return not self._is_prepared(branch)
        if committed:
            self.finish(branch, True)
        return committed

    def finish(self, branch: Branch, committed: bool) -> None:
        """Carry out what was decided on this branch's shard. A Conflict if somebody is doing it."""
        how = "COMMIT" if committed else "ROLLBACK"
        try:
            with self._servers[branch.shard].connections.session(READ) as session:
                session.command(f"{how} PREPARED '{branch.gid}'")
        except NoSuchTransaction:
            pass  # somebody was quicker

    # --- what others left -------------------------------------------------------------------------------

    def prepared(self, number: int) -> list[tuple[Branch, float]]:
        """What is prepared on a shard, and for how many seconds it has been."""

        def ask(connection: Any) -> Any:
            return connection.execute(
                sa.text(
                    "SELECT gid, extract(epoch FROM clock_timestamp() - prepared) FROM pg_prepared_xacts "
                    "WHERE database = current_database() AND starts_with(gid, :prefix)"
                ),
                {"prefix": prefix(self._store_id)},
            ).all()

        return [(parse(gid), float(age)) for gid, age in self._servers[number].connections.ask(ask)]

    def _is_prepared(self, branch: Branch) -> bool:
        def ask(connection: Any) -> bool:
            text = sa.text("SELECT true FROM pg_prepared_xacts WHERE gid = :gid")
            return connection.execute(text, {"gid": branch.gid}).scalar() is not None

        return self._servers[branch.shard].connections.ask(ask)

    def settle_all(self, left_seconds: float = LEFT_SECONDS) -> int:
        """Settle what has been prepared for so long, on all shards that answer; how many there were."""
        settled = 0
        failure: StoreError | None = None
        for number in range(len(self._servers)):
            try:
                for branch, age_seconds in self.prepared(number):
                    if age_seconds < left_seconds:
                        continue
                    reach("recovery.found")
                    committed = self.decide(branch)
                    reach("recovery.decided")
                    self.finish(branch, committed)
                    reach("recovery.finished")
                    settled += 1
                    _log.info(
                        "transaction %s was left in doubt: %s on shard %d",
                        branch.key,
                        "committed" if committed else "undone",
                        number,
                    )
            except StoreError as error:
                failure = error
        if failure is not None and not isinstance(failure, Conflict):
            raise failure
        return settled

    # --- decisions that are not needed any more ---------------------------------------------------------

    def finished(self, branch: Branch) -> None:
        """A transaction of ours is committed on all its shards."""
        self._finished.append(branch)

    def forget_finished(self) -> None:
        """Remove the decisions of our own that are carried out everywhere."""
        taken, self._finished = self._finished, []
        by_shard: dict[int, list[str]] = {}
        for branch in taken:
            by_shard.setdefault(branch.coordinator, []).append(branch.key)
        for number, keys in by_shard.items():
            self._remove(number, keys)
        if taken:
            reach("two-phase.forgotten")

    def clean(self) -> None:
        """Remove the decisions of the dead, once nothing that is prepared anywhere could ask for them."""
        old: dict[int, list[str]] = {}
        for number, server in enumerate(self._servers):
            if keys := server.connections.ask(_old_decisions):
                old[number] = keys
        if not old:
            return
        # Looked at after the decisions were: what is not prepared now is finished, or never will be asked.
        pending = {branch.key for number in range(len(self._servers)) for branch, _ in self.prepared(number)}
        for number, keys in old.items():
            self._remove(number, [key for key in keys if key not in pending])

    def _remove(self, number: int, keys: list[str]) -> None:
        def ask(connection: Any) -> None:
            connection.execute(sa.text(f"DELETE FROM {_DECISION} WHERE key = ANY(:keys)"), {"keys": keys})

        if keys:
            self._servers[number].connections.ask(ask)


def _old_decisions(connection: Any) -> list[str]:
    rows = connection.execute(
        sa.text(
            f"SELECT key FROM {_DECISION} WHERE made < clock_timestamp() - "
            "CASE WHEN committed THEN :committed ELSE :undone END * interval '1 second'"
        ),
        {"committed": _FORGET_SECONDS[True], "undone": _FORGET_SECONDS[False]},
    )
    return [str(key) for (key,) in rows]


def now_seconds() -> float:
    """The clock by which transactions must be decided; servers compare it with theirs."""
    return time.time()
