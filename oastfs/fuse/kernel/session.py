"""One mounted ``/dev/fuse``: reading requests, carrying them out, answering.

In direct mode (the namespace is in this process and reads take microseconds) one thread reads requests. It
answers reads of metadata and of small files itself; changes go to the store's group commit (``changes``),
so that many callers share one sync; what blocks goes to a few workers.

Through namenodes it is one thread, too: it waits for requests and for answers at once (``calls``), and what
is asked seldom goes to workers, who may wait.

So it is on a database, where what an operation waits for runs in tasks on the serving thread (``tasks``).

On a store whose answers cannot be awaited so (by psycopg 3) a few threads read requests, and each carries
out what it has read, however long it has to wait, before it reads on.

Each answer is one write(2).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from types import GeneratorType
from typing import Any, Final

from oastfs.client.remote import RemoteMetadata
from oastfs.fuse.effects import Operation, Wait, run
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel import protocol as p
from oastfs.fuse.kernel.answers import AfterDropping, Answer, Body, Handler, Later, Who
from oastfs.fuse.kernel.busy_poll import BusyPoll
from oastfs.fuse.kernel.calls import Calls
from oastfs.fuse.kernel.changes import Changes
from oastfs.fuse.kernel.dropping import Dropping
from oastfs.fuse.kernel.protocol import InitFlag, Notice, Opcode
from oastfs.fuse.kernel.requests import Requests
from oastfs.fuse.kernel.tasks import Tasks
from oastfs.fuse.kernel.timing import KINDS, Timing
from oastfs.fuse.passthrough import Passthrough
from oastfs.namenode.namespace import Namespace

MAX_PAGES: Final = 256
MAX_TRANSFER_BYTES: Final = MAX_PAGES * 4096
"""Largest read or write in one request."""
REQUEST_BYTES: Final = MAX_TRANSFER_BYTES + 4096
MAX_BACKGROUND: Final = 64
CONGESTION_THRESHOLD: Final = 48
READ_AHEAD_BYTES_MAX: Final = 64 << 20
TAKEN_MAX: Final = 64
"""So many requests are read before answers of a database are looked for."""
COPY_BYTES_MAX: Final = 8192
"""Up to here, to put an answer behind its header takes less time than to write both from their places."""
STACK_DEPTH: Final = 1
"""Files that are passed through may be on a filesystem that is not upon another, as overlayfs is."""
HAND_OVER_BYTES_MAX: Final = 64 << 10
"""A longer content is sent when it is asked for: perhaps only a part of it is wanted."""

WANTED: Final = (
    InitFlag.ASYNC_READ
    | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.EXPORT_SUPPORT
    | InitFlag.BIG_WRITES
    | InitFlag.DONT_MASK
    | InitFlag.DO_READDIRPLUS
    | InitFlag.READDIRPLUS_AUTO
    | InitFlag.ASYNC_DIO
    | InitFlag.PARALLEL_DIROPS
    | InitFlag.MAX_PAGES
    | InitFlag.CACHE_SYMLINKS
    | InitFlag.HANDLE_KILLPRIV_V2
    | InitFlag.POSIX_ACL
)
"""Not WRITEBACK_CACHE: with it the kernel would own sizes and times, whatever other mounts do. DONT_MASK: a
directory's default ACL takes umask's place, and the namespace knows whether there is one."""

_NOT_WAITING: Final = frozenset(
    {
        Opcode.LOOKUP, Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.GETATTR, Opcode.SYMLINK, Opcode.MKNOD,
        Opcode.MKDIR, Opcode.UNLINK, Opcode.RMDIR, Opcode.RENAME, Opcode.RENAME2, Opcode.LINK, Opcode.OPEN,
        Opcode.CREATE, Opcode.READ, Opcode.WRITE, Opcode.FLUSH, Opcode.FSYNC, Opcode.RELEASE, Opcode.OPENDIR,
        Opcode.RELEASEDIR, Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY,
        Opcode.DESTROY,
    }
)  # fmt: skip
"""Handlers that never wait but by their effects, if ``Shared.asks_later``."""

_log = logging.getLogger(__name__)
_OK_HEADER = p.OUT_HEADER


class Session:
    """Serves one descriptor until the filesystem is unmounted."""

    def __init__(
        self,
        filesystem: InodeFilesystem,
        descriptor: int,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._descriptor = descriptor
        self._metadata = filesystem.metadata
        self._shared = filesystem.shared
        self._requests = Requests(filesystem)
        self._table = self._requests.table
        self._locks = filesystem.locks is not None
        self._on_ready = on_ready
        self._one_reader = filesystem.shared.reads_inline or isinstance(self._metadata, RemoteMetadata)
        """Requests are read by one thread; if not, by each worker."""
        self._changes: Changes | None = None
        if filesystem.shared.reads_inline:
            assert isinstance(self._metadata, Namespace)
            self._changes = Changes(self._metadata)
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._calls: Calls | None = None
        if isinstance(self._metadata, RemoteMetadata):
            filesystem.shared.asks_later = True
            self._calls = Calls(self._metadata, descriptor, self._queue.put)
        self._tasks: Tasks | None = None
        self.timing = Timing()
        self._workers: list[threading.Thread] = []
        self._dropping = Dropping(self._drop_pages, self._reply)
        filesystem.shared.changed_elsewhere = self.invalidate
        filesystem.shared.hand_over = self.hand_over

    # --- the loop -----------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer requests until the mount ends."""
        self._dropping.begin()
        if not self._one_reader and isinstance(self._metadata, Namespace):
            self._begin_tasks(self._metadata)
        if self._one_reader:
            self._start_workers()
        try:
            if self._tasks is not None:
                os.set_blocking(self._descriptor, False)
                take = partial(self._take_waiting, bytearray(REQUEST_BYTES))
                self._tasks.run(self._descriptor, take, self._end_workers)
            elif self._calls is None:
                self._loop()
            else:
                try:
                    self._loop_on_calls(self._calls)
                finally:
                    self._calls.end()
        finally:
            self._end_workers()
            self._dropping.end()

    def _begin_tasks(self, namespace: Namespace) -> None:
        tasks = Tasks(namespace)
        if namespace.store.reads_awaitable:
            self._tasks, self._one_reader, self._shared.asks_later = tasks, True, True

    def _start_workers(self) -> None:
        for number in range(self._shared.config.workers):
            worker = threading.Thread(
                target=self._work if self._one_reader else self._loop,
                name=f"oastfs-mount-{number}",
                daemon=True,
            )
            self._workers.append(worker)
            worker.start()

    def _end_workers(self) -> None:
        workers, self._workers = self._workers, []
        for _ in workers:
            self._queue.put(None)
        for worker in workers:
            worker.join()

    def _loop(self) -> None:
        buffer = bytearray(REQUEST_BYTES)
        view = memoryview(buffer)
        targets = [buffer]
        descriptor, readv, unpack, header_bytes = self._descriptor, os.readv, p.IN_HEADER.unpack_from, 40
        table, write = self._table, int(Opcode.WRITE)
        timing, counts = self.timing, self.timing.counts
        carry_out = self._carry_out if self._one_reader else self._carry_out_blocking
        changes = self._changes
        if changes is not None:
            changes.begin()
            os.set_blocking(descriptor, False)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            arrivals = BusyPoll(poll)
        while True:
            try:
                size = readv(descriptor, targets)
            except BlockingIOError:
                assert changes is not None
                if not changes.commit():
                    arrivals.wait(changes.asked_alone)
                continue
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue  # the caller was interrupted before we got its request
                raise
            if size < header_bytes:
                return  # the other side was closed
            _, opcode, unique, node, uid, gid, pid, _ = unpack(buffer)
            if changes is not None:
                changes.asked(pid)
            handler = table.get(opcode)
            if opcode < KINDS:
                counts[opcode] += 1
                if timing.watching:
                    timing.begin(unique, opcode)
            body: Body = view[header_bytes:size]
            if handler is None:
                self._begin_or_refuse(unique, opcode, bytes(body))
            else:
                # Only what is written is large: its handler takes the bytes out of the buffer itself.
                carry_out(unique, handler, node, body if opcode == write else bytes(body), (uid, gid, pid))

    def _loop_on_calls(self, calls: Calls) -> None:
        """As ``_loop``, through namenodes."""
        buffer = bytearray(REQUEST_BYTES)
        view = memoryview(buffer)
        os.set_blocking(self._descriptor, False)
        calls.begin()
        while True:
            try:
                size = os.readv(self._descriptor, [buffer])
            except BlockingIOError:
                calls.wait()
                continue
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            if size < p.IN_HEADER_BYTES:
                return
            self._take(buffer, view[p.IN_HEADER_BYTES : size])
            calls.flush_if_idle()

    def _take_waiting(self, buffer: bytearray) -> bool:
        """Take the requests that there are; False: there will be no more."""
        view = memoryview(buffer)
        for _ in range(TAKEN_MAX):
            try:
                size = os.readv(self._descriptor, [buffer])
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return False
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            if size < p.IN_HEADER_BYTES:
                return False
            self._take(buffer, view[p.IN_HEADER_BYTES : size])
        return True

    def _take(self, buffer: bytearray, body: memoryview) -> None:
        """Begin a request that was just read; who may have to wait does so in a worker."""
        _, opcode, unique, node, uid, gid, pid, _ = p.IN_HEADER.unpack_from(buffer)
        if opcode < KINDS:
            self.timing.counts[opcode] += 1
            if self.timing.watching:
                self.timing.begin(unique, opcode)
        handler, who = self._table.get(opcode), (uid, gid, pid)
        if handler is None:
            self._begin_or_refuse(unique, opcode, bytes(body))
        elif opcode == Opcode.WRITE:
            self._carry_out(unique, handler, node, body, who)
        elif opcode in _NOT_WAITING:
            self._carry_out(unique, handler, node, bytes(body), who)
        else:
            self._queue.put(partial(self._carry_out_blocking, unique, handler, node, bytes(body), who))

    def _begin_or_refuse(self, unique: int, opcode: int, body: bytes) -> None:
        if opcode == Opcode.INIT:
            self._initialize(unique, body)
        else:
            self._fail(unique, errno.ENOSYS)

    def _carry_out(self, unique: int, handler: Handler, node: int, body: Body, who: Who) -> None:
        """Answer now, or begin what will be answered later."""
        try:
            answer = handler(node, body, who)
        except Exception as error:
            self._fail(unique, _errno_of(error))
            return
        if type(answer) is GeneratorType:
            self._go_on(unique, answer, None, None)
        elif answer is not None:
            self._reply(unique, answer)  # type: ignore[arg-type]

    def _carry_out_blocking(self, unique: int, handler: Handler, node: int, body: Body, who: Who) -> None:
        """Answer, however long that takes: others read the requests that come meanwhile."""
        try:
            answer = handler(node, body, who)
            if type(answer) is GeneratorType:
                answer = run(self._metadata, answer)
        except Exception as error:
            self._fail(unique, _errno_of(error))
            return
        if answer is not None:
            self._reply(unique, answer)  # type: ignore[arg-type]

    def _go_on(
        self, unique: int, operation: Operation[Answer], value: Any, error: BaseException | None
    ) -> None:
        """Take an operation to its next wait, or to its end."""
        try:
            step = operation.send(value) if error is None else operation.throw(error)
        except StopIteration as stop:
            self._reply(unique, stop.value)
            return
        except Exception as failure:
            self._fail(unique, _errno_of(failure))
            return
        if type(step) is Wait:
            self._queue.put(lambda: self._wait_for(unique, operation, step.function))
        else:
            adding: Any = self._tasks or self._calls or self._changes
            adding.add(step, lambda result, failure: self._go_on(unique, operation, result, failure))

    def _wait_for(self, unique: int, operation: Operation[Answer], function: Callable[[], Any]) -> None:
        try:
            value = function()
        except Exception as error:
            self._go_on(unique, operation, None, error)
        else:
            self._go_on(unique, operation, value, None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception:
                _log.exception("a worker of the mount failed")

    # --- talking to the kernel ------------------------------------------------------------------------

    def _initialize(self, unique: int, body: bytes) -> None:
        major, minor, _, offered = p.INIT_IN.unpack_from(body)
        if offered & InitFlag.INIT_EXT:
            offered |= p.INIT_FLAGS2.unpack_from(body, p.INIT_IN.size)[0] << 32
        if major != p.MAJOR or minor < p.MINOR_MIN:
            _log.error("the kernel speaks FUSE %d.%d; %d.%d is needed", major, minor, p.MAJOR, p.MINOR_MIN)
            self._fail(unique, errno.EPROTO)
            return
        wanted = WANTED if offered & InitFlag.HANDLE_KILLPRIV_V2 else WANTED | InitFlag.HANDLE_KILLPRIV
        if self._locks:
            wanted |= InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS
        if self._shared.config.passthrough:
            wanted |= self._begin_passthrough(offered)
        agreed = int(wanted) & offered
        answer = p.INIT_OUT.pack(
            p.MAJOR,
            min(minor, p.MINOR),
            READ_AHEAD_BYTES_MAX,
            agreed & 0xFFFFFFFF,
            MAX_BACKGROUND,
            CONGESTION_THRESHOLD,
            MAX_TRANSFER_BYTES,
            1,
            MAX_PAGES,
            0,
            agreed >> 32,
            STACK_DEPTH,
        )
        # What goes past the cache goes without a question for capabilities before the first write.
        self._shared.writes_uncached = minor >= p.MINOR_UNCACHED_WRITES
        # Kernels before 5.12 do not say who may keep set-id bits as they write: then only root may.
        self._requests.tells_kill = bool(offered & InitFlag.HANDLE_KILLPRIV_V2)
        self._reply(unique, answer)
        if not self._one_reader:
            self._start_workers()
        threading.Thread(target=self._on_ready, name="oastfs-mount-ready", daemon=True).start()

    def _begin_passthrough(self, offered: int) -> InitFlag:
        """Have the kernel read replicas by itself, if it can."""
        if not offered & InitFlag.PASSTHROUGH:
            _log.warning("this kernel passes nothing through: that needs Linux 6.9 or later")
            return InitFlag(0)
        self._shared.passthrough = Passthrough(
            self._shared.filesystem.session, self._register, self._unregister
        )
        return InitFlag.PASSTHROUGH | InitFlag.INIT_EXT

    def _register(self, descriptor: int) -> int:
        file = bytearray(p.BACKING_MAP.pack(descriptor, 0, 0))
        return int(fcntl.ioctl(self._descriptor, p.BACKING_OPEN, file))

    def _unregister(self, number: int) -> None:
        try:
            fcntl.ioctl(self._descriptor, p.BACKING_CLOSE, p.BACKING_NUMBER.pack(number))
        except OSError as error:
            self._lost(error)

    def _reply(self, unique: int, body: bytes | int | Later | AfterDropping) -> None:
        if type(body) is not bytes:
            if type(body) is Later:
                body.begin(unique, partial(self._fail, unique))
            elif type(body) is AfterDropping:
                self._dropping.add(unique, body)
            else:
                self._fail(unique, body)  # type: ignore[arg-type]  # an errno
            return
        if self.timing.watching:
            self.timing.end(unique)
        size = p.OUT_HEADER_BYTES + len(body)
        try:
            if size <= COPY_BYTES_MAX:
                os.write(self._descriptor, _OK_HEADER.pack(size, 0, unique) + body)
            else:
                os.writev(self._descriptor, (_OK_HEADER.pack(size, 0, unique), body))
        except OSError as error:
            self._lost(error)

    def _fail(self, unique: int, code: int) -> None:
        if self.timing.watching:
            self.timing.end(unique)
        try:
            os.write(self._descriptor, _OK_HEADER.pack(p.OUT_HEADER_BYTES, -code, unique))
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        """An answer that nobody waits for any more: ENOENT if the caller gave up, ENODEV after unmounting."""
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EBADF):
            _log.error("the kernel refused an answer: %s", error)

    def invalidate(self, inode_id: int, content: bool) -> None:
        """Tell the kernel to ask again for an inode's attributes, and to drop its pages with ``content``.

        Dropping pages waits for reads of them that are under way: never from the thread that answers those.
        """
        self._notify_inode(inode_id, 0 if content else -1, 0)

    def _drop_pages(self, inode_id: int, offset: int, length: int) -> None:
        """``invalidate``, of a range of the content; not from any thread that answers reads."""
        self._notify_inode(inode_id, offset, length)

    def _notify_inode(self, inode_id: int, offset: int, length: int) -> None:
        body = p.NOTIFY_INODE.pack(inode_id, offset, length)
        header = p.OUT_HEADER.pack(p.OUT_HEADER_BYTES + len(body), int(Notice.INVALIDATE_INODE), 0)
        try:
            os.write(self._descriptor, header + body)
        except OSError as error:
            self._lost(error)

    def hand_over(self, inode_id: int, content: bytes) -> bool:
        """Put all of a file's content into the kernel's cache, which knows its length; whether that was done.

        Waits for pages that are being read: never while there may be a read of them to answer.
        """
        size = len(content)
        if size > HAND_OVER_BYTES_MAX:
            return False
        header = p.OUT_HEADER.pack(p.OUT_HEADER_BYTES + p.NOTIFY_STORE.size + size, int(Notice.STORE), 0)
        try:
            os.writev(self._descriptor, (header, p.NOTIFY_STORE.pack(inode_id, 0, size, 0), content))
        except OSError as error:
            if error.errno != errno.ENOENT:  # the kernel has just forgotten it
                _log.warning("the kernel did not take the content of inode %d: %s", inode_id, error)
            return False
        return True


def _errno_of(error: Exception) -> int:
    """The errno that a program sees for an error; EIO, and a line in the log, for what is a defect here."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, UnicodeError):
        return errno.EILSEQ
    _log.error("a request failed", exc_info=error)
    return errno.EIO
