"""Where paths led before: so that all rows of a path are read in one trip, not one after the other.

A path's rows are keyed by the ids of their parents, which only the rows before tell. A namenode remembers
which id a name had; with that it guesses the keys of a whole path and asks for all of them at once (HopsFS's
inode hints). A guess is never believed: the walk looks at the rows as it would without, finds those that
were guessed right at hand, and reads the others. So nothing needs to be told when a directory moves.

Only for stores whose reads cost a trip.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from oastfs.core.errors import OastError
from oastfs.core.path import split
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
    Place,
)
from oastfs.store.staged import StagedTransaction
from oastfs.store.table import Key, Table
from oastfs.store.transaction import Transaction

ENTRIES_MAX: Final = 200_000
"""Names that are remembered; about 200 bytes each."""
_FORGOTTEN_AT_ONCE: Final = 1000


class Hints:
    """Names and ids as they were seen last. Threads may share it: a lost update is a wrong guess."""

    def __init__(self) -> None:
        self.paths = 0
        """Walked so far; an addition may be lost between threads, here and below."""
        self.known = 0
        """Of these, how many lead over names that were all remembered."""
        self._ids: dict[Key, int] = {}
        self._places: dict[int, Key] = {}

    def note(self, parent_id: int, name: str, inode_id: int) -> None:
        """An entry was seen."""
        key = (parent_id, name)
        if self._ids.get(key) == inode_id:
            return
        _make_room(self._ids)
        self._ids[key] = inode_id

    def note_place(self, inode_id: int, place: Place) -> None:
        """Where an inode's entry is was seen."""
        key = (place.parent_id, place.name)
        if self._places.get(inode_id) != key:
            _make_room(self._places)
            self._places[inode_id] = key

    def expect(self, tx: Transaction, *paths: str, content: bool = False) -> None:
        """Paths are about to be walked: read what they probably lead over, and what goes with their ends.

        ``content``: the file at the end is about to be read. Two paths are those of a rename.
        """
        wanted: dict[Table[Any], list[Key]] = {INODE: [], DIRECTORY: [], PLACE: [], CONTENT: []}
        for path in paths:
            ids = self._expect_path(path, wanted)
            if content:
                wanted[CONTENT].append((ids[-1],))
        if len(paths) == 2:
            wanted[PLACE] += [(one,) for one in ids]
            wanted[COUNTER] = [RENAME_MUTEX]
        if isinstance(tx, StagedTransaction):
            wanted[QUOTA] = [(NO_INODE,)]
            wanted[SETTING] = [SAFE_MODE]
        tx.prefetch(wanted)

    def _expect_path(self, path: str, wanted: dict[Table[Any], list[Key]]) -> list[int]:
        """Add what a path probably leads over; the ids on its way, as far as they are known."""
        inode_id = ROOT_ID
        try:
            parts = split(path)
        except OastError:
            return [inode_id]  # the walk will say what is wrong with it
        if parts[:2] == [".reserved", ".inodes"] and len(parts) > 2 and parts[2].isdecimal():
            inode_id = min(int(parts[2][:18]), ID_MAX)
            parts = parts[3:]
            wanted[PLACE].append((inode_id,))
            place = self._places.get(inode_id)
            if place is not None:
                wanted[INODE].append(place)
        else:
            wanted[INODE].append((NO_INODE, ""))
        ids = [inode_id]
        self.paths += 1
        for name in parts:
            key = (inode_id, name)
            wanted[INODE].append(key)
            found = self._ids.get(key)
            if found is None:
                break
            inode_id = found
            ids.append(found)
        else:
            self.known += 1
        wanted[DIRECTORY] += [(one,) for one in ids[-2:]]
        return ids


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= ENTRIES_MAX:
        for key in list(islice(known, _FORGOTTEN_AT_ONCE)):
            known.pop(key, None)
