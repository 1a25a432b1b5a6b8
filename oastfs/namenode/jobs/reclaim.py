"""Taking back the space of what was deleted: everything under the reclaim directory.

A tree goes level by level: files are removed, subdirectories move up under the reclaim directory
itself, an empty directory goes. So no path is kept and no depth matters; a crash loses nothing.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.types import Flag
from oastfs.namenode import removal
from oastfs.namenode.blocks.drop import drop_blocks
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.tree import Node
from oastfs.store.schema import (
    BLOCK,
    CONTENT,
    DIRECTORY,
    INODE,
    LINK,
    LINKED_INODE,
    OPEN_FILE,
    PLACE,
    RECLAIM_ID,
    XATTR,
    Directory,
    Inode,
)
from oastfs.store.transaction import Transaction

INODES_PER_STEP: Final = 256
BLOCKS_PER_STEP: Final = 256
_DIRECTORY_MODE: Final = 0o040000
_FILE_MODE: Final = 0o100000
_HAS_MORE: Final = int(Flag.LINKED | Flag.XATTRS | Flag.BLOCKS | Flag.OPEN)
_BLOCKS_OR_OPEN: Final = int(Flag.BLOCKS | Flag.OPEN)


class Reclaim(Job):
    """One step removes up to ``INODES_PER_STEP`` inodes and ``BLOCKS_PER_STEP`` blocks."""

    name = "reclaim"
    interval_seconds = 1.0
    waits_in_safe_mode = True

    def run_once(self, now_ns: int) -> int:
        first = self.store.read(lambda tx: next(iter(tx.scan(INODE, (RECLAIM_ID,), limit=1)), None))
        return 0 if first is None else self.write(now_ns, lambda tx, context: Step(tx, context).run())


class Step:
    """One transaction's worth of work."""

    def __init__(self, tx: Transaction, context: Context) -> None:
        self.tx = tx
        self.context = context
        self.inodes_left = INODES_PER_STEP
        self.blocks_left = BLOCKS_PER_STEP

    def run(self) -> int:
        """How many inodes and blocks were removed."""
        for (parent_id, name), inode in list(self.tx.scan(INODE, (RECLAIM_ID,), limit=INODES_PER_STEP)):
            if inode.mode & 0o170000 == _DIRECTORY_MODE:
                self._directory(int(parent_id), str(name), inode)
            else:
                self._remove(int(parent_id), str(name), inode)
            if self.inodes_left <= 0 or self.blocks_left <= 0:
                break
        return INODES_PER_STEP - self.inodes_left + BLOCKS_PER_STEP - self.blocks_left

    def _directory(self, parent_id: int, name: str, inode: Inode) -> None:
        tx, limit = self.tx, self.inodes_left
        entries = list(tx.scan(INODE, (inode.id,), limit=limit))
        moved = removed = 0
        for (_, child_name), child in entries:
            if self.blocks_left <= 0:
                break
            if child.mode & 0o170000 == _DIRECTORY_MODE:
                tx.delete(INODE, (inode.id, child_name))
                removal.hide(tx, child, RECLAIM_ID)
                self.inodes_left -= 1
                moved += 1
                removed += 1
            else:
                removed += self._remove(inode.id, str(child_name), child)
        if removed == len(entries) < limit:
            tx.delete(INODE, (parent_id, name))
            removal.purge(tx, inode)
            self.inodes_left -= 1
        elif moved:
            row = tx.get(DIRECTORY, (inode.id,))
            if row is not None:
                count = row.subdirectories - moved
                tx.put(DIRECTORY, (inode.id,), Directory(row.mtime_ns, row.ctime_ns, count))

    def _remove(self, parent_id: int, name: str, inode: Inode) -> bool:
        """Remove a file's entry and, with its last name, all that belongs to it. False: not yet done."""
        tx = self.tx
        self.inodes_left -= 1
        if inode.flags & _HAS_MORE:
            if inode.flags & Flag.LINKED:
                self._unlink(parent_id, name, inode)
                return True
            if inode.flags & _BLOCKS_OR_OPEN and not self._drop_content(inode):
                return False
            if inode.flags & Flag.XATTRS:
                for key, _ in list(tx.scan(XATTR, (inode.id,))):
                    tx.delete(XATTR, key)
        if inode.length or inode.mode & 0o170000 != _FILE_MODE:
            tx.delete(CONTENT, (inode.id,))
        tx.delete(PLACE, (inode.id,))
        tx.delete(INODE, (parent_id, name))
        return True

    def _drop_content(self, inode: Inode) -> bool:
        """Drop blocks, as many as this step may; then writers. False if blocks remain."""
        tx = self.tx
        found = [
            (int(key[1]), block) for key, block in tx.scan(BLOCK, (inode.id,), limit=self.blocks_left + 1)
        ]
        gone = found[: self.blocks_left]
        drop_blocks(tx, self.context, inode.id, gone)
        self.blocks_left -= len(gone)
        if len(gone) < len(found):
            return False
        for key, _ in list(tx.scan(OPEN_FILE, (inode.id,))):
            tx.delete(OPEN_FILE, key)
        return True

    def _unlink(self, parent_id: int, name: str, entry: Inode) -> None:
        """Take one name of several away; the file goes with the last one."""
        inode = self.tx.get(LINKED_INODE, (entry.id,))
        if inode is not None:
            removal.remove(self.tx, self.context, Node(parent_id, name, inode))
            return
        self.tx.delete(LINK, (entry.id, parent_id, name))
        self.tx.delete(INODE, (parent_id, name))
