"""Directories as streams: pages are asked for ahead of who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

from oastfs.client.session import Session
from oastfs.core.errors import NotADirectory
from oastfs.core.path import join
from oastfs.core.types import FileStatus, Listing

FIRST_PAGE = 256
"""Small, so that the first entry comes soon."""
PAGE = 4096


def entries(session: Session, path: str, after: str = "") -> Iterator[FileStatus]:
    """Entries of a directory in name order. Errors of the first page are raised at the call.

    Raises NotFound, NotADirectory.
    """
    first = session.metadata.listdir(session.caller, path, after, FIRST_PAGE)
    if first.entries and not after and _is_file_itself(session, path, first):
        raise NotADirectory(path=path)
    return _stream(session, path, first)


def _is_file_itself(session: Session, path: str, first: Listing) -> bool:
    """A listing of a file has the one entry of the file: its parent is not the directory asked for."""
    if len(first.entries) > 1 or first.more or first.entries[0].is_directory:
        return False
    return not session.metadata.stat(session.caller, path).is_directory


def _stream(session: Session, path: str, listing: Listing) -> Iterator[FileStatus]:
    while listing.more:
        last = listing.entries[-1].name
        if session.source.is_local:
            yield from listing.entries
            listing = _page(session, path, last)
        else:
            ahead: Future[Listing] = session.workers.submit(_page, session, path, last)
            yield from listing.entries
            listing = ahead.result()
    yield from listing.entries


def _page(session: Session, path: str, after: str) -> Listing:
    return session.metadata.listdir(session.caller, path, after, PAGE)


def walk(session: Session, path: str) -> Iterator[tuple[str, list[FileStatus], list[FileStatus]]]:
    """(directory, its directories, its other entries), top down. See ``Filesystem.walk``."""
    pending = [path]
    while pending:
        where = pending.pop()
        directories: list[FileStatus] = []
        others: list[FileStatus] = []
        for entry in entries(session, where):
            (directories if entry.is_directory else others).append(entry)
        yield where, directories, others
        pending.extend(join(where, entry.name) for entry in reversed(directories))
