"""Random access to one file: the engine under ``Filesystem.open`` and under the mount.

An ``OpenFile`` speaks of its inode by id, so renames and unlinks of its path do not matter to it. It
keeps written data back until it pays to send it, and reads its own writes. It knows no paths, no
permissions beyond those of its caller, and no kernel.
"""

from __future__ import annotations

import logging
import threading
import time

from msgspec.structs import replace

from oastfs.client.block_content import BlockContent
from oastfs.client.extents import Buffer, DirtyExtents
from oastfs.client.file_context import FileContext
from oastfs.client.flushes import Flush, Flushes
from oastfs.client.inline_content import InlineContent
from oastfs.client.session import Session
from oastfs.core.errors import FileTooLarge, InlineLimitExceeded, InvalidArgument, OastError, StaleHandle
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import Caller, FileStatus, Opened

log = logging.getLogger(__name__)

READ_ALL = 1 << 62
PUSH_BYTES = 1024 * 1024
"""Sequential data is sent on when this much has come together."""
DIRTY_BYTES_MAX = 16 * 1024 * 1024
"""Scattered data is sent on when this much of one file has come together."""


class OpenFile:
    """One inode, open for reading or also for writing; shared by all who opened it in this process.

    Get one from ``Filesystem.open_file``; each of those calls needs one ``close``. Safe to use from
    many threads. Offsets and lengths are in bytes.

    Data written goes to the filesystem when enough has come together, after a few seconds, and at
    ``flush``, ``fsync`` and ``close``; other clients see it after one of the last three. What could not be
    sent while nobody waited is kept and tried again by the next of the three, which raises what then fails.
    """

    def __init__(
        self,
        session: Session,
        opened: FileStatus | Opened,
        *,
        writable: bool = False,
        caller: Caller | None = None,
    ) -> None:
        """``caller`` does the metadata calls of this file (the session's own caller if None)."""
        status = opened.status if isinstance(opened, Opened) else opened
        if not status.is_file:
            raise InvalidArgument(f"inode {status.inode_id} is not a regular file")
        self.session = session
        self.writable = writable
        self.inode_id = status.inode_id
        self.users = 1
        self.lost = False
        self._context = FileContext(session, caller or session.caller, status)
        self._start(opened)

    def _start(self, opened: FileStatus | Opened) -> None:
        """As the filesystem says that it is, with nothing written here."""
        self._lock = threading.RLock()
        self._flushes = Flushes(self._lock)
        self._closed = False
        self._dirty = DirtyExtents()
        self._run_start = self._run_end = 0
        self._mtime_ns = 0
        self._dirty_since = 0.0
        """When (on the monotonic clock) the oldest of what is dirty was written; 0.0 if nothing is."""
        self._adopt(opened)

    def _adopt(self, opened: FileStatus | Opened) -> None:
        status = opened.status if isinstance(opened, Opened) else opened
        self._status = status
        self._length = status.length
        self._content: InlineContent | BlockContent
        if not status.is_inline:
            found = opened if isinstance(opened, Opened) else None
            self._content = BlockContent(self._context, self._lock, found)
        else:
            data = opened.data if isinstance(opened, Opened) else None
            self._content = InlineContent(self._context, status.length, data)

    # --- what it is -----------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Length in bytes, with what is written here and not sent yet."""
        return self._length

    @property
    def mtime_ns(self) -> int:
        """Time of the last write here that others do not see yet; 0 if there is none."""
        return self._mtime_ns

    @property
    def status(self) -> FileStatus:
        """Attributes as the filesystem last told, with length and mtime as they are here."""
        with self._lock:
            status = self._status
            if self._length == status.length and not self._mtime_ns:
                return status
            times = {"mtime_ns": self._mtime_ns, "ctime_ns": self._mtime_ns} if self._mtime_ns else {}
            return replace(status, length=self._length, **times)

    @property
    def told(self) -> FileStatus:
        """Attributes as the filesystem last told, whatever was written here since."""
        return self._status

    @property
    def dirty(self) -> bool:
        """Whether there is anything that ``flush`` would send."""
        return bool(self._mtime_ns) and not self._flushes.has_sent(self._mtime_ns)

    def _check(self) -> None:
        if self.lost:
            raise StaleHandle("the file was open for writing when the process forked; open it anew")
        if self._closed:
            raise OastError("the file is closed")

    # --- reading --------------------------------------------------------------------------------

    def pread(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the file."""
        count = min(length, self._length - offset)
        if count <= 0:
            self._check()
            return b""
        content = self._content
        if not self._mtime_ns and isinstance(content, InlineContent):
            found = content.slice(offset, count)
            if found is not None and not self._closed:
                return found
        if isinstance(content, BlockContent) and offset >= 0:
            with self._lock:
                self._check()
                untouched = not self._dirty and self._content is content
            # Without the lock: threads that read one file do not wait for one another.
            found = content.read_local(offset, count) if untouched else None
            if found is not None:
                return found
        buffer = bytearray(count)
        got = self.preadinto(offset, memoryview(buffer))
        return bytes(buffer) if got == count else bytes(memoryview(buffer)[:got])

    def preadinto(self, offset: int, target: memoryview) -> int:
        """As ``pread``, into ``target``; how many bytes it was."""
        if offset < 0:
            raise InvalidArgument(f"an offset may not be negative: {offset}")
        with self._lock:
            self._check()
            count = min(len(target), self._length - offset)
            if count <= 0:
                return 0
            target = target[:count]
            if self._dirty.covers(offset, offset + count):
                self._dirty.overlay(offset, target)
                return count
            if isinstance(self._content, InlineContent) and not self._fetch_inline(self._content):
                self._content.read_into(offset, target)
                self._dirty.overlay(offset, target)
                return count
            content = self._content
            assert isinstance(content, BlockContent)
            unsent = list(self._dirty.overlapping(offset, offset + count))
        # Without the lock: threads that read one file do not wait for one another.
        content.read_into(offset, target)
        for start, piece in unsent:
            target[start - offset : start - offset + len(piece)] = piece
        return count

    def _fetch_inline(self, content: InlineContent) -> bool:
        """Have the content here; whether it turned out to be in blocks by now."""
        opened = content.load()
        if opened is None:
            return False
        self._content = BlockContent(self._context, self._lock, opened)
        self._status = opened.status
        wanted = self._length
        self._length = max(wanted, opened.status.length)
        if content.cut:
            # It was cut off here, and nobody has been told yet.
            self._truncate_remotely(content.length)
            if wanted > self._length:
                self._truncate_remotely(wanted)
        return True

    # --- writing --------------------------------------------------------------------------------

    def pwrite(self, offset: int, data: Buffer) -> int:
        """Write all of ``data`` at ``offset``; a gap before it reads as zeros. Answers len(data).

        ``bytes`` are kept as they are, other buffers are copied.
        """
        size = len(data)
        if offset < 0:
            raise InvalidArgument(f"an offset may not be negative: {offset}")
        end = offset + size
        if end > FILE_BYTES_MAX:
            raise FileTooLarge(f"a file has at most {FILE_BYTES_MAX} bytes")
        with self._lock:
            self._check()
            if not size:
                return 0
            self._dirty.write(offset, data)
            self._touch()
            if offset != self._run_end:
                self._run_start = offset
            self._run_end = end
            if end > self._length:
                self._length = end
            if isinstance(self._content, InlineContent):
                if self._length > self._context.info.inline_limit:
                    self._move_to_blocks(self._content)
                else:
                    return size
            self._push_what_pays()
        return size

    def _touch(self) -> None:
        self._mtime_ns = time.time_ns()
        if not self._dirty_since:
            self._dirty_since = time.monotonic()
            self.session.watch()

    def _push_what_pays(self) -> None:
        content = self._content
        assert isinstance(content, BlockContent)
        ready = self._run_end - self._run_start
        if ready >= PUSH_BYTES:
            end = self._run_start + ready - ready % PUSH_BYTES
            self._push(content, self._run_start, end)
            self._run_start = end
        if self._dirty.size_bytes > DIRTY_BYTES_MAX:
            self._push(content, 0, self._dirty.end)

    def _push(self, content: BlockContent, start: int, end: int) -> None:
        """Send what is dirty in ``[start, end)``. What fails stays dirty."""
        for offset, pieces in list(self._dirty.runs(start, end)):
            content.write(offset, pieces)
            self._dirty.discard(offset, offset + sum(map(len, pieces)))
        content.push()

    def _move_to_blocks(self, content: InlineContent) -> None:
        """The content has outgrown the metadata: all of it is to be written to blocks."""
        if self._fetch_inline(content):
            return
        content.fill_gaps(self._dirty)
        context = self._context
        if content.cut and content.sent_length > context.info.inline_limit:
            # Only zeros were so long. Blocks make a file longer: they would leave what was cut off.
            context.metadata.truncate(context.caller, context.path, content.length)
        self._content = BlockContent(self._context, self._lock, None, fresh=True)
        # The first commit makes the inline content go: by then all of it has to be in blocks.
        self._push(self._content, 0, max(content.length, self._run_end))
        self._run_start = self._run_end

    def truncate(self, length: int) -> None:
        """Cut off, or extend by zeros."""
        if length < 0:
            raise InvalidArgument(f"a length may not be negative: {length}")
        with self._lock:
            self._await_flush()
            if length > FILE_BYTES_MAX:
                raise FileTooLarge(f"a file has at most {FILE_BYTES_MAX} bytes")
            self._dirty.discard(length, max(self._dirty.end, length))
            self._run_start = min(self._run_start, length)
            self._run_end = min(self._run_end, length)
            content = self._content
            if isinstance(content, InlineContent):
                if length <= self._context.info.inline_limit:
                    content.truncate(length)
                    self._length = length
                    self._touch()
                    return
                self._flush_inline(content)
            self._truncate_remotely(length)

    def _truncate_remotely(self, length: int) -> None:
        """The filesystem cuts; what is kept and not sent yet stays so."""
        if isinstance(self._content, BlockContent):
            self._content.finish()
        context = self._context
        status = context.metadata.truncate(context.caller, context.path, length)
        self._status, self._length = status, max(length, self._dirty.end)
        if status.is_inline:
            self._content.end()
            self._content = InlineContent(context, status.length)
        elif isinstance(self._content, BlockContent):
            self._content.forget()
        else:
            self._content = BlockContent(context, self._lock, None)
        if not self._dirty:
            self._cleaned()

    # --- making it visible and durable ------------------------------------------------------------

    def flush(self) -> FileStatus:
        """Send what is dirty and make it visible to all. Call it before changing times by path."""
        return self._flush(sync=False)

    def fsync(self) -> FileStatus:
        """``flush``, and the data is on the disks of all replicas before this returns."""
        return self._flush(sync=True)

    def _flush(self, sync: bool, final: bool = False) -> FileStatus:
        with self._lock:
            self._await_flush()
            if isinstance(self._content, InlineContent) and self._mtime_ns:
                self._flush_inline(self._content)
            if isinstance(self._content, BlockContent):
                self._push(self._content, 0, self._dirty.end)
                status = self._content.flush(sync=sync, final=final)
                if status is not None:
                    self._status, self._length = status, status.length
                self._cleaned()
            return self._status

    def _flush_inline(self, content: InlineContent) -> None:
        """Afterwards nothing is dirty, or the content is in blocks."""
        try:
            self._status = content.flush(self._dirty, self._length)
        except InlineLimitExceeded:
            # Another writer made it grow meanwhile.
            content.forget()
            if not self._fetch_inline(content):
                self._move_to_blocks(content)
            return
        self._sent_inline()

    def _sent_inline(self) -> None:
        self._length = self._status.length
        self._dirty.clear()
        self._cleaned()

    def begin_flush(self) -> Flush | None:
        """What ``flush`` would send, if that is one change of inline content; None: call ``flush``.

        For who may not wait, not even for another thread at work here: carry out ``write_inline`` with
        ``change`` as its arguments, then call ``end_flush``, whatever comes of it. Nothing else is sent
        until then. If it failed, call ``flush``.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            self._check()
            self._take_flushed()
            content = self._content
            if self._flushes.is_any or not self._mtime_ns or not isinstance(content, InlineContent):
                return None
            change = content.change(self._dirty, self._length)
            return self._flushes.begin(Flush(change, content, self._mtime_ns))
        finally:
            self._lock.release()

    def end_flush(self, flush: Flush, status: FileStatus | None) -> None:
        """The change was made and answered with a status, or None. Does not wait.

        If something was written since it began, all stays dirty.
        """
        self._flushes.end(flush, status, self._take_flushed)

    def _take_flushed(self) -> None:
        flush = self._flushes.take()
        if flush is None or flush.status is None or flush.mtime_ns != self._mtime_ns:
            return
        if flush.content is self._content:
            flush.content.sent(flush.change, flush.status.length)
            self._status = flush.status
            self._sent_inline()

    def _await_flush(self) -> None:
        """Nothing else may be sent while a flush is under way that others carry out."""
        self._flushes.wait(self.session.timeout_seconds)
        self._check()
        self._take_flushed()

    def _cleaned(self) -> None:
        self._mtime_ns = 0
        self._dirty_since = 0.0
        self._run_start = self._run_end

    def try_hold(self) -> bool:
        """Keep other threads from this file until ``let_go``, unless one is at work here, which may last."""
        return self._lock.acquire(blocking=False)

    def let_go(self) -> None:
        """The end of ``try_hold``."""
        self._lock.release()

    def refresh(self, opened: FileStatus | Opened) -> None:
        """The filesystem says that the file looks like this now: forget what was read of an older one.

        For a shared file (close-to-open consistency): call it with a fresh status when it is opened
        again. What is dirty here stays.
        """
        with self._lock:
            status = opened.status if isinstance(opened, Opened) else opened
            self._take_flushed()
            known = self._status
            same = (status.mtime_ns, status.length) == (known.mtime_ns, known.length)
            same = same and status.is_inline == known.is_inline
            if not (self.dirty or same or status.ctime_ns < known.ctime_ns):
                self._see(opened)

    def renew(self) -> FileStatus:
        """Flush, and see the file as it is now, whatever clocks say; nobody writes here in between."""
        with self._lock:
            self._flush(sync=False) if self.dirty else self._check()
            opened = self._context.open(0, self._context.block_size)
            self._see(opened)
            return opened.status

    def _see(self, opened: FileStatus | Opened) -> None:
        status = opened.status if isinstance(opened, Opened) else opened
        if isinstance(self._content, BlockContent):
            # What others cut off must not come back by a pipeline that is still open.
            self._content.begin_finish()
        if isinstance(self._content, BlockContent) and not status.is_inline:
            self._status, self._length = status, status.length
            self._content.forget()
        else:
            self._content.end()
            self._adopt(opened)

    def reset(self, status: FileStatus) -> None:
        """The file was just made empty by its user: drop whatever was written here before."""
        with self._lock:
            self._flushes.wait(self.session.timeout_seconds)
            self._content.abort()
            self._dirty.clear()
            self._cleaned()
            self._run_start = self._run_end = 0
            self._adopt(status)

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """``flush``, and the last of those who opened it ends the write. Do not use it afterwards."""
        if self.lost or self._closed:
            return
        last = self.session.release_file(self)
        if not last:
            if self.writable:
                self._flush(sync=False)
            return
        self.end()

    def end(self) -> None:
        """Flush and close for all users. Resources are given back even if it raises."""
        with self._lock:
            if self._closed or self.lost:
                return
            try:
                if self.writable:
                    self._flush(sync=False, final=True)
            finally:
                self._closed = True
                self._content.abort()

    def needs_care(self, now: float, write_back_seconds: float, idle_seconds: float) -> bool:
        """Whether ``tend`` would have something to do."""
        if self._dirty_since:
            return now - self._dirty_since > write_back_seconds
        content = self._content
        return isinstance(content, BlockContent) and content.has_idle(now, idle_seconds)

    def tend(self, now: float, write_back_seconds: float, idle_seconds: float) -> None:
        """Called for the housekeeper: send old dirty data, end idle pipelines. Errors are logged only.

        What could not be sent is still dirty: the user's next flush tries again and is told.
        """
        if not self._lock.acquire(blocking=False):
            return  # somebody is at work here, which does as well
        try:
            if self._closed or self.lost:
                return
            if self._dirty_since and now - self._dirty_since > write_back_seconds:
                self._flush(sync=False)
            elif isinstance(self._content, BlockContent) and not self._dirty_since:
                self._content.end_idle(now, idle_seconds)
        except OSError as error:
            log.info("inode %d could not be sent in the background: %s", self.inode_id, error)
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """In a forked child: what was written belongs to the parent; readers begin anew."""
        if self.writable:
            self.lost = True
            return
        self._start(self._status)
