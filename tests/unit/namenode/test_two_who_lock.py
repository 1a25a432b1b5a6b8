"""Two namenodes on one database, three shards, or Citus: of two who lock the same at once, one is refused."""

from __future__ import annotations

from functools import partial

import pytest

from oastfs.core.types import FileLock, LockKind, LockType
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.test_two_namenodes import ROOT, Change, call_around, namenodes, outcome

__all__ = ["namenodes"]

READ, WRITE, UNLOCK = LockType.READ, LockType.WRITE, LockType.UNLOCK


def lock(kind: LockType, start: int = 0, end: int = 9) -> FileLock:
    return FileLock(LockKind.POSIX, kind, 1, 7, start, end)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (lock(WRITE), lock(WRITE), [["LockHeld", "done"]]),
        (lock(READ), lock(WRITE, 9, 20), [["LockHeld", "done"]]),
        (lock(READ), lock(READ), [["done", "done"]]),
        (lock(WRITE), lock(WRITE, 10, 19), [["done", "done"]]),
    ],
)
def test_locks_that_overlap_in_time(
    namenodes: tuple[Namespace, Namespace], one: FileLock, other: FileLock, told: list[list[str]]
) -> None:
    first, second = namenodes
    for begun in (False, True):  # with the mounts' first locks, and with later ones
        if begun:
            beside = first.write_file(ROOT, "/beside", b"content").inode_id
            first.set_lock(ROOT, beside, "m1", one, True)
        inode_id = first.write_file(ROOT, f"/{begun}", b"content").inode_id
        change: Change = ("set_lock", inode_id, "m1", one, not begun)
        ask = partial(second.set_lock, ROOT, inode_id, "m2", other, True)
        outcomes = call_around(first, change, "", partial(outcome, ask))
        assert outcomes in told


def test_one_owner_on_two_threads(namenodes: tuple[Namespace, Namespace]) -> None:
    first, second = namenodes
    inode_id = first.write_file(ROOT, "/f", b"content").inode_id
    first.set_lock(ROOT, inode_id, "m1", lock(WRITE, 0, 99), True)
    change: Change = ("set_lock", inode_id, "m1", lock(UNLOCK, 0, 9))
    told = call_around(
        first,
        change,
        "",
        lambda: outcome(lambda: second.set_lock(ROOT, inode_id, "m1", lock(UNLOCK, 90, 99))),
    )
    assert told == ["done", "done"]
    found = first.get_lock(ROOT, inode_id, "m2", lock(WRITE, 0, 200))
    assert found is not None
    assert (found.start, found.end) == (10, 89)


def test_unlinking_a_file_that_is_being_locked(namenodes: tuple[Namespace, Namespace]) -> None:
    first, second = namenodes
    inode_id = first.write_file(ROOT, "/f", b"content").inode_id
    change: Change = ("set_lock", inode_id, "m1", lock(WRITE), True)
    told = call_around(first, change, "", lambda: outcome(lambda: second.unlink(ROOT, "/f")))
    assert told == ["StaleHandle", "done"]
