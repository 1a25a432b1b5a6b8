"""The journal beside a replica that is being written: how a crash tells torn bytes from corrupt ones.

Data and checksums are two files, so a crash can come between the two writes. While a replica is being
written it has a third file, ``blk_ID.open``: its header holds the length that was durable when the
writer began, and a bitmap names the regions below that length that the writer has overwritten. The bit
is on disk before the first byte of a region changes. After a crash, checksums that do not match are

* in a marked region: computed again, the bytes were never acknowledged;
* above the durable length: where the replica ends;
* anywhere else: corruption, and reported.

It also says whether the data file is lent to the writer (``lending.py``).

A final replica has no such file; losing its removal in a crash only costs a check at the next start.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

REGION_BYTES = 1024 * 1024
"""One bit covers this much: at most one extra sync per MiB of a block, however many small writes."""

_HEADER = struct.Struct(">4sB3xQ")
_MAGIC = b"OASJ"
_WRITING, _TEMPORARY, _LENT = 1, 2, 3


class Journal:
    """The open journal of one replica. Only its writer uses it."""

    def __init__(self, path: Path, fd: int, temporary: bool, durable_length: int, marks: bytearray) -> None:
        self.path = path
        self.temporary = temporary
        self.durable_length = durable_length
        self.lent = False
        self._fd = fd
        self._marks = marks

    @classmethod
    def create(cls, path: Path, durable_length: int, temporary: bool = False) -> Journal:
        """Begin (or begin anew) the journal of a replica whose first ``durable_length`` bytes count."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        journal = cls(path, fd, temporary, durable_length, bytearray())
        os.pwrite(fd, journal._header(), 0)
        return journal

    @classmethod
    def load(cls, path: Path) -> Journal:
        """Open the journal that a crash or a broken pipeline left. A torn one marks nothing."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        content = os.pread(fd, os.fstat(fd).st_size, 0)
        if len(content) < _HEADER.size or content[:4] != _MAGIC:
            return cls(path, fd, False, 0, bytearray())
        _, kind, durable_length = _HEADER.unpack_from(content)
        journal = cls(path, fd, kind == _TEMPORARY, durable_length, bytearray(content[_HEADER.size :]))
        journal.lent = kind == _LENT
        return journal

    def _header(self) -> bytes:
        kind = _TEMPORARY if self.temporary else _LENT if self.lent else _WRITING
        return _HEADER.pack(_MAGIC, kind, self.durable_length)

    def set_durable_length(self, durable_length: int) -> None:
        """Change the length below which a mismatch is corruption; on disk with the next ``sync``."""
        self.durable_length = durable_length
        os.pwrite(self._fd, self._header(), 0)

    def begin_loan(self) -> None:
        """The data file is about to be lent. Not synced: a crash of the machine takes the borrower, too."""
        self.lent = True
        os.pwrite(self._fd, self._header(), 0)

    def end_loan(self) -> None:
        """The replica has a file that nobody else writes."""
        self.lent = False
        os.pwrite(self._fd, self._header(), 0)

    def is_marked(self, start: int, end: int) -> bool:
        """Whether the whole byte range lies in marked regions."""
        marks = self._marks
        for region in range(start // REGION_BYTES, -(-end // REGION_BYTES)):
            if region >> 3 >= len(marks) or not marks[region >> 3] >> (region & 7) & 1:
                return False
        return True

    def mark(self, start: int, end: int) -> None:
        """Note that the byte range is about to be overwritten. Durable on return."""
        first, last = start // REGION_BYTES, (end - 1) // REGION_BYTES
        marks = self._marks
        if last >> 3 >= len(marks):
            marks.extend(bytes((last >> 3) + 1 - len(marks)))
        for region in range(first, last + 1):
            marks[region >> 3] |= 1 << (region & 7)
        os.pwrite(self._fd, marks[first >> 3 : (last >> 3) + 1], _HEADER.size + (first >> 3))
        self.sync()

    def sync(self) -> None:
        """Make header and marks durable."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; it stays beside the replica."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Close and remove it: the replica is final."""
        self.close()
        self.path.unlink(missing_ok=True)
