"""What entries of directories were when the kernel was last told of them, or had them changed.

Before the mount takes a name away it has to know for what it stands: what is open here must be kept. The
kernel has nearly always looked it up just before, so the mount remembers that instead of looking once more,
and says to the namespace what it expects there. Nothing is believed: where it is something else by now the
change is refused (``EntryChanged``) and the mount looks.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.types import FileStatus

REMEMBERED_MAX: Final = 16_384
"""About 400 bytes each: where looking takes a trip, also for who lists a directory before he empties it."""
REMEMBERED_BRIEFLY_MAX: Final = 64
"""Where looking takes microseconds, what was looked up just now is enough, and does not drive everything else
out of the processor's caches."""


class Entries:
    """Entries by the inode id of their directory and their name; None: there was nothing."""

    __slots__ = ("_linked", "_max", "_seen")

    def __init__(self, remembered_max: int) -> None:
        self._max = remembered_max
        self._seen: dict[tuple[int, str], FileStatus | None] = {}
        self._linked: set[int] = set()

    def note(self, parent_id: int, name: str, status: FileStatus | None) -> None:
        """This is what is there; when there is too much, all that was before is forgotten."""
        if len(self._seen) >= self._max:
            self._seen.clear()
        self._seen[parent_id, name] = status

    def note_linked(self, inode_id: int) -> None:
        """An inode has got a further name: what is remembered of others tells too few."""
        if len(self._linked) >= REMEMBERED_MAX:
            self._seen.clear()
            self._linked.clear()
        self._linked.add(inode_id)

    def drop(self, parent_id: int, name: str) -> None:
        """Nobody knows any more."""
        self._seen.pop((parent_id, name), None)

    def free(self, parent_id: int, name: str) -> bool:
        """Whether nothing was there."""
        return self._seen.get((parent_id, name), self) is None

    def sole_name(self, parent_id: int, name: str) -> FileStatus | None:
        """What was there, if it was a file (of any kind) without another name."""
        status = self._seen.get((parent_id, name))
        if status is None or status.is_directory or status.nlink != 1 or status.inode_id in self._linked:
            return None
        return status

    def directory(self, parent_id: int, name: str) -> FileStatus | None:
        """What was there, if it was a directory."""
        status = self._seen.get((parent_id, name))
        return status if status is not None and status.is_directory else None
