"""Small blocks that this process keeps for a moment, between a datanode's offer and ``complete``.

The content of a small file comes with the end of its only block, and the file is completed right after that.
So what a datanode offers of a block that was given out here is not written at once: ``complete`` writes it
with the rest, and it is durable when it has to be. What is not completed soon is written into its row.

Should this process die in between, no row tells that there was an offer. But the datanodes still hold the
block, and offer it again when they ask what has become of it. Until then its file must not be completed as
if it were a block on their disks. So who is to complete a small block that it did not give out itself is in
doubt, and has the client ask again (``is_doubtful``). That is for a limited time: datanodes put on their
disks what there is no namenode to ask about.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from oastfs.store.schema import Block

if TYPE_CHECKING:
    from oastfs.namenode.context import Context

KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
GIVEN_MAX: Final = 10_000
WRITE_AFTER_SECONDS: Final = 0.05
"""What is not completed by then is written into its row."""
USED_SECONDS: Final = 1.0
"""How long bytes are kept that were written with their file: a transaction may have to be run again."""
DOUBT_SECONDS: Final = 10.0
"""Datanodes ask every second, and a namenode that starts hears of them within a few."""


@dataclass
class Kept:
    """The whole content of a block, offered under this stamp."""

    block_id: int
    stamp: int
    data: bytes
    kept_at: float
    used: bool = False
    begun: bool = False
    """It is being written into its row."""


class Staging:
    """What one process gave out and keeps. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: OrderedDict[int, None] = OrderedDict()
        self._kept: dict[int, Kept] = {}
        self._doubtful: OrderedDict[int, float] = OrderedDict()
        self._bytes = 0

    def give_out(self, block_id: int) -> None:
        """A new block's writer has it from here."""
        with self._lock:
            self._given[block_id] = None
            if len(self._given) > GIVEN_MAX:
                self._given.popitem(last=False)

    def keep(self, block_id: int, stamp: int, data: bytes) -> bool:
        """Keep an offered block; False if it is not one that was given out here, or there is no room."""
        with self._lock:
            before = self._kept.get(block_id)
            size = self._bytes + len(data) - (len(before.data) if before is not None else 0)
            if block_id not in self._given or size > KEPT_BYTES_MAX:
                return False
            self._bytes = size
            self._kept[block_id] = Kept(block_id, stamp, data, time.monotonic())
            return True

    def find(self, block_id: int, stamp: int) -> bytes:
        """The bytes that are kept of a block with this stamp; b"" for none."""
        kept = self._kept.get(block_id)
        return kept.data if kept is not None and kept.stamp == stamp else b""

    def use(self, block_id: int) -> None:
        """The transaction that runs writes the bytes elsewhere."""
        kept = self._kept.get(block_id)
        if kept is not None:
            kept.used = True

    def forget(self, kept: Kept) -> None:
        """It is written, or cannot be: it is not for this process to answer for any more."""
        with self._lock:
            if self._kept.get(kept.block_id) is kept:
                del self._kept[kept.block_id]
                self._bytes -= len(kept.data)
            self._given.pop(kept.block_id, None)

    def due(self) -> list[Kept]:
        """What is to be written now; forgets what was used. Empty as well when nothing is kept."""
        now = time.monotonic()
        due = []
        for kept in list(self._kept.values()):
            age = now - kept.kept_at
            if kept.used and age >= USED_SECONDS:
                self.forget(kept)
            elif not (kept.used or kept.begun) and age >= WRITE_AFTER_SECONDS:
                kept.begun = True
                due.append(kept)
        return due

    def rest(self) -> list[Kept]:
        """What would be lost if this process ended now."""
        return [kept for kept in list(self._kept.values()) if not kept.used]

    @property
    def empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._kept

    def is_doubtful(self, block_id: int) -> bool:
        """Whether the block may have been offered to a process that has died, or to another one just now."""
        now = time.monotonic()
        with self._lock:
            if block_id in self._given:
                return False
            since = self._doubtful.setdefault(block_id, now)
            if len(self._doubtful) > GIVEN_MAX:
                self._doubtful.popitem(last=False)
        return now - since < DOUBT_SECONDS


def known(context: Context, block: Block) -> Block:
    """The block with the bytes that are staged of it, whether its row has them or this process."""
    if block.staged != b"" or not block.pending_stamp or block.generation_stamp:
        return block
    data = context.environment.staging.find(block.block_id, block.pending_stamp)
    return msgspec.structs.replace(block, staged=data) if data else block
