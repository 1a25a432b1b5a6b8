"""The content of a small file: bytes in the metadata, fetched and patched whole."""

from __future__ import annotations

from typing import NamedTuple

from oastfs.client.blocks.layout import LOOK_AHEAD_BLOCKS
from oastfs.client.extents import DirtyExtents
from oastfs.client.file_context import FileContext
from oastfs.core.types import FileStatus, Opened


class InlineChange(NamedTuple):
    """Arguments of the verb ``write_inline``, but for the caller."""

    path: str
    patches: list[tuple[int, bytes]]
    length: int
    holder: str
    release: bool


class InlineContent:
    """What the filesystem has of a file whose content is inline. Its owner locks."""

    def __init__(self, context: FileContext, length: int, data: bytes | None = None) -> None:
        self._context = context
        self._data = b"" if length == 0 else data
        self._length = self._sent_length = length
        self.cut = False
        """Whether the length was set, so that it has to be sent even if nothing was written past it."""

    @property
    def length(self) -> int:
        """How much of the content counts; beyond it the file is zeros, or dirty."""
        return self._length

    @property
    def sent_length(self) -> int:
        """How long the file is for others."""
        return self._sent_length

    def forget(self) -> None:
        """What is known may be out of date."""
        self._data = None

    def end(self) -> None:
        """Nothing is held of a writer's."""

    abort = end

    def slice(self, offset: int, count: int) -> bytes | None:
        """``count`` bytes if they are here as they are."""
        data = self._data
        if data is None or offset + count > len(data):
            return None
        return data if count == len(data) else data[offset : offset + count]

    def load(self) -> Opened | None:
        """Fetch the content if it is not here. Answers what the file is now if it is in blocks by now."""
        if self._data is None:
            opened = self._context.open(0, LOOK_AHEAD_BLOCKS * self._context.block_size)
            if opened.data is None:
                return opened
            self._data = opened.data[: self._length]
        return None

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` from ``offset``; zeros where there is nothing. ``load`` comes first."""
        data = self._data or b""
        found = memoryview(data)[offset : min(offset + len(target), self._length)]
        target[: len(found)] = found
        if len(found) < len(target):
            target[len(found) :] = bytes(len(target) - len(found))

    def truncate(self, length: int) -> None:
        """Cut off here; it is sent with the next ``flush``."""
        self.cut = True
        self._length = min(self._length, length)
        if self._data is not None:
            self._data = self._data[: self._length]
        elif self._length == 0:
            self._data = b""

    def fill_gaps(self, dirty: DirtyExtents) -> None:
        """Make ``dirty`` hold all content, to be written elsewhere. ``load`` comes first."""
        data = memoryview(self._data or b"")[: self._length]
        for start, end in list(dirty.gaps(0, len(data))):
            dirty.write(start, bytes(data[start:end]))

    def flush(self, dirty: DirtyExtents, length: int) -> FileStatus:
        """Send what was written; the file is then ``length`` bytes long. Raises InlineLimitExceeded.

        ``dirty`` is left to the caller to clear.
        """
        change = self.change(dirty, length)
        status: FileStatus = self._context.metadata.call("write_inline", self._context.caller, *change)
        self.sent(change, status.length)
        return status

    def change(self, dirty: DirtyExtents, length: int) -> InlineChange:
        """What is to be sent, as arguments of the verb ``write_inline``."""
        patches = [(offset, b"".join(pieces)) for offset, pieces in dirty.runs()]
        if self.cut:
            # The filesystem does not know how short the file was in between: what was cut off is zeros.
            gaps = dirty.gaps(self._length, min(self._sent_length, length))
            patches += [(start, bytes(end - start)) for start, end in gaps]
        return InlineChange(self._context.path, patches, length if self.cut else -1, "", False)

    def sent(self, change: InlineChange, length: int) -> None:
        """The change was made, and the file is ``length`` bytes long: what is known of the content now."""
        patches = change.patches
        self.cut = False
        if len(patches) == 1 and patches[0][0] == 0 and len(patches[0][1]) == length:
            self._data = patches[0][1]
        elif self._data is not None and max(self._length, *(o + len(d) for o, d in patches), 0) == length:
            content = bytearray(length)
            content[: len(self._data)] = self._data
            for offset, data in patches:
                content[offset : offset + len(data)] = data
            self._data = bytes(content)
        else:
            self._data = b"" if length == 0 else None  # another writer was there, too
        self._length = self._sent_length = length
