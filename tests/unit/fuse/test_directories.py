"""Listings in pages, with offsets that stay valid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oastfs.client.filesystem import Filesystem
from oastfs.core.types import WriteRequest
from oastfs.fuse import directories
from oastfs.fuse.filesystem import InodeFilesystem
from tests.unit.fuse.conftest import ROOT, ROOT_ID


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "PAGE_ENTRIES", 10)


@pytest.fixture
def handle(filesystem: Filesystem, mounted: InodeFilesystem) -> int:
    requests = [WriteRequest(f"/{number:03}", b"") for number in range(95)]
    filesystem.metadata.write_many(ROOT, requests)
    return mounted.directories.open(ROOT_ID)


def walk(mounted: InodeFilesystem, handle: int, number: int = 0) -> Iterator[tuple[int, str]]:
    """(number after the entry, name) of all that follows."""
    while True:
        first, entries = mounted.directories.read(handle, number)
        if not entries:
            return
        for number, entry in enumerate(entries, first + 1):
            yield number, entry.name


def test_all_pages_in_order(mounted: InodeFilesystem, handle: int) -> None:
    assert [name for _, name in walk(mounted, handle)] == [f"{number:03}" for number in range(95)]


def test_reading_part_of_a_page_again(mounted: InodeFilesystem, handle: int) -> None:
    mounted.directories.read(handle, 0)
    first, entries = mounted.directories.read(handle, 7)
    assert (first, [entry.name for entry in entries]) == (7, ["007", "008", "009"])


def test_any_offset_given_out_can_be_sought(mounted: InodeFilesystem, handle: int) -> None:
    given = list(walk(mounted, handle))
    for number, name in given[::7] + given[::-11]:
        following = [after for _, after in walk(mounted, handle, number)]
        assert following == [other for _, other in given if other > name]


def test_offsets_keep_their_place_while_entries_go(
    filesystem: Filesystem, mounted: InodeFilesystem, handle: int
) -> None:
    given = {name: number for number, name in walk(mounted, handle)}
    for number in range(60):
        filesystem.remove(f"/{number:03}")
    assert [name for _, name in walk(mounted, handle, given["050"])] == [f"{n:03}" for n in range(60, 95)]


def test_a_new_reading_from_the_start_sees_new_entries(
    filesystem: Filesystem, mounted: InodeFilesystem, handle: int
) -> None:
    list(walk(mounted, handle))
    filesystem.write_bytes("/000a", b"")
    assert [name for _, name in walk(mounted, handle)][:3] == ["000", "000a", "001"]


def test_a_removed_directory_is_empty(filesystem: Filesystem, mounted: InodeFilesystem) -> None:
    inode_id = filesystem.mkdir("/gone").inode_id
    handle = mounted.directories.open(inode_id)
    filesystem.rmdir("/gone")
    assert mounted.directories.read(handle, 0) == (0, [])
    assert mounted.directories.parent(handle) == inode_id


def test_parents(filesystem: Filesystem, mounted: InodeFilesystem) -> None:
    inode_id = filesystem.mkdir("/sub").inode_id
    assert mounted.directories.parent(mounted.directories.open(inode_id)) == ROOT_ID
    assert mounted.directories.parent(mounted.directories.open(ROOT_ID)) == ROOT_ID


def test_an_offset_that_was_never_given_out_is_the_end(mounted: InodeFilesystem, handle: int) -> None:
    assert mounted.directories.read(handle, 10_000) == (10_000, [])
