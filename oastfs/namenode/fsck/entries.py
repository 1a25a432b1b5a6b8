"""Entries, places and directories: that they form one tree.

``inode`` and ``directory`` are merged in order of the directory's id, so that each is read once.
"""

from __future__ import annotations

import stat as _stat
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from oastfs.core.errors import OastError
from oastfs.core.path import check_name
from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.namenode.fsck import mend
from oastfs.namenode.fsck.attributes import check_attributes
from oastfs.namenode.fsck.report import HIDDEN, Check, Repair, entry_path, find
from oastfs.store.schema import (
    DIRECTORY,
    INODE,
    LINK,
    LINKED_INODE,
    NO_INODE,
    PLACE,
    ROOT_ID,
    Directory,
    Inode,
    Link,
    Place,
)
from oastfs.store.table import Key
from oastfs.store.transaction import Transaction

SOUND_MAX: Final = 500_000
"""Directories known to be reachable that are remembered."""
_KINDS: Final = frozenset(
    (_stat.S_IFREG, _stat.S_IFDIR, _stat.S_IFLNK, _stat.S_IFIFO, _stat.S_IFSOCK, _stat.S_IFCHR, _stat.S_IFBLK)
)


def check_entries(check: Check) -> None:
    """Every entry is in a directory, every place leads to its entry, every directory to the root."""
    _Tree(check).run()
    _check_places(check)


class _Tree:
    def __init__(self, check: Check) -> None:
        self.check = check
        self.tx = check.tx
        self.sound: set[int] = {ROOT_ID, *HIDDEN}

    def run(self) -> None:
        tx = self.tx
        if tx.get(INODE, tree.ROOT_KEY) is None or tx.get(DIRECTORY, (ROOT_ID,)) is None:
            self.check.problem("no-root", "/", "the root directory is missing", _make_root)
        directories: Iterator[tuple[Key, Directory]] = tx.scan(DIRECTORY)
        current = next(directories, None)
        for parent, rows in groupby(tx.scan(INODE), key=_parent):
            parent_id = int(parent)
            while current is not None and int(current[0][0]) < parent_id:
                self._directory(int(current[0][0]), current[1], 0)
                current = next(directories, None)
            here = current is not None and current[0][0] == parent_id
            subdirectories = 0
            for (_, name), inode in rows:
                self._entry(parent_id, str(name), inode, here)
                subdirectories += _stat.S_ISDIR(inode.mode)
            if here:
                assert current is not None
                self._directory(parent_id, current[1], subdirectories)
                current = next(directories, None)
        while current is not None:
            self._directory(int(current[0][0]), current[1], 0)
            current = next(directories, None)

    # --- one entry --------------------------------------------------------------------------------

    def _entry(self, parent_id: int, name: str, inode: Inode, has_parent: bool) -> None:
        check, tx = self.check, self.tx
        check.report.checked["inode"] += 1
        if inode.id > check.highest["inode"]:
            check.highest["inode"] = inode.id
        if parent_id == NO_INODE and name == "":
            self._root_entry(inode)
            return
        if not has_parent and parent_id not in HIDDEN:
            text = f"its directory, inode {parent_id}, does not exist"
            repair = _give_directory(parent_id, name)
            check.problem("entry-without-directory", f"entry {name!r} of inode {parent_id}", text, repair)
            return
        self._check_name(parent_id, name, inode)
        self._check_place(parent_id, name, inode)
        if _stat.S_IFMT(inode.mode) not in _KINDS:
            text = f"its mode {inode.mode:o} is of no kind of file"
            check.problem("bad-mode", entry_path(tx, parent_id, name), text)
        elif _stat.S_ISDIR(inode.mode) and tx.get(DIRECTORY, (inode.id,)) is None:
            check.problem(
                "no-directory-row",
                entry_path(tx, parent_id, name),
                "the directory has no row of its own",
                _make_directory_row(inode.id),
            )
        if inode.flags & Flag.LINKED:
            self._check_link(parent_id, name, inode)
        else:
            self._check_nlink(parent_id, name, inode)
            check_attributes(check, inode)

    def _root_entry(self, inode: Inode) -> None:
        if inode.id != ROOT_ID or not _stat.S_ISDIR(inode.mode):
            self.check.problem("no-root", "/", "the root's entry is not the root directory", None)
        check_attributes(self.check, inode)

    def _check_name(self, parent_id: int, name: str, inode: Inode) -> None:
        if parent_id in HIDDEN:
            if name != str(inode.id):
                text = f"it holds inode {inode.id}, whose number should be its name"
                self.check.problem("bad-name", entry_path(self.tx, parent_id, name), text)
            return
        try:
            check_name(name)
        except OastError as error:
            self.check.problem(
                "bad-name",
                f"entry {name!r} of inode {parent_id}",
                error.message,
                mend.move_to_lost_and_found(parent_id, name),
            )

    def _check_place(self, parent_id: int, name: str, inode: Inode) -> None:
        place = self.tx.get(PLACE, (inode.id,))
        if place is not None and place.parent_id == parent_id and place.name == name:
            return
        other = None if place is None else self.tx.get(INODE, (place.parent_id, place.name))
        if other is None or other.id != inode.id:
            text = "the inode's place does not lead to it"
            repair = _put_place(inode.id, parent_id, name)
            self.check.problem("no-place", entry_path(self.tx, parent_id, name), text, repair)
        elif not inode.flags & Flag.LINKED:
            assert place is not None
            text = f"inode {inode.id} is at {entry_path(self.tx, place.parent_id, place.name)} as well"
            repair = _drop_second_entry(parent_id, name)
            self.check.problem("two-entries", entry_path(self.tx, parent_id, name), text, repair)

    def _check_link(self, parent_id: int, name: str, inode: Inode) -> None:
        row = self.tx.get(LINKED_INODE, (inode.id,))
        path = entry_path(self.tx, parent_id, name)
        if row is None:
            text = f"inode {inode.id}, to which it is a link, does not exist"
            self.check.problem("dangling-link", path, text, _drop_dangling_link(parent_id, name))
        elif self.tx.get(LINK, (inode.id, parent_id, name)) is None:
            text = f"it is not among the links of inode {inode.id}"
            self.check.problem("unlisted-link", path, text, _put_link(inode.id, parent_id, name))

    def _check_nlink(self, parent_id: int, name: str, inode: Inode) -> None:
        expected = 0 if parent_id in HIDDEN and not _stat.S_ISDIR(inode.mode) else 1
        if inode.nlink != expected:
            text = f"its link count is {inode.nlink}, and {expected} is right"
            repair = _set_nlink(parent_id, name, expected)
            self.check.problem("link-count", entry_path(self.tx, parent_id, name), text, repair)

    # --- one directory ----------------------------------------------------------------------------

    def _directory(self, inode_id: int, row: Directory, subdirectories: int) -> None:
        check = self.check
        check.report.checked["directory"] += 1
        if inode_id != ROOT_ID:
            node = find(self.tx, inode_id)
            if node is None or not node.is_directory:
                text = "there is no entry of this directory"
                repair = _attach_directory(inode_id)
                check.problem("directory-without-entry", f"inode {inode_id}", text, repair)
                return
        if row.subdirectories != subdirectories:
            text = f"it counts {row.subdirectories} subdirectories, and has {subdirectories}"
            repair = _recount(inode_id)
            check.problem("subdirectory-count", check.where(inode_id), text, repair)
        self._check_reachable(inode_id)

    def _check_reachable(self, inode_id: int) -> None:
        """Walk up to what is known to be reachable. What is missing on the way is told where it is found."""
        walked: list[int] = []
        at = inode_id
        while at not in self.sound:
            if at in walked:
                ring = walked[walked.index(at) :]
                if inode_id == min(ring):
                    text = f"directories {', '.join(map(str, ring[:20]))} contain each other"
                    repair = _break_ring(inode_id)
                    self.check.problem("cycle", f"inode {inode_id}", text, repair)
                return
            walked.append(at)
            place = self.tx.get(PLACE, (at,))
            if place is None:
                return
            at = place.parent_id
        if len(self.sound) > SOUND_MAX:
            self.sound = {ROOT_ID, *HIDDEN}
        self.sound.update(walked)


def _check_places(check: Check) -> None:
    """No place leads to nothing."""
    tx = check.tx
    for (key,), place in tx.scan(PLACE):
        inode_id = int(key)
        check.report.checked["place"] += 1
        entry = tx.get(INODE, (place.parent_id, place.name))
        if entry is None or entry.id != inode_id:
            path = entry_path(tx, place.parent_id, place.name)
            text = f"the place of inode {inode_id} leads there, and that is another or nothing"
            check.problem("dangling-place", path, text, _mend_place(inode_id))


# --- repairs --------------------------------------------------------------------------------------


def _parent(row: tuple[Key, Inode]) -> int | str:
    return row[0][0]


def _make_root(tx: Transaction, context: Context) -> None:
    now_ns = context.now_ns
    if tx.get(INODE, tree.ROOT_KEY) is None:
        mode = _stat.S_IFDIR | 0o755
        uid = context.info.superuser_uid
        tx.put(INODE, tree.ROOT_KEY, Inode(ROOT_ID, mode, uid, 0, 0, now_ns, now_ns, now_ns))
    if tx.get(DIRECTORY, (ROOT_ID,)) is None:
        tx.put(DIRECTORY, (ROOT_ID,), Directory(now_ns, now_ns, _count(tx, ROOT_ID)))


def _give_directory(parent_id: int, name: str) -> Repair:
    """Only the row may be missing, of a directory that has its entry; else the entry has to move."""

    def mend_it(tx: Transaction, context: Context) -> None:
        above = find(tx, parent_id)
        if above is not None and above.is_directory:
            _make_directory_row(parent_id)(tx, context)
        elif tx.get(DIRECTORY, (parent_id,)) is None:
            mend.move_to_lost_and_found(parent_id, name)(tx, context)

    return mend_it


def _make_directory_row(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        if tx.get(DIRECTORY, (inode_id,)) is None:
            row = Directory(context.now_ns, context.now_ns, _count(tx, inode_id))
            tx.put(DIRECTORY, (inode_id,), row)

    return mend_it


def _put_place(inode_id: int, parent_id: int, name: str) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        if find(tx, inode_id) is None:
            tx.put(PLACE, (inode_id,), Place(parent_id, name))

    return mend_it


def _put_link(inode_id: int, parent_id: int, name: str) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        entry = tx.get(INODE, (parent_id, name))
        if entry is not None and entry.id == inode_id and entry.flags & Flag.LINKED:
            tx.put(LINK, (inode_id, parent_id, name), Link())

    return mend_it


def _drop_second_entry(parent_id: int, name: str) -> Repair:
    """Keep the entry that the inode's place names."""

    def mend_it(tx: Transaction, context: Context) -> None:
        entry = tx.get(INODE, (parent_id, name))
        place = None if entry is None else tx.get(PLACE, (entry.id,))
        if place is not None and (place.parent_id, place.name) != (parent_id, name):
            tx.delete(INODE, (parent_id, name))
            _recount(parent_id)(tx, context)

    return mend_it


def _drop_dangling_link(parent_id: int, name: str) -> Repair:
    """The attributes are gone with the row: the name alone says nothing."""

    def mend_it(tx: Transaction, context: Context) -> None:
        entry = tx.get(INODE, (parent_id, name))
        if entry is not None and tx.get(LINKED_INODE, (entry.id,)) is None:
            tx.delete(INODE, (parent_id, name))
            tx.delete(LINK, (entry.id, parent_id, name))

    return mend_it


def _set_nlink(parent_id: int, name: str, nlink: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        entry = tx.get(INODE, (parent_id, name))
        if entry is not None:
            tx.put(INODE, (parent_id, name), tree.with_attributes(entry, nlink=nlink))

    return mend_it


def _attach_directory(inode_id: int) -> Repair:
    """A directory that has lost its entry: kept if there is anything in it, with the default mode."""

    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(DIRECTORY, (inode_id,))
        node = find(tx, inode_id)
        if row is None or (node is not None and node.is_directory):
            return
        if next(iter(tx.scan(INODE, (inode_id,), limit=1)), None) is None:
            tx.delete(DIRECTORY, (inode_id,))
            return
        mode = _stat.S_IFDIR | 0o700
        uid = context.info.superuser_uid
        inode = Inode(inode_id, mode, uid, 0, 0, row.mtime_ns, row.mtime_ns, row.ctime_ns)
        mend.attach(tx, context, inode)

    return mend_it


def _recount(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        row = tx.get(DIRECTORY, (inode_id,))
        if row is not None:
            changed = Directory(row.mtime_ns, row.ctime_ns, _count(tx, inode_id))
            tx.put(DIRECTORY, (inode_id,), changed)

    return mend_it


def _break_ring(inode_id: int) -> Repair:
    def mend_it(tx: Transaction, context: Context) -> None:
        place = tx.get(PLACE, (inode_id,))
        above = set()
        at = place
        while at is not None and at.parent_id not in (ROOT_ID, *HIDDEN):
            if at.parent_id in above:
                assert place is not None
                mend.move_to_lost_and_found(place.parent_id, place.name)(tx, context)
                return
            above.add(at.parent_id)
            at = tx.get(PLACE, (at.parent_id,))

    return mend_it


def _mend_place(inode_id: int) -> Repair:
    """Point it to another name of the inode, or remove it."""

    def mend_it(tx: Transaction, context: Context) -> None:
        if find(tx, inode_id) is not None:
            return
        for (_, parent_id, name), _ in tx.scan(LINK, (inode_id,)):
            entry = tx.get(INODE, (parent_id, name))
            if entry is not None and entry.id == inode_id:
                tx.put(PLACE, (inode_id,), Place(int(parent_id), str(name)))
                return
        tx.delete(PLACE, (inode_id,))

    return mend_it


def _count(tx: Transaction, inode_id: int) -> int:
    return sum(_stat.S_ISDIR(inode.mode) for _, inode in tx.scan(INODE, (inode_id,)))
