"""Emptying the trash of HDFS's clients, as Hadoop's namenodes do (TrashPolicyDefault).

At each multiple of the checkpoint interval every ``/user/USER/.Trash/Current`` is renamed to the time, as
yyMMddHHmmss in the namenode's time zone, and what was renamed before the deletion interval is deleted.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

import structlog

from oastfs.core.errors import AlreadyExists, OastError
from oastfs.core.path import by_id
from oastfs.core.types import RenameMode
from oastfs.namenode import trash, tree
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.ops.delete import delete
from oastfs.namenode.ops.rename import rename
from oastfs.store.schema import INODE, ROOT_ID, SETTING, Setting
from oastfs.store.transaction import Transaction

USERS: Final = "user"
TRASH: Final = ".Trash"
CURRENT: Final = "Current"
FORMAT: Final = "%y%m%d%H%M%S"
ATTEMPTS_MAX: Final = 1_000
_MINUTE_NS: Final = 60 * 10**9
_NEXT: Final = ("trash_next_ns",)
log = structlog.get_logger(__name__)


class TrashEmptier(Job):
    """One step looks after the trash of every user, each in a transaction of its own, if it is time."""

    name = "trash"
    interval_seconds = 15.0
    waits_in_safe_mode = True

    def run_once(self, now_ns: int) -> int:
        settings = self.store.read(trash.settings)
        if not settings.interval or not self.store.read(lambda tx: _is_due(tx, now_ns, settings.period)):
            return 0
        if not self.write(now_ns, partial(_take_turn, period_minutes=settings.period)):
            return 0
        for inode_id in self.store.read(_trashes):
            try:
                self.write(now_ns, partial(empty, inode_id=inode_id, interval_minutes=settings.interval))
            except OastError as error:
                log.warning("trash cannot be emptied", inode_id=inode_id, error=str(error))
        return 0


def empty(tx: Transaction, context: Context, inode_id: int, interval_minutes: int) -> None:
    """Delete what is old in one trash directory, then make its present content a checkpoint."""
    oldest_ns = context.now_ns - interval_minutes * _MINUTE_NS
    current = False
    for (_, name), entry in list(tx.scan(INODE, (inode_id,))):
        if name == CURRENT:
            current = True
            continue
        made_ns = checkpoint_time_ns(str(name))
        if made_ns is not None and made_ns < oldest_ns and tree.Node(inode_id, str(name), entry).is_directory:
            delete(tx, context, f"{by_id(inode_id)}/{name}", True)
    if current:
        _make_checkpoint(tx, context, inode_id)


def checkpoint_time_ns(name: str) -> int | None:
    """When a checkpoint was made, by its name; None if it is not the name of one."""
    text = name.partition("-")[0]
    if len(text) != 12 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return int(time.mktime(time.strptime(text, FORMAT))) * 10**9
    except (ValueError, OverflowError):
        return None


def _make_checkpoint(tx: Transaction, context: Context, inode_id: int) -> None:
    trash_path = by_id(inode_id)
    name = time.strftime(FORMAT, time.localtime(context.now_ns // 10**9))
    for attempt in range(ATTEMPTS_MAX):
        target = f"{trash_path}/{name}" + (f"-{attempt}" if attempt else "")
        try:
            rename(tx, context, f"{trash_path}/{CURRENT}", target, RenameMode.NO_REPLACE, "")
            return
        except AlreadyExists:
            continue


def _trashes(tx: Transaction) -> list[int]:
    """Inodes of all users' trash directories; links lead nowhere that a user may not empty."""
    users = tx.get(INODE, (ROOT_ID, USERS))
    if users is None:
        return []
    found = []
    for (_, name), home in tx.scan(INODE, (users.id,)):
        if tree.Node(users.id, str(name), home).is_directory:
            entry = tx.get(INODE, (home.id, TRASH))
            if entry is not None and tree.Node(home.id, TRASH, entry).is_directory:
                found.append(entry.id)
    return found


def _is_due(tx: Transaction, now_ns: int, period_minutes: int) -> bool:
    """Whether a step has something to write: its turn has come, or the time of the next is to be noted."""
    row = tx.get(SETTING, _NEXT)
    return row is None or not now_ns < int(row.value) <= _following(now_ns, period_minutes)


def _take_turn(tx: Transaction, context: Context, period_minutes: int) -> bool:
    """Note when it is time again; whether it is time now, and no other namenode has taken this turn."""
    row = tx.get(SETTING, _NEXT)
    tx.put(SETTING, _NEXT, Setting(str(_following(context.now_ns, period_minutes))))
    return row is not None and int(row.value) <= context.now_ns


def _following(now_ns: int, period_minutes: int) -> int:
    period_ns = period_minutes * _MINUTE_NS
    return (now_ns // period_ns + 1) * period_ns
