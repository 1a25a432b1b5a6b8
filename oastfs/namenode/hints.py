"""Where paths led before: so that all rows of a path are read in one trip, not one after the other.

A path's rows are keyed by the ids of their parents, which only the rows before tell. A namenode remembers
which id a name had; with that it guesses the keys of a whole path and asks for all of them at once (HopsFS's
inode hints). A guess is never believed: the walk looks at the rows as it would without, finds those that
were guessed right at hand, and reads the others. So nothing needs to be told when a directory moves.

Only for stores whose reads cost a trip.
"""

from __future__ import annotations

import stat as _stat
from itertools import islice
from typing import Any, Final

from oastfs.core.errors import OastError
from oastfs.core.path import split
from oastfs.core.types import Flag
from oastfs.store.keys import ID_MAX
from oastfs.store.schema import (
    CONTENT,
    COUNTER,
    DIRECTORY,
    INODE,
    NO_INODE,
    PLACE,
    QUOTA,
    RENAME_MUTEX,
    ROOT_ID,
    SAFE_MODE,
    SETTING,
    Inode,
)
from oastfs.store.staged import StagedTransaction
from oastfs.store.table import Key, Table
from oastfs.store.transaction import Transaction

ENTRIES_MAX: Final = 200_000
"""Names that are remembered; about 200 bytes each."""
_FORGOTTEN_AT_ONCE: Final = 1000
_TYPE: Final = 0o170000
_DIRECTORY_TYPE: Final = _stat.S_IFDIR
_BLOCKS: Final = int(Flag.BLOCKS)
_IS_DIRECTORY: Final = 2
_KIND_BITS: Final = 2
_KIND: Final = _IS_DIRECTORY | _BLOCKS
"""What is remembered of an inode beside its id: that it is a directory, or a file in blocks."""


class Hints:
    """Names and ids as they were seen last. Threads may share it: a lost update is a wrong guess."""

    def __init__(self) -> None:
        self.paths = 0
        """Walked so far; an addition may be lost between threads, here and below."""
        self.known = 0
        """Of these, how many lead over names that were all remembered."""
        self._seen: dict[Key, int] = {}
        """Of each entry the inode's id, shifted, and what kind it is."""
        self._places: dict[int, Key] = {}

    def note(self, parent_id: int, name: str, inode: Inode) -> None:
        """An entry was seen, or is being made."""
        key = (parent_id, name)
        seen = inode.id << _KIND_BITS | (inode.mode & _TYPE == _DIRECTORY_TYPE) << 1 | inode.flags & _BLOCKS
        if self._seen.get(key) != seen:
            _make_room(self._seen)
            self._seen[key] = seen
        if self._places.get(inode.id) != key:
            _make_room(self._places)
            self._places[inode.id] = key

    def place_of(self, inode_id: int) -> Key | None:
        """Where an inode's entry was."""
        return self._places.get(inode_id)

    def expect_entry(self, tx: Transaction, directory_id: int, name: str) -> None:
        """An entry is about to be looked at, and what goes with it if it is a directory."""
        key = (directory_id, name)
        seen = self._seen.get(key, 0)
        wanted: dict[Table[Any], list[Key]] = {INODE: [key]}
        if seen & _IS_DIRECTORY:
            wanted[DIRECTORY] = [(seen >> _KIND_BITS,)]
        tx.prefetch(wanted)

    def expect(
        self,
        tx: Transaction,
        *paths: str,
        content: bool = False,
        blocks: bool = False,
        entries: bool = False,
    ) -> None:
        """Paths are about to be walked: read what they probably lead over, and what goes with their ends.

        ``content``: the file at the end is about to be read, ``blocks``: where its blocks are, if it has any,
        ``entries``: the directory. Two paths are those of a rename.
        """
        wanted: dict[Table[Any], list[Key]] = {INODE: []}
        changing = type(tx) is StagedTransaction
        more = entries
        ids: list[int] = []
        kinds: list[int] = []
        for path in paths:
            ids, kind = self._expect_path(path, wanted)
            kinds.append(kind)
            if changing:
                wanted.setdefault(DIRECTORY, []).extend([(one,) for one in ids[-2:]])
            elif kind & _IS_DIRECTORY:
                wanted.setdefault(DIRECTORY, []).append((ids[-1],))
            if content and not kind & (_IS_DIRECTORY | _BLOCKS):
                wanted[CONTENT] = [(ids[-1],)]
            more = more or ((content or blocks) and bool(kind & _BLOCKS))
        if len(paths) == 2 and kinds[0] & _IS_DIRECTORY:
            # Where directories are has to be known before one moves.
            wanted.setdefault(PLACE, []).extend([(one,) for one in ids])
            wanted[COUNTER] = [RENAME_MUTEX]
        if changing:
            wanted[QUOTA] = [(NO_INODE,)]
            wanted[SETTING] = [SAFE_MODE]
        tx.prefetch(wanted, more)

    def _expect_path(self, path: str, wanted: dict[Table[Any], list[Key]]) -> tuple[list[int], int]:
        """Add what a path probably leads over. The ids on its way, as far as they are known, and the bits of
        what is at its end if it is known to the end."""
        try:
            parts = split(path)
        except OastError:
            return [ROOT_ID], _IS_DIRECTORY  # the walk will say what is wrong with it
        rows = wanted[INODE]
        inode_id, seen = ROOT_ID, _IS_DIRECTORY
        if parts[:2] == [".reserved", ".inodes"] and len(parts) > 2 and parts[2].isdecimal():
            inode_id, parts = min(int(parts[2][:18]), ID_MAX), parts[3:]
            if (place := self._places.get(inode_id)) is None:
                wanted.setdefault(PLACE, []).append((inode_id,))
            else:
                rows.append(place)
                seen = self._seen.get(place, _IS_DIRECTORY)
        else:
            rows.append((NO_INODE, ""))
        ids = [inode_id]
        self.paths += 1
        known = self._seen.get
        for name in parts:
            key = (inode_id, name)
            rows.append(key)
            found = known(key)
            if found is None:
                return ids, _IS_DIRECTORY
            seen = found
            inode_id = found >> _KIND_BITS
            ids.append(inode_id)
        self.known += 1
        return ids, seen & _KIND


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= ENTRIES_MAX:
        for key in list(islice(known, _FORGOTTEN_AT_ONCE)):
            known.pop(key, None)
