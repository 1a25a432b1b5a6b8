"""The copying engine: small files in batches, large ones as streams, several at a time.

Directories are made on the way down, one after the other; files go to a few worker threads. What
depends on the rest (hard links, the times of directories) is done at the end, by ``finish``.
"""

from __future__ import annotations

import stat as _stat
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from oastfs.cli.transfer.ends import STREAM_CHUNK_BYTES, Item, Sink, SmallFile, Source, join
from oastfs.core.errors import ConnectionLost, DeadlineExceeded

WORKERS = 8
BATCH_FILES = 200
BATCH_BYTES = 4 << 20


class Report(Protocol):
    """Who is told of each file, from any thread."""

    def succeed(self, count: int = 1) -> None:
        """So many more were copied."""

    def fail(self, error: BaseException) -> None:
        """One was not."""


class Progress(Protocol):
    """Who is told how far it is, from any thread."""

    def found(self, files: int, size_bytes: int) -> None:
        """More to copy."""

    def moved(self, files: int, size_bytes: int) -> None:
        """More copied."""


@dataclass(frozen=True)
class CopyOptions:
    """``preserve`` owner, exact modes, times, extended attributes and hard links. ``umask`` else."""

    preserve: bool = False
    umask: int = 0o022


class Workers:
    """A few threads with a short queue: whoever submits waits while it is full."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="copy")
        self._room = threading.BoundedSemaphore(threads * 2)
        self._error: BaseException | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Run ``work`` on a thread. Raises what earlier work raised."""
        if self._error is not None:
            raise self._error
        self._room.acquire()
        self._pool.submit(work).add_done_callback(self._done)

    def _done(self, future: Future[None]) -> None:
        self._room.release()
        self._error = self._error or future.exception()

    def finish(self) -> None:
        """Wait for all of it. Raises what any of it raised."""
        self._pool.shutdown()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(cancel_futures=True)


class Copier:
    """Copies trees from a source to a sink. Use as a context: leaving it finishes the copy."""

    def __init__(
        self, source: Source, sink: Sink, options: CopyOptions, report: Report, progress: Progress
    ) -> None:
        self._source = source
        self._sink = sink
        self._options = options
        self._report = report
        self._progress = progress
        self._workers = Workers(WORKERS)
        self._cancelled = False
        self._batch: list[tuple[Item, str]] = []
        self._batch_bytes = 0
        self._first_names: dict[Hashable, str] = {}
        self._links: list[tuple[str, str]] = []
        self._directories: list[tuple[Item, str]] = []

    def __enter__(self) -> Copier:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            self._cancelled = True
            self._workers.cancel()
        else:
            self.finish()

    def copy(self, item: Item, target: str) -> None:
        """Copy an item, with all below it if it is a directory, to be ``target``."""
        below = self._begin(item, target)
        pending = [] if below is None else [(below, target)]
        while pending:
            children, directory = pending[-1]
            try:
                child = next(children, None)
            except OSError as error:
                self._report.fail(error)
                child = None
            if child is None:
                pending.pop()
                continue
            where = join(directory, child.name)
            below = self._begin(child, where)
            if below is not None:
                pending.append((below, where))

    def finish(self) -> None:
        """Wait for the files, then make hard links and settle directories."""
        self._flush()
        self._workers.finish()
        for existing, path in self._links:
            self._attempt(lambda e=existing, p=path: self._sink.link(e, p))  # type: ignore[misc]
        for item, target in reversed(self._directories):
            self._attempt(lambda i=item, t=target: self._settle_directory(i, t))  # type: ignore[misc]

    def _begin(self, item: Item, target: str) -> Iterator[Item] | None:
        """Do or queue one item. For a directory that could be made: its children."""
        if item.is_directory:
            return self._directory(item, target)
        if self._options.preserve and item.link_key is not None:
            first = self._first_names.setdefault(item.link_key, target)
            if first != target:
                self._links.append((first, target))
                return None
        if item.is_file:
            self._queue_file(item, target)
        elif item.is_symlink:
            self._attempt(lambda: self._copy_symlink(item, target))
        else:
            self._attempt(lambda: self._copy_special(item, target))
        return None

    def _directory(self, item: Item, target: str) -> Iterator[Item] | None:
        mode = self._permissions(item)
        try:
            # Writable by us until it is filled.
            self._sink.make_directory(target, mode | 0o700)
        except OSError as error:
            self._report.fail(error)
            return None
        self._report.succeed()
        if self._options.preserve or mode & 0o700 != 0o700:
            self._directories.append((item, target))
        return self._source.children(item.path)

    def _queue_file(self, item: Item, target: str) -> None:
        self._progress.found(1, item.size)
        if item.size > self._sink.small_limit_bytes:
            self._workers.submit(lambda: self._attempt(lambda: self._stream(item, target)))
            return
        self._batch.append((item, target))
        self._batch_bytes += item.size
        if len(self._batch) >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if batch:
            self._workers.submit(lambda: self._copy_batch(batch))

    def _copy_batch(self, batch: list[tuple[Item, str]]) -> None:
        contents = self._source.read_small([item for item, _ in batch], self._sink.small_limit_bytes)
        read: list[tuple[Item, str, bytes]] = []
        for (item, target), content in zip(batch, contents, strict=True):
            if content is None:
                self._attempt(lambda i=item, t=target: self._stream(i, t))  # type: ignore[misc]
            elif isinstance(content, OSError):
                self._report.fail(content)
            else:
                read.append((item, target, content))
        files = [SmallFile(target, data, self._permissions(item)) for item, target, data in read]
        for (item, target, data), error in zip(read, self._sink.write_small(files), strict=True):
            if error is not None:
                self._report.fail(error)
                continue
            self._attempt(lambda i=item, t=target: self._settle(i, t))  # type: ignore[misc]
            self._progress.moved(1, len(data))

    def _stream(self, item: Item, target: str) -> None:
        with (
            self._source.open(item.path) as source,
            self._sink.create(target, self._permissions(item)) as sink,
        ):
            while not self._cancelled and (data := source.read(STREAM_CHUNK_BYTES)):
                sink.write(data)
                self._progress.moved(0, len(data))
        self._settle(item, target)
        self._progress.moved(1, 0)

    def _copy_symlink(self, item: Item, target: str) -> None:
        self._sink.symlink(target, self._source.readlink(item.path))
        self._settle(item, target)

    def _copy_special(self, item: Item, target: str) -> None:
        if not self._options.preserve:
            raise OSError(0, "neither file nor directory: left out (-p copies it)", item.path)
        self._sink.special(target, item.mode, item.rdev)
        self._settle(item, target)

    def _settle(self, item: Item, target: str) -> None:
        if self._options.preserve:
            self._sink.set_attributes(target, item, self._source.xattrs(item.path))

    def _settle_directory(self, item: Item, target: str) -> None:
        self._settle(item, target)
        if not self._options.preserve:
            self._sink.set_permissions(target, self._permissions(item))

    def _permissions(self, item: Item) -> int:
        bits = _stat.S_IMODE(item.mode)
        return bits if self._options.preserve else bits & 0o777 & ~self._options.umask

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (ConnectionLost, DeadlineExceeded):
            raise  # the rest would fail alike
        except OSError as error:
            self._report.fail(error)
        else:
            self._report.succeed()
