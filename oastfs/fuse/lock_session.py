"""What a mount has locked, and that the namespace goes on to believe in it.

The mount has a name under which its locks are known, and renews its lease on them while it has any. If it
comes too late (it was stopped, or cut off, for a minute), others may have been given what it had: all of it
is lost then, its owners are told so when they next ask for a lock there, and new locks are under a new name.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from oastfs.core.errors import LocksLost, OastError
from oastfs.core.metadata import Metadata
from oastfs.core.types import SUPERUSER, FileLock, LockKind, LockType

RENEWAL_SECONDS: Final = 10.0

Owner = tuple[int, LockKind, int]
"""Inode id, kind of the locks, and the kernel's number for who has them."""

_log = logging.getLogger(__name__)


class LockSession:
    """Owners that have locks here. Its own lock is never held while anybody waits."""

    def __init__(self, metadata: Metadata, take_name: Callable[[], str]) -> None:
        """``take_name`` gives names that nobody has used before."""
        self.holder = take_name()
        self.held: dict[int, set[Owner]] = {}
        """By inode; an inode without any is not there."""
        self._metadata = metadata
        self._take_name = take_name
        self._lost: set[Owner] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._used = False

    def begin(self) -> tuple[str, bool]:
        """For a lock to be asked for: the holder, and whether it has none yet."""
        with self._lock:
            self._used = True
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="oastfs-locks", daemon=True)
                self._thread.start()
            return self.holder, not self.held

    def has(self, owner: Owner) -> bool:
        """Whether the owner has locked anything."""
        return owner in self.held.get(owner[0], ())

    def has_lost(self, owner: Owner) -> bool:
        """Whether the owner had locks that were lost."""
        return owner in self._lost

    def gained(self, owner: Owner, holder: str) -> None:
        """The owner was given a lock. Raises LocksLost if all locks were lost while that was under way."""
        with self._lock:
            if holder == self.holder:
                self.held.setdefault(owner[0], set()).add(owner)
                return
            self._lost.add(owner)
        raise LocksLost(path=str(owner[0]))

    def gone(self, owner: Owner) -> None:
        """The owner has no locks any more, and those that it has lost are forgotten."""
        with self._lock:
            self._lost.discard(owner)
            owners = self.held.get(owner[0])
            if owners is not None:
                owners.discard(owner)
                if not owners:
                    del self.held[owner[0]]

    def lose(self, holder: str) -> None:
        """The namespace does not believe in that holder's locks any more, or is not to do so."""
        with self._lock:
            if holder != self.holder:
                return
            owners = {owner for some in self.held.values() for owner in some}
            self._lost |= owners
            self.held.clear()
            self.holder = self._take_name()
        _log.error("the locks of %d owners are lost: the namespace was not told of them in time", len(owners))

    # --- renewing -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.wait(RENEWAL_SECONDS):
            self.renew()

    def renew(self) -> None:
        """Keep alive what is held."""
        holder = self.holder
        if not self.held:
            return
        try:
            self._metadata.renew_locks(SUPERUSER, holder)
        except LocksLost:
            self.lose(holder)
        except OastError as error:
            _log.warning("locks could not be renewed: %s", error)

    def close(self) -> None:
        """Give up everything."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._used:
            try:
                self._metadata.release_locks(SUPERUSER, self.holder)
            except OastError as error:
                _log.warning("locks stay until they expire: %s", error)


def unlocking(owner: Owner) -> FileLock:
    """What takes all of an owner's locks away."""
    return FileLock(owner[1], LockType.UNLOCK, owner[2])
