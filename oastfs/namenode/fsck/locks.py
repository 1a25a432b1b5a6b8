"""Locks of files: that each row is well formed, and that no two which count stand against each other.

Rows of mounts that are gone are no damage, nor are those of files that are gone: they are swept up.
"""

from __future__ import annotations

from itertools import combinations, groupby

from oastfs.core.limits import LEASE_SOFT_LIMIT_NS
from oastfs.core.types import LOCK_END, LockKind, LockType
from oastfs.namenode import leases, lock_ranges
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.report import Check
from oastfs.store.schema import FILE_LOCK, FileLock
from oastfs.store.table import Key


def check_locks(check: Check) -> None:
    """Every row of ``file_lock``."""
    for inode_id, group in groupby(check.tx.scan(FILE_LOCK), key=lambda row: row[0][0]):
        rows = list(group)
        check.report.checked["file_lock"] += len(rows)
        sound = []
        for key, row in rows:
            if _is_sound(key, row):
                sound.append((key, row))
            else:
                text = f"what {key[1]!r} has locked makes no sense: {row.ranges}"
                check.problem("bad-lock", f"inode {inode_id}", text, mend.delete_row(FILE_LOCK, key))
        _check_conflicts(check, [(key, row) for key, row in sound if _counts(check, str(key[1]))])


def _check_conflicts(check: Check, rows: list[tuple[Key, FileLock]]) -> None:
    for (one, first), (other, second) in combinations(rows, 2):
        if one[2] == other[2] and any(
            lock_ranges.conflict(first.ranges, start, end, LockType(kind))
            for start, end, kind in second.ranges
        ):
            text = f"{one[1]!r} and {other[1]!r} have locks that stand against each other"
            check.problem("lock-conflict", f"inode {one[0]}", text, mend.delete_row(FILE_LOCK, other))


def _counts(check: Check, holder: str) -> bool:
    return not leases.is_expired(check.tx, holder, check.now_ns, LEASE_SOFT_LIMIT_NS)


def _is_sound(key: Key, row: FileLock) -> bool:
    """Ranges are in order and apart, and of a kind that there is."""
    if key[2] not in tuple(LockKind) or not row.ranges:
        return False
    before, before_kind = -2, -1
    for start, end, kind in row.ranges:
        joined = start == before + 1 and kind == before_kind
        if kind not in (LockType.READ, LockType.WRITE) or not before < start <= end <= LOCK_END or joined:
            return False
        before, before_kind = end, kind
    return True
