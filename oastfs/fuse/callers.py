"""Who makes a request: from the numbers that the kernel gives to the namespace's ``Caller``.

The kernel tells the process, its user and its primary group; the further groups are read from ``/proc``
and remembered for a second, since a process asks many times in a row and its groups hardly ever change.
"""

from __future__ import annotations

import pwd
import time
from functools import lru_cache
from pathlib import Path

from oastfs.core.types import Caller

GROUPS_VALID_SECONDS = 1.0
_CACHED_MAX = 4096


class Callers:
    """Callers by (uid, gid, pid)."""

    def __init__(self) -> None:
        self._supers: dict[int, Caller] = {}
        self._known: dict[tuple[int, int, int], tuple[float, Caller]] = {}

    def get(self, uid: int, gid: int, pid: int) -> Caller:
        """The caller of a request. The superuser's further groups do not matter and are not read."""
        if uid == 0:
            found = self._supers.get(gid)
            if found is None:
                found = self._supers[gid] = Caller("root", 0, (gid,))
            return found
        now = time.monotonic()
        cached = self._known.get((uid, gid, pid))
        if cached is not None and cached[0] > now:
            return cached[1]
        caller = Caller(user_name(uid), uid, (gid, *(one for one in groups_of(pid) if one != gid)))
        if len(self._known) >= _CACHED_MAX:
            self._known.clear()
        self._known[uid, gid, pid] = (now + GROUPS_VALID_SECONDS, caller)
        return caller


def groups_of(pid: int) -> tuple[int, ...]:
    """Supplementary groups of a process; none if it is gone or of another pid namespace."""
    if pid == 0:
        return ()
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return ()
    start = status.find(b"\nGroups:")
    if start < 0:
        return ()
    return tuple(map(int, status[start + 8 : status.index(b"\n", start + 8)].split()))


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user for messages and the audit log; its digits if it has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
