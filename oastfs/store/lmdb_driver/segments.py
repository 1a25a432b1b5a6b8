"""The files of the write-ahead log: numbered segments, filled with zeros before they are used.

Overwriting what a file has already changes neither its length nor its blocks, so ``fdatasync`` of a segment
writes the data and nothing else. A segment that a checkpoint has made superfluous becomes the ``spare``,
which is the next segment when one is needed. A small store has small segments; they double as the log goes
on.

Whoever appends holds LMDB's writer mutex. Syncing needs no mutex: one sync makes durable what all threads
and processes have written to the segment before it. So two numbers tell what is durable: of the writes of
this process, and of those among them that are known to be. When a segment ends it is synced, so that what a
sync of the next one makes durable is not cut off by a gap. The directory is held by descriptor: a store
that is renamed while it is open keeps its log.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

from oastfs.store.lmdb_driver.records import (
    HEADER_BYTES,
    VOID,
    Changes,
    Header,
    Position,
    Record,
    decode_record,
    read_header,
)
from oastfs.store.lmdb_driver.syncer import make_syncer
from oastfs.store.lmdb_driver.writeout import begin_write_out

SEGMENT_BYTES_MIN = 128 << 10
SEGMENT_BYTES_MAX = 8 << 20
_ROUND_BYTES = 4096
_SPARE = "spare"
_SUFFIX = ".log"
_UNFINISHED = ("new-", "checkpoint-")
_ZEROS = bytes(4096)
"""A page: what is written at once, Linux keeps in one piece of memory, and looks through all of it for each
record that is written to it and for each sync. With pieces of a mebibyte these take a quarter more."""
_QUICK_SECONDS = 0.0005
"""A slower disk would have an event loop that waits for it stand still for longer than what that saves."""
_QUICK_BYTES = 32 << 10


class Segments:
    """The segments in a directory, with the current one open."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._number = -1
        self._file = -1
        self._length = self._end_of_log = 0
        self._syncing = threading.Lock()
        self._syncer = make_syncer()
        self._written = self._synced = 0
        self.syncs_meanwhile = False
        """Whether what is written next will be synced by ``begin_sync``."""
        self._failure: OSError | None = None

    def is_quick(self) -> bool:
        """Whether writing a record is likely to be a matter of a moment: the segment has room for it."""
        return self._length - self._end_of_log > _QUICK_BYTES

    def syncs_quickly(self) -> bool:
        """Whether syncs are a matter of a moment at present."""
        return self._syncer.seconds() < _QUICK_SECONDS

    def place(self, position: Position, record: Record) -> tuple[int, int]:
        """Where a record goes: at the position, or, if it does not fit there, at the start of the next
        segment."""
        length = self._use(position.segment)
        if position.offset == 0 or position.offset + len(record.data) <= length:
            return position.segment, position.offset
        return position.segment + 1, 0

    def write(self, position: Position, placed: tuple[int, int], record: Record) -> None:
        """Write a record, not yet durably. Raises OSError."""
        number, offset = placed
        # A segment that is there although nothing in it counts was begun by a process that died, perhaps
        # before its name was durable.
        length = self._use(number) if offset else 0
        if offset + len(record.data) > length:
            if number != position.segment:
                self._end(position)
            self._begin(number, len(record.data))
        try:
            _write_all(self._file, record.data, offset)
        except OSError:
            self._doubt()
            raise
        self._end_of_log = offset + len(record.data)
        self._written += 1
        if not self.syncs_meanwhile:
            begin_write_out(self._file, offset, len(record.data))
        else:
            with suppress(OSError):  # then ``begin_sync`` says so
                self._syncer.request(self._file, self._written)

    def sync(self) -> None:
        """Make durable what was written before, or see that another thread has done so. Raises OSError.

        Of threads that come while one syncs, the first syncs for the others.
        """
        with self._syncing:
            self._sync()

    def begin_sync(self) -> int:
        """Have what was written before made durable meanwhile: it is when ``synced`` is as much as this; 0 if
        it is already. For who may write. Raises OSError."""
        if self._failure is not None:
            raise self._failure
        number = self._written
        if self._synced >= number:
            return 0
        self._syncer.request(self._file, number)
        return number

    def synced(self) -> int:
        """How much of what was written is durable. Raises OSError."""
        if self._failure is not None:
            raise self._failure
        try:
            self._synced = max(self._synced, self._syncer.reached())
        except OSError as error:
            self._failure = error
            raise
        return self._synced

    def synced_descriptor(self) -> int:
        """It is readable once ``synced`` may have grown."""
        return self._syncer.fileno()

    def distrust(self, number: int) -> None:
        """Others have written to a segment, the last there is: have the next sync make that durable."""
        if self._use(number):
            self._written += 1

    def void(self, placed: tuple[int, int]) -> None:
        """Make sure that the record which was just written will not be found. Raises OSError."""
        _write_all(self._file, VOID, placed[1])
        self._written += 1
        self.close()

    def read(self, position: Position) -> Iterator[tuple[Changes, Position]]:
        """The records from a position on, each with the position behind it."""
        while True:
            for segment, offset in ((position.segment, position.offset), (position.segment + 1, 0)):
                found = self._record(position, segment, offset)
                if found is not None:
                    record, changes = found
                    position = position.after(segment, offset, record)
                    yield changes, position
                    break
            else:
                return

    def recycle(self, below: int) -> None:
        """Give up the segments with lower numbers; one of them becomes the spare."""
        for number in sorted(self.numbers()):
            if number >= below:
                return
            with suppress(FileNotFoundError):  # another process does the same
                os.rename(_name(number), _SPARE, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def tidy(self) -> None:
        """Remove what processes that died were making. The caller has the store alone."""
        for name in os.listdir(self._directory):  # noqa: PTH208 - by descriptor
            if name.startswith(_UNFINISHED):
                os.unlink(name, dir_fd=self._directory)

    def numbers(self) -> list[int]:
        """The numbers of all segments."""
        names = os.listdir(self._directory)  # noqa: PTH208 - by descriptor
        return [int(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX)]

    def disk_bytes(self) -> int:
        """What all files of the directory take on the disk."""
        total = 0
        for name in os.listdir(self._directory):  # noqa: PTH208 - by descriptor
            with suppress(FileNotFoundError):
                total += os.stat(name, dir_fd=self._directory).st_blocks * 512
        return total

    def close(self) -> None:
        """Close the open segment; what was written to it is durable then. Raises OSError."""
        with self._syncing:
            try:
                self._sync()
            finally:
                self._syncer.wait()
                self.abandon()

    def end(self) -> None:
        """End the thread that syncs. In a forked child there is none."""
        self._syncer.close()

    def abandon(self) -> None:
        """Close the open segment and nothing else, as in a forked child."""
        if self._file >= 0:
            os.close(self._file)
        self._number = self._file = -1

    def _sync(self) -> None:
        # After a sync that failed the next one may claim success, for what is not on the disk.
        if self._failure is not None:
            raise self._failure
        number = self._written
        if self._synced < number:
            try:
                self._syncer.sync(self._file)
            except OSError as error:
                self._failure = error
                raise
            self._synced = max(self._synced, number)

    # --- files ----------------------------------------------------------------------------------------

    def _use(self, number: int) -> int:
        """Open a segment, if it is not the open one; its length, 0 if it is not there."""
        if number != self._number:
            self.close()
            try:
                self._file = os.open(_name(number), os.O_RDWR | os.O_CLOEXEC, dir_fd=self._directory)
            except FileNotFoundError:
                return 0
            self._number = number
            self._length = os.fstat(self._file).st_size
        return self._length

    def _doubt(self) -> None:
        """Have the segment opened by its name again: another process may begin it anew, with another file."""
        with suppress(OSError):  # who waits for what is in it is told
            self.close()

    def _end(self, position: Position) -> None:
        """Mark that nothing is at the end of a segment.

        A process that died may have left a record there, shorter than ours and never acknowledged, which
        would continue the log as well as ours in the next segment does.
        """
        if position.offset + HEADER_BYTES <= self._use(position.segment):
            _write_all(self._file, VOID, position.offset)

    def _begin(self, number: int, record_bytes: int) -> None:
        """Make a segment that has room for a record: of the spare if that is large enough."""
        previous = self._use(number - 1)
        self._written += previous > 0  # if not by us, then by others
        self.close()
        wanted = min(max(2 * previous, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX)
        if self._spare_bytes() < max(wanted, record_bytes):
            with suppress(FileNotFoundError):
                os.unlink(_SPARE, dir_fd=self._directory)
            self._make_spare(wanted, record_bytes)
        os.rename(_SPARE, _name(number), src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)
        self._use(number)

    def _spare_bytes(self) -> int:
        try:
            return os.stat(_SPARE, dir_fd=self._directory).st_size
        except FileNotFoundError:
            return 0

    def _make_spare(self, wanted: int, record_bytes: int) -> None:
        """A file of zeros; smaller than wanted if the disk is nearly full."""
        least = -(-record_bytes // _ROUND_BYTES) * _ROUND_BYTES
        length = max(wanted, least)
        while True:
            name = f"new-{os.getpid()}"
            try:
                self._fill(name, length)
                break
            except OSError as error:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._directory)
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or length <= least:
                    raise
                length = max(length // 2, least)
        os.rename(name, _SPARE, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _fill(self, name: str, length: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=self._directory)
        try:
            for offset in range(0, length, len(_ZEROS)):
                _write_all(file, _ZEROS[: length - offset], offset)
            os.fsync(file)
        finally:
            os.close(file)

    def _record(self, position: Position, segment: int, offset: int) -> tuple[Record, Changes] | None:
        if offset + HEADER_BYTES > self._use(segment):
            return None
        header = read_header(position, os.pread(self._file, HEADER_BYTES, offset))
        if header is None or offset + HEADER_BYTES + header.payload_bytes > self._length:
            return None
        return decode_record(position, header, self._payload(header, offset + HEADER_BYTES))

    def _payload(self, header: Header, offset: int) -> bytes:
        parts = bytearray()
        while len(parts) < header.payload_bytes:
            part = os.pread(self._file, header.payload_bytes - len(parts), offset + len(parts))
            if not part:
                break
            parts += part
        return bytes(parts)


def _name(number: int) -> str:
    return f"{number:012d}{_SUFFIX}"


def _write_all(file: int, data: bytes, offset: int) -> None:
    written = os.pwrite(file, data, offset)
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)
