"""Names of users and groups, remembered: every status that an HDFS client sees has two of them."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Final

from oastfs.core.types import Caller
from oastfs.namenode import principals
from oastfs.store.transaction import Transaction

_REMEMBERED_NS: Final = 60 * 10**9
_ENTRIES_MAX: Final = 10_000


class Names:
    """What this process remembers of principals, for at most a minute."""

    __slots__ = ("_callers", "_groups", "_since_ns", "_users")

    def __init__(self) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._callers: dict[str, Caller] = {}
        self._since_ns = 0

    def refresh(self, now_ns: int) -> None:
        """Forget what is old. Called with each call's time."""
        if not 0 <= now_ns - self._since_ns < _REMEMBERED_NS:
            self.forget()
            self._since_ns = now_ns

    def forget(self) -> None:
        """Ask anew for everything (refreshUserToGroupsMappings)."""
        self._users.clear()
        self._groups.clear()
        self._callers.clear()

    def user(self, tx: Transaction, uid: int) -> str:
        """Name of a user; its digits if there is none."""
        return self._users.get(uid) or self._look_up(tx, principals.USER, uid, self._users)

    def group(self, tx: Transaction, gid: int) -> str:
        """Name of a group; its digits if there is none."""
        return self._groups.get(gid) or self._look_up(tx, principals.GROUP, gid, self._groups)

    def caller(self, user: str) -> Caller | None:
        """The caller of that name, if it was ``introduce``d."""
        return self._callers.get(user)

    def introduce(self, caller: Caller) -> None:
        """Remember a caller."""
        if len(self._callers) >= _ENTRIES_MAX:
            self._callers.clear()
        self._callers[caller.user] = caller

    @staticmethod
    def _look_up(tx: Transaction, kind: str, number: int, known: dict[int, str]) -> str:
        if len(known) >= _ENTRIES_MAX:
            known.clear()
        name = known[number] = principals.name_of(tx, kind, number)
        return name


def groups_of(user: str) -> list[str]:
    """Groups of a user as the namenode's own system has them, the primary one first; may take long.

    HDFS clients send no groups: the namenode's machine decides (ShellBasedUnixGroupsMapping).
    """
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        return []
    names = []
    for gid in os.getgrouplist(user, entry.pw_gid):
        try:
            names.append(grp.getgrgid(gid).gr_name)
        except KeyError:
            names.append(str(gid))
    return names


def enter_caller(tx: Transaction, user: str, groups: list[str]) -> Caller:
    """The caller of a name, whose ids are given out now if they are new."""
    uid = principals.id_of(tx, principals.USER, user)
    return Caller(user, uid, tuple(principals.id_of(tx, principals.GROUP, group) for group in groups))
