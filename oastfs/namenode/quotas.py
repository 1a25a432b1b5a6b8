"""Quotas of directories: how many names a tree may hold, and how much space it may take.

Every entry that comes, goes or grows is charged to each directory above it that has a quota, in the same
transaction; ``tree`` and ``removal`` do so for all operations. Limits are checked for what grows only, the
nearest directory first, before anything is written: a tree that is over its limit may shrink, and things
may be moved about in it.

Each name of a file with hard links counts as a name, and its content counts with each of them, as in
``content_summary``. What is being written counts when it is committed; until then a writer is given a
block only if all of it would fit (HDFS addBlock).
"""

from __future__ import annotations

import stat as _stat
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from oastfs.core.errors import NameQuotaExceeded, SpaceQuotaExceeded
from oastfs.core.types import Flag
from oastfs.store.run import First
from oastfs.store.schema import (
    BLOCK,
    INODE,
    LINK,
    LINKED_INODE,
    NO_INODE,
    PLACE,
    QUOTA,
    ROOT_ID,
    SETTING,
    Inode,
    Quota,
)
from oastfs.store.table import Key, Lock
from oastfs.store.transaction import Transaction

_MARKER: Final = (NO_INODE,)
_BLOCKS: Final = int(Flag.BLOCKS)
_LINKED: Final = int(Flag.LINKED)
_TYPE: Final = 0o170000
UNCOUNTED: Final = -(1 << 62)
"""Names of a tree that is about to be counted; what is charged to it meanwhile does not bring it near 0."""
_DEPTH_MAX: Final = 100_000
"""No tree is deeper; a damaged one may go round in a circle."""
_PENDING_MAX: Final = 64
"""Uncommitted blocks of a file that are looked for, from its end."""


class Usage(NamedTuple):
    """What a tree, or a change of it, takes."""

    names: int
    space: int


def active(tx: Transaction) -> bool:
    """Whether any directory has a quota. One look; everything else here begins with it."""
    return tx.get(QUOTA, _MARKER) is not None


def is_counted(row: Quota) -> bool:
    """Whether the row tells what the tree takes."""
    return row.names >= 0


def announce(tx: Transaction, *directory_ids: int) -> None:
    """The trees of directories are about to be counted: who changes them from now on charges them."""
    for directory_id in directory_ids:
        if tx.get(QUOTA, (directory_id,), Lock.EXCLUSIVE) is None:
            _count(tx, 1)
            tx.put(QUOTA, (directory_id,), Quota(-1, -1, UNCOUNTED, 0))


def space_of(inode: Inode, default_replication: int) -> int:
    """The bytes that an inode's content takes with all replicas."""
    if inode.flags & _BLOCKS and inode.mode & _TYPE == _stat.S_IFREG:
        return inode.length * (inode.replication or default_replication)
    return 0 if inode.mode & _TYPE == _stat.S_IFDIR else inode.length


# --- charging -------------------------------------------------------------------------------------


def entered(tx: Transaction, parent_id: int, inode: Inode) -> None:
    """An entry of a file, or of an empty directory, is about to come. Raises QuotaExceeded."""
    if active(tx):
        charges = _Charges(tx)
        charges.add(_chain(tx, parent_id), Usage(1, charges.space_of(inode)))
        charges.apply()


def left(tx: Transaction, parent_id: int, inode: Inode) -> None:
    """An entry of a file, or of an empty directory, is about to go."""
    if active(tx):
        charges = _Charges(tx)
        charges.add(_chain(tx, parent_id), Usage(-1, -charges.space_of(inode)))
        charges.apply()


def tree_left(tx: Transaction, parent_id: int, inode: Inode, begin_walk: Callable[[], None]) -> None:
    """The entry of a directory is about to go, with all that is below it. ``begin_walk`` may refuse to have
    that counted."""
    chain = _chain(tx, parent_id) if active(tx) else []
    if chain:
        begin_walk()
        charges = _Charges(tx)
        usage = usage_of(tx, inode)
        charges.add(chain, Usage(-usage.names, -usage.space))
        charges.apply()


def resized(tx: Transaction, parent_id: int, before: Inode, after: Inode, enforce: bool = True) -> None:
    """A file's content is about to take more or less space. Raises QuotaExceeded.

    Without ``enforce`` it is only counted: what datanodes have settled is so, whatever a limit says.
    """
    if not active(tx):
        return
    charges = _Charges(tx)
    change = Usage(0, charges.space_of(after) - charges.space_of(before))
    if change.space:
        for directory_id in _parents(tx, parent_id, after):
            charges.add(_chain(tx, directory_id), change)
        charges.apply(enforce)


def moved(tx: Transaction, moves: Iterable[tuple[int, Inode, int]], begin_walk: Callable[[], None]) -> None:
    """Entries are about to move at once: (old parent, attributes, new parent) of each. Raises QuotaExceeded.

    Directories above both places see no change, so only where these differ has a tree to be walked, which
    ``begin_walk`` may refuse.
    """
    if not active(tx):
        return
    charges = _Charges(tx)
    uncharged = []
    for old_parent_id, inode, new_parent_id in moves:
        if old_parent_id == new_parent_id:
            continue
        old, new = _chain(tx, old_parent_id), _chain(tx, new_parent_id)
        away, there = [one for one in old if one not in new], [one for one in new if one not in old]
        if away or there:
            if inode.mode & _TYPE == _stat.S_IFDIR:
                begin_walk()
            usage = usage_of(tx, inode)
            charges.add(away, Usage(-usage.names, -usage.space))
            charges.add(there, usage)
            if not away and inode.mode & _TYPE == _stat.S_IFDIR:
                uncharged.append(inode.id)
    charges.check()
    _meet_changes_below(tx, uncharged)
    charges.apply(enforce=False)


def _meet_changes_below(tx: Transaction, directory_ids: Sequence[int]) -> None:
    """Have whoever changes the trees of these directories meanwhile in conflict with this transaction.

    Those who change a tree without a quota above it write no row that its counting could conflict with. So
    it is announced first, as for a quota of its own: then they charge it.
    """
    rows = {one: tx.get(QUOTA, (one,), Lock.EXCLUSIVE) for one in directory_ids}
    unknown = [one for one, row in rows.items() if row is None or not is_counted(row)]
    if unknown and tx.overlapped:
        raise First(lambda tx: announce(tx, *unknown))
    for one in unknown:
        if rows[one] is not None:
            _drop(tx, (one,))


def require_room(tx: Transaction, inode: Inode, block_size: int) -> None:
    """Raise SpaceQuotaExceeded unless a whole further block of the file would fit (HDFS addBlock).

    What the file's blocks that are not committed yet may take is thought of, too, and that the first blocks
    take the place of inline content.
    """
    if not active(tx):
        return
    pending = 1
    for _, block in tx.scan(BLOCK, (inode.id,), limit=_PENDING_MAX, reverse=True):
        pending += not block.generation_stamp
    charges = _Charges(tx)
    replaced = 0 if inode.flags & _BLOCKS else inode.length
    replication = inode.replication or charges.default_replication
    change = Usage(0, pending * block_size * replication - replaced)
    place = tx.get(PLACE, (inode.id,))
    for directory_id in () if place is None else _parents(tx, place.parent_id, inode):
        charges.add(_chain(tx, directory_id), change)
    charges.check()


class _Charges:
    """Changes of the usage of directories, gathered to be checked and then written together."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._changes: dict[int, Usage] = {}
        self._default_replication = 0

    @property
    def default_replication(self) -> int:
        """Replicas of files that do not say how many."""
        if not self._default_replication:
            row = self._tx.get(SETTING, ("replication",))
            self._default_replication = 1 if row is None else int(row.value)
        return self._default_replication

    def space_of(self, inode: Inode) -> int:
        return space_of(inode, self.default_replication)

    def add(self, directory_ids: Iterable[int], change: Usage) -> None:
        for directory_id in directory_ids:
            known = self._changes.get(directory_id, Usage(0, 0))
            sums = Usage(known.names + change.names, known.space + change.space)
            self._changes[directory_id] = sums

    def check(self) -> None:
        """Raise QuotaExceeded for the first directory that would have too much more."""
        for directory_id, change in self._changes.items():
            row = self._tx.get(QUOTA, (directory_id,))
            if row is not None:
                _check(self._tx, directory_id, row, change)

    def apply(self, enforce: bool = True) -> None:
        """Check, then write."""
        if enforce:
            self.check()
        for directory_id, change in self._changes.items():
            row = self._tx.get(QUOTA, (directory_id,), Lock.EXCLUSIVE)
            if row is not None and change != (0, 0):
                names, space = row.names + change.names, row.space + change.space
                changed = Quota(row.names_max, row.space_max, names, space, row.type_limits)
                self._tx.put(QUOTA, (directory_id,), changed)


def _check(tx: Transaction, directory_id: int, row: Quota, change: Usage) -> None:
    names, space = row.names + change.names, row.space + change.space
    if change.names > 0 and 0 <= row.names_max < names:
        raise NameQuotaExceeded(
            f"The NameSpace quota (directories and files) of directory {_path_of(tx, directory_id)} "
            f"is exceeded: quota={row.names_max} file count={names}"
        )
    if change.space > 0 and 0 <= row.space_max < space:
        raise SpaceQuotaExceeded(
            f"The DiskSpace quota of {_path_of(tx, directory_id)} is exceeded: "
            f"quota = {row.space_max} B = {binary_size(row.space_max)} "
            f"but diskspace consumed = {space} B = {binary_size(space)}"
        )


def binary_size(size_bytes: int) -> str:
    """A size as HDFS writes it in messages: 128 MB, 1.50 GB, 1000 B."""
    for shift, prefix in ((60, "E"), (50, "P"), (40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size_bytes >> shift:
            exact = not size_bytes & ((1 << shift) - 1)
            return f"{size_bytes >> shift if exact else f'{size_bytes / (1 << shift):.2f}'} {prefix}B"
    return f"{size_bytes} B"


def _chain(tx: Transaction, directory_id: int) -> list[int]:
    """Directories with a quota, from this one up to the root; none if it is not in the visible tree."""
    found = []
    for _ in range(_DEPTH_MAX):
        if tx.get(QUOTA, (directory_id,)) is not None:
            found.append(directory_id)
        if directory_id == ROOT_ID:
            return found
        place = tx.get(PLACE, (directory_id,))
        if place is None:
            break
        directory_id = place.parent_id
    return []


def _parents(tx: Transaction, parent_id: int, inode: Inode) -> list[int]:
    """The directories of a file's names."""
    if not inode.flags & _LINKED:
        return [parent_id]
    return [int(directory_id) for (_, directory_id, _), _ in tx.scan(LINK, (inode.id,))]


def _path_of(tx: Transaction, directory_id: int) -> str:
    names: list[str] = []
    while directory_id != ROOT_ID and len(names) < _DEPTH_MAX:
        place = tx.get(PLACE, (directory_id,))
        if place is None:
            break
        names.append(place.name)
        directory_id = place.parent_id
    return "/" + "/".join(reversed(names))


# --- counting -------------------------------------------------------------------------------------


def usage_of(tx: Transaction, top: Inode, known: dict[int, Usage] | None = None) -> Usage:
    """What an inode takes with all that is below it; for a directory that means a walk.

    Directories below that have a quota know their own usage; with ``known`` only what it holds is believed,
    nor that no directory holds itself.
    """
    charges = _Charges(tx)
    if top.mode & _TYPE != _stat.S_IFDIR:
        return Usage(1, charges.space_of(_attributes(tx, top)))
    names = space = 0
    pending = [top.id]
    seen = set(pending)
    while pending:
        directory_id = pending.pop()
        counted = _counted(tx, directory_id) if known is None else known.get(directory_id)
        if counted is not None:
            names += counted.names
            space += counted.space
            continue
        names += 1
        for _, entry in tx.scan(INODE, (directory_id,)):
            if entry.mode & _TYPE != _stat.S_IFDIR:
                names += 1
                space += charges.space_of(_attributes(tx, entry))
            elif known is None:
                pending.append(entry.id)
            elif entry.id not in seen:
                seen.add(entry.id)
                pending.append(entry.id)
    return Usage(names, space)


def _counted(tx: Transaction, directory_id: int) -> Usage | None:
    row = tx.get(QUOTA, (directory_id,))
    return None if row is None or not is_counted(row) else Usage(row.names, row.space)


def _attributes(tx: Transaction, entry: Inode) -> Inode:
    return tx.get(LINKED_INODE, (entry.id,)) or entry if entry.flags & _LINKED else entry


# --- the rows -------------------------------------------------------------------------------------


def put(tx: Transaction, directory_id: int, row: Quota) -> None:
    """Give a directory this quota; one without any limit goes."""
    key = (directory_id,)
    known = tx.get(QUOTA, key, Lock.EXCLUSIVE)
    if row.names_max < 0 and row.space_max < 0 and not row.type_limits:
        if known is not None:
            _drop(tx, key)
        return
    if known is None:
        _count(tx, 1)
    tx.put(QUOTA, key, row)


def forget(tx: Transaction, directory_id: int) -> None:
    """A directory is gone for good."""
    if active(tx) and tx.get(QUOTA, (directory_id,), Lock.EXCLUSIVE) is not None:
        _drop(tx, (directory_id,))


def _drop(tx: Transaction, key: Key) -> None:
    tx.delete(QUOTA, key)
    _count(tx, -1)


def _count(tx: Transaction, change: int) -> None:
    marker = tx.get(QUOTA, _MARKER, Lock.EXCLUSIVE)
    count = change if marker is None else marker.names + change
    if count > 0:
        tx.put(QUOTA, _MARKER, Quota(-1, -1, count, 0))
    else:
        tx.delete(QUOTA, _MARKER)
