"""The filesystems that one run of the command talks to, opened at first use and closed at its end."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from oastfs.cli.location import Location
from oastfs.core.errors import NotFound

if TYPE_CHECKING:
    from oastfs.client import Filesystem
    from oastfs.core.types import FileStatus

_META_KEY = "oastfs.filesystems"
_GLOB_CHARACTERS = frozenset("*?[")
PAGE = 5_000
"""Entries asked for at once: big enough to hide the trip, small enough to show the first at once."""


def filesystem(location: Location) -> Filesystem:
    """The open filesystem of a location."""
    context = click.get_current_context()
    opened: dict[str, Filesystem] = context.meta.setdefault(_META_KEY, {})
    if location.address not in opened:
        from oastfs.client import connect

        found = opened[location.address] = connect(location.address)
        context.find_root().call_on_close(found.close)
    return opened[location.address]


def stat(location: Location, follow: bool = True) -> FileStatus:
    """Attributes of a location. Raises NotFound."""
    fs = filesystem(location)
    return fs.metadata.stat(fs.caller, location.path, follow)


def stat_or_none(location: Location, follow: bool = True) -> FileStatus | None:
    """Attributes of a location, None if it does not exist."""
    try:
        return stat(location, follow)
    except NotFound:
        return None


def pages(location: Location) -> Iterator[list[FileStatus]]:
    """The entries of a directory in name order, in pages as the filesystem gives them."""
    fs = filesystem(location)
    after, more = "", True
    while more:
        listing = fs.metadata.listdir(fs.caller, location.path, after, PAGE)
        if listing.entries:
            yield listing.entries
            after = listing.entries[-1].name
        more = listing.more


def entries(location: Location) -> Iterator[FileStatus]:
    """The entries of a directory in name order."""
    for page in pages(location):
        yield from page


def walk(location: Location, status: FileStatus) -> Iterator[tuple[Location, FileStatus]]:
    """``location`` and everything below it, parents first, each directory in name order.

    Symbolic links are told of, not followed.
    """
    pending = [(location, status)]
    while pending:
        where, what = pending.pop()
        yield where, what
        if what.is_directory:
            below = [(where.child(entry.name), entry) for entry in entries(where)]
            pending.extend(reversed(below))


def expand(locations: Iterable[Location]) -> Iterator[Location]:
    """Each location, and what it matches if it is a pattern (``*``, ``?``, ``[...]``) and not a name.

    Shells expand patterns of local files only. Raises NotFound for a pattern without a match.
    """
    for location in locations:
        if not _GLOB_CHARACTERS.intersection(location.path) or stat_or_none(location, False):
            yield location
            continue
        matches = list(_match(Location(location.address, "/"), location.path[1:].split("/")))
        if not matches:
            raise NotFound("no file matches the pattern", path=location.path)
        yield from matches


def _match(directory: Location, pattern: list[str]) -> Iterator[Location]:
    first, rest = pattern[0], pattern[1:]
    if not _GLOB_CHARACTERS.intersection(first):
        found = directory.child(first)
        if stat_or_none(found, follow=bool(rest)) is None:
            return
        if rest:
            yield from _match(found, rest)
        else:
            yield found
        return
    for entry in entries(directory):
        hidden = entry.name.startswith(".") and not first.startswith(".")
        if hidden or not fnmatch.fnmatchcase(entry.name, first):
            continue
        if not rest:
            yield directory.child(entry.name)
        elif entry.is_directory:
            yield from _match(directory.child(entry.name), rest)
