"""Many files at once: small ones in few trips, large ones on a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from oastfs.client.extents import Buffer
from oastfs.client.session import Session
from oastfs.core.errors import OastError, all_errors
from oastfs.core.types import Fault, FileStatus, Opened, WriteRequest

if TYPE_CHECKING:
    from oastfs.client.filesystem import Filesystem

T = TypeVar("T")

BATCH_PATHS = 1_000
READ_PATHS, READS_AHEAD = 128, 4
"""Over the wire: so few contents fit into caches, and a namenode answers them on the spot, without
another thread; as many batches at once that it has something to do while answers are on their way and taken
apart. Where contents are tiny it is the calls that cost, and batches hold BATCH_PATHS."""
TINY_BYTES = 512
BATCH_BYTES = 8 * 1024 * 1024
"""A batch of writes is sent when it holds this much content."""

_ERRORS = all_errors()


def error_of(fault: Fault, path: str) -> OSError:
    """The exception that a fault in a batch stands for."""
    return _ERRORS.get(fault.error, OastError)(fault.message, path=path)


def stat_many(session: Session, paths: Sequence[str], follow: bool) -> list[FileStatus | OSError]:
    """See ``Filesystem.stat_many``."""
    found: list[FileStatus | OSError] = []
    for first in range(0, len(paths), BATCH_PATHS):
        part = list(paths[first : first + BATCH_PATHS])
        for path, one in zip(part, session.metadata.stat_many(session.caller, part, follow), strict=True):
            found.append(error_of(one, path) if isinstance(one, Fault) else one)
    return found


# --- reading --------------------------------------------------------------------------------------


def inline_bytes(data: bytes, file_length: int, offset: int, length: int) -> bytes:
    """Bytes of inline content: what came with the answer, and the zeros that it left out as too many."""
    found = data[offset : offset + length]
    missing = min(offset + length, file_length) - offset - len(found)
    return found if missing <= 0 else found + bytes(missing)


def read_opened(session: Session, opened: Opened, offset: int, length: int) -> bytes:
    """Bytes of a file that was just opened."""
    if opened.data is not None:
        return inline_bytes(opened.data, opened.status.length, offset, length)
    file = session.open_file(opened, writable=False, caller=session.caller)
    try:
        return file.pread(offset, length)
    finally:
        file.close()


def open_many(session: Session, paths: Iterable[str]) -> Iterator[tuple[str, Opened | OSError]]:
    """Each path with what ``open`` says of it. Over the wire the next batches come while one is used."""
    remaining = iter(paths)
    if session.source.is_local:
        while part := list(islice(remaining, BATCH_PATHS)):
            yield from _all_of(session, part, _ask(session, part))
        return
    coming: deque[tuple[list[str], Future[list[Opened | Fault]]]] = deque()
    size, ahead = READ_PATHS, 2
    while True:
        while len(coming) < ahead and (part := list(islice(remaining, size))):
            coming.append((part, session.workers.submit(_ask, session, part)))
        if not coming:
            return
        part, future = coming.popleft()
        answers = future.result()
        size, ahead = BATCH_PATHS if _are_tiny(answers) else READ_PATHS, READS_AHEAD
        yield from _all_of(session, part, answers)


def _are_tiny(answers: list[Opened | Fault]) -> bool:
    size_bytes = sum(len(one.data) for one in answers if isinstance(one, Opened) and one.data is not None)
    return size_bytes < TINY_BYTES * len(answers)


def _all_of(
    session: Session, paths: list[str], answers: list[Opened | Fault]
) -> Iterator[tuple[str, Opened | OSError]]:
    """All paths of a batch; an answer is cut short when it has grown large, and the rest is asked for."""
    while paths:
        for path, one in zip(paths, answers, strict=False):
            yield path, error_of(one, path) if isinstance(one, Fault) else one
        paths = paths[len(answers) :]
        answers = _ask(session, paths)


def _ask(session: Session, paths: list[str]) -> list[Opened | Fault]:
    return session.metadata.read_many(session.caller, paths) if paths else []


def read_many(session: Session, paths: Iterable[str]) -> Iterator[bytes | OSError]:
    """See ``Filesystem.read_many``. Contents in blocks are read on threads, in the order asked for."""
    pending: deque[bytes | OSError | Future[bytes]] = deque()
    ahead_max = 8
    for _, opened in open_many(session, paths):
        if isinstance(opened, OSError):
            pending.append(opened)
        elif opened.data is not None:
            length = opened.status.length
            pending.append(
                opened.data if len(opened.data) == length else inline_bytes(opened.data, length, 0, length)
            )
        else:
            pending.append(session.workers.submit(read_opened, session, opened, 0, opened.status.length))
        while pending and (not isinstance(pending[0], Future) or len(pending) > ahead_max):
            yield _settled(pending.popleft())
    while pending:
        yield _settled(pending.popleft())


def read_ranges(session: Session, ranges: Sequence[tuple[str, int, int]]) -> list[bytes | OSError]:
    """See ``Filesystem.read_ranges``."""
    opened = dict(open_many(session, dict.fromkeys(path for path, _, _ in ranges)))
    pending: list[bytes | OSError | Future[bytes]] = []
    for path, offset, length in ranges:
        one = opened[path]
        if isinstance(one, OSError):
            pending.append(one)
        elif one.data is not None:
            pending.append(inline_bytes(one.data, one.status.length, offset, length))
        else:
            pending.append(session.workers.submit(read_opened, session, one, offset, length))
    return [_settled(one) for one in pending]


def _settled(item: bytes | OSError | Future[bytes]) -> bytes | OSError:
    if not isinstance(item, Future):
        return item
    try:
        return item.result()
    except OSError as error:
        return error


# --- writing --------------------------------------------------------------------------------------


def write_many(
    filesystem: Filesystem, items: Iterable[tuple[str, Buffer]], mode: int, parents: bool
) -> list[FileStatus | OSError]:
    """See ``Filesystem.write_many``."""
    limit = filesystem.info.inline_limit
    answers: list[FileStatus | OSError] = []
    requests: list[WriteRequest] = []
    size_bytes = 0
    for path, data in items:
        if len(data) <= limit:
            requests.append(WriteRequest(path, data if type(data) is bytes else bytes(data), mode))
            size_bytes += len(data)
        if requests and (len(data) > limit or len(requests) >= BATCH_PATHS or size_bytes >= BATCH_BYTES):
            _send(filesystem.session, requests, parents, answers)
            requests, size_bytes = [], 0
        if len(data) > limit:
            answers.append(_write_large(filesystem, path, data, mode, parents))
    if requests:
        _send(filesystem.session, requests, parents, answers)
    return answers


def _send(
    session: Session, requests: list[WriteRequest], parents: bool, answers: list[FileStatus | OSError]
) -> None:
    results = session.metadata.write_many(session.caller, requests, parents)
    for request, one in zip(requests, results, strict=True):
        answers.append(error_of(one, request.path) if isinstance(one, Fault) else one)


def _write_large(
    filesystem: Filesystem, path: str, data: Buffer, mode: int, parents: bool
) -> FileStatus | OSError:
    try:
        return filesystem.write_bytes(path, data, mode=mode, parents=parents)
    except OSError as error:
        return error
