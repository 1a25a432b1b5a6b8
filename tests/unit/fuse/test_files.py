"""Open files of one mount: sharing, counting, keeping what was unlinked, what the kernel may believe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oastfs.client.filesystem import Filesystem
from oastfs.core.errors import InvalidArgument, NotFound, SafeMode, StaleHandle, Unsupported
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.fuse.attributes import NOW, SetAttributes
from oastfs.fuse.effects import Change, Wait
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.handles import version_of
from tests.unit.fuse.conftest import ALICE, ROOT, ROOT_ID

Do = Callable[[Any], Any]


@pytest.fixture
def file(mounted: InodeFilesystem, do: Do) -> int:
    """A file that is open for writing."""
    status, _ = do(mounted.files.create(ROOT_ID, "file", 0o644, 0, os.O_RDWR, ROOT))
    return int(status.inode_id)


def test_written_content_is_sent_at_flush(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    assert mounted.files.write(file, 0, b"content", False) == 7
    assert filesystem.stat("/file").length == 0
    do(mounted.files.flush(file))
    assert filesystem.read_bytes("/file") == b"content"
    assert mounted.files.flush(file) is None
    do(mounted.files.release(file))
    assert not mounted.handles.open


def test_handles_share_one_open_file(mounted: InodeFilesystem, do: Do, file: int) -> None:
    do(mounted.files.open(file, os.O_RDONLY, False))
    mounted.files.write(file, 0, b"seen", False)
    assert mounted.files.read(file, 0, 10) == b"seen"
    do(mounted.files.release(file))
    assert mounted.files.read(file, 0, 10) == b"seen"
    do(mounted.files.release(file))
    with pytest.raises(StaleHandle):
        mounted.files.read(file, 0, 10)


def test_a_reader_sees_what_a_later_writer_writes(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do
) -> None:
    inode_id = filesystem.write_bytes("/file", b"before").inode_id
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    with pytest.raises(InvalidArgument):
        mounted.files.write(inode_id, 0, b"x", False)
    do(mounted.files.open(inode_id, os.O_WRONLY, False))
    mounted.files.write(inode_id, 0, b"AFTER", False)
    assert mounted.files.read(inode_id, 0, 10) == b"AFTERe"
    do(mounted.files.release(inode_id))
    do(mounted.files.release(inode_id))
    assert filesystem.read_bytes("/file") == b"AFTERe"


def test_stat_of_what_is_being_written_sends_it_first(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    mounted.files.write(file, 0, b"content", False)
    status = do(mounted.attributes.getattr(file))
    assert status.length == 7
    assert filesystem.stat("/file") == status
    do(mounted.files.release(file))
    assert filesystem.stat("/file").mtime_ns == status.mtime_ns


def test_what_cannot_be_sent_is_lost_with_its_last_handle_and_holds_up_nobody_else(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    """Its writer is told."""
    mounted.files.write(file, 0, b"content", False)
    filesystem.metadata.safe_mode(ROOT, "enter")
    with pytest.raises(SafeMode):
        do(mounted.files.flush(file))
    for looking in (mounted.names.lookup(ROOT_ID, "file"), mounted.attributes.getattr(file)):
        assert do(looking).length == 7
    with pytest.raises(SafeMode):
        do(mounted.files.release(file))
    filesystem.metadata.safe_mode(ROOT, "leave")
    assert not mounted.handles.open
    assert not mounted.handles.closing
    assert do(mounted.names.lookup(ROOT_ID, "file")).length == 0
    do(mounted.names.unlink(ROOT_ID, "file", ROOT))
    with pytest.raises(NotFound):
        filesystem.stat("/file")


def test_times_set_while_dirty_stay(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    mounted.files.write(file, 0, b"content", False)
    do(mounted.attributes.setattr(file, SetAttributes(atime_ns=5, mtime_ns=6), ROOT))
    do(mounted.files.release(file))
    assert (filesystem.stat("/file").atime_ns, filesystem.stat("/file").mtime_ns) == (5, 6)


def test_one_time_now_and_the_other_left(filesystem: Filesystem, mounted: InodeFilesystem, do: Do) -> None:
    inode_id = filesystem.write_bytes("/file", b"").inode_id
    before = filesystem.stat("/file")
    status = do(mounted.attributes.setattr(inode_id, SetAttributes(atime_ns=NOW), ROOT))
    assert status.atime_ns > before.atime_ns
    assert status.mtime_ns == before.mtime_ns


def test_unlinked_while_open_lives_until_released(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    mounted.files.write(file, 0, b"content", False)
    do(mounted.names.unlink(ROOT_ID, "file", ROOT))
    with pytest.raises(NotFound):
        filesystem.stat("/file")
    assert mounted.files.read(file, 0, 10) == b"content"
    assert do(mounted.attributes.getattr(file)).nlink == 0
    assert do(mounted.attributes.getattr(file)).length == 7
    assert mounted.files.flush(file) is None
    do(mounted.files.release(file))
    with pytest.raises(StaleHandle):
        mounted.attributes.getattr(file)


def test_a_file_about_to_go_is_not_opened(filesystem: Filesystem, mounted: InodeFilesystem, do: Do) -> None:
    inode_id = filesystem.write_bytes("/file", b"x").inode_id
    operation = mounted.names.unlink(ROOT_ID, "file", ROOT)
    change = next(operation)
    with pytest.raises(StaleHandle):
        mounted.files.open(inode_id, os.O_RDONLY, False)
    assert isinstance(change, Change)
    status = mounted.metadata.call(change.verb, change.caller, *change.arguments)
    with pytest.raises(StopIteration):
        operation.send(status)
    assert not mounted.handles.removing
    left = mounted.attributes.getattr(inode_id)
    assert isinstance(left, FileStatus) and left.nlink == 0
    mounted.handles.forget(inode_id)
    with pytest.raises(StaleHandle):
        mounted.attributes.getattr(inode_id)


def test_the_kernel_keeps_pages_of_an_unchanged_file_only(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do
) -> None:
    inode_id = filesystem.write_bytes("/file", b"one").inode_id

    def keeps() -> bool:
        opening = do(mounted.files.open(inode_id, os.O_RDONLY, False))
        do(mounted.files.release(inode_id))
        return bool(opening.keep_cache)

    assert [keeps(), keeps()] == [False, True]
    filesystem.write_bytes("/file", b"two")
    assert [keeps(), keeps()] == [False, True]
    mounted.handles.forget(inode_id)
    assert keeps() is False


def test_pages_of_what_was_written_here_are_kept(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    mounted.files.write(file, 0, b"ours", False)
    do(mounted.files.flush(file))
    do(mounted.files.release(file))
    assert do(mounted.files.open(file, os.O_WRONLY, False)).keep_cache
    filesystem.metadata.write_inline(ROOT, "/file", [(0, b"theirs")])
    mounted.files.write(file, 0, b"ours", False)
    do(mounted.files.flush(file))
    do(mounted.files.release(file))
    assert not do(mounted.files.open(file, os.O_RDONLY, False)).keep_cache
    assert mounted.files.read(file, 0, 10) == b"oursrs"
    do(mounted.files.release(file))


def test_the_kernel_is_told_when_a_file_changed_elsewhere(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do
) -> None:
    told: list[int] = []
    mounted.shared.changed_elsewhere = lambda inode_id, content: None if content else told.append(inode_id)
    inode_id = filesystem.write_bytes("/file", b"one").inode_id
    do(mounted.names.lookup(ROOT_ID, "file"))
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    assert told == []
    filesystem.write_bytes("/file", b"changed")
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    assert told == [inode_id]
    assert mounted.files.read(inode_id, 0, 10) == b"changed"


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("looked_up", [False, True])
def test_pages_are_dropped_before_anybody_rests_upon_them(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, flags: int, others: int, looked_up: bool
) -> None:
    """The answer to an open drops older pages when the kernel comes to it, which others do not wait for."""
    believed: list[object] = []

    def note(inode_id: int, content: bool) -> None:
        if content:
            believed.append(mounted.handles.cached.get(inode_id))

    inode_id = filesystem.write_bytes("/file", b"before").inode_id
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    if not others:
        do(mounted.files.release(inode_id))
    before, after = (
        mounted.handles.cached.get(inode_id),
        version_of(filesystem.write_bytes("/file", b"after")),
    )
    mounted.shared.changed_elsewhere = note
    if looked_up:
        do(mounted.names.lookup(ROOT_ID, "file"))
    opening: Any = mounted.files.open(inode_id, flags, False)
    if others:
        step = next(opening)
        assert isinstance(step, Wait), "reads may be under way, which dropping pages waits for"
        assert mounted.handles.cached.get(inode_id) == before
        step.function()
        with pytest.raises(StopIteration):
            opening.send(None)
    assert believed == [before]
    assert mounted.handles.cached.get(inode_id) == after
    for _ in range(1 + others):
        do(mounted.files.release(inode_id))


@pytest.mark.parametrize("last", ["lookup", "getattr", "flush"])
def test_the_kernel_is_told_when_it_may_have_passed_over_what_it_was_told(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, last: str
) -> None:
    """It does so when it asked for the same attributes twice at a time, and the older answer came first.

    A flush brings it no attributes at all, though others may have made the file longer meanwhile.
    """
    told: list[int] = []
    inode_id = filesystem.write_bytes("/file", b"one").inode_id
    do(mounted.names.lookup(ROOT_ID, "file"))
    if last == "flush":
        do(mounted.files.open(inode_id, os.O_WRONLY, False))
        mounted.files.write(inode_id, 0, b"O", False)
    filesystem.write_bytes("/file", b"longer")
    if last == "flush":
        do(mounted.files.flush(inode_id))
        do(mounted.files.release(inode_id))
    elif last == "lookup":
        do(mounted.names.lookup(ROOT_ID, "file"))
    else:
        do(mounted.attributes.getattr(inode_id))
    mounted.shared.changed_elsewhere = lambda inode_id, content: None if content else told.append(inode_id)
    for _ in range(2):
        do(mounted.files.open(inode_id, os.O_RDONLY, False))
        assert told == [inode_id], "the first time"
        do(mounted.files.release(inode_id))


def test_set_id_bits_go_as_another_writes(filesystem: Filesystem, mounted: InodeFilesystem, do: Do) -> None:
    inode_id = filesystem.write_bytes("/file", b"program", mode=0o6755).inode_id
    do(mounted.files.open(inode_id, os.O_WRONLY, True))
    do(mounted.files.write(inode_id, 0, b"x", False))
    assert filesystem.stat("/file").mode & 0o7777 == 0o6755
    do(mounted.files.write(inode_id, 0, b"y", True))
    assert filesystem.stat("/file").mode & 0o7777 == 0o755
    do(mounted.files.release(inode_id))
    assert filesystem.read_bytes("/file") == b"yrogram"


def test_creating_what_another_made_first(filesystem: Filesystem, mounted: InodeFilesystem, do: Do) -> None:
    filesystem.write_bytes("/file", b"theirs")
    status, opening = do(
        mounted.files.create(ROOT_ID, "file", 0o644, 0, os.O_RDWR, ALICE.__class__("root", 0))
    )
    assert (status.length, opening.writable) == (6, True)
    with pytest.raises(FileExistsError):
        do(mounted.files.create(ROOT_ID, "file", 0o644, 0, os.O_RDWR | os.O_EXCL, ROOT))
    with pytest.raises(PermissionError):
        do(mounted.files.create(ROOT_ID, "file", 0o644, 0, os.O_RDWR, ALICE))


def test_allocation(mounted: InodeFilesystem, do: Do, file: int) -> None:
    mounted.files.write(file, 0, b"x" * 100, False)
    do(mounted.files.fallocate(file, 0, 200, 1, SUPERUSER))
    assert do(mounted.attributes.getattr(file)).length == 100
    do(mounted.files.fallocate(file, 10, 20, 3, SUPERUSER))
    assert mounted.files.read(file, 0, 40) == b"x" * 10 + bytes(20) + b"x" * 10
    do(mounted.files.fallocate(file, 0, 300, 0, SUPERUSER))
    assert do(mounted.attributes.getattr(file)).length == 300
    with pytest.raises(Unsupported):
        do(mounted.files.fallocate(file, 0, 10, 8, SUPERUSER))


def test_everything_is_sent_at_the_end(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, file: int
) -> None:
    mounted.files.write(file, 0, b"late", False)
    assert mounted.files.flush_all() == []
    assert filesystem.read_bytes("/file") == b"late"


def test_readers_of_a_small_file_see_it_as_of_the_last_open(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do
) -> None:
    inode_id = filesystem.write_bytes("/file", b"one").inode_id
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    filesystem.write_bytes("/file", b"changed")
    assert mounted.files.read(inode_id, 0, 10) == b"one"
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    assert mounted.files.read(inode_id, 0, 10) == b"changed"
    assert mounted.files.read(inode_id, 2, 3) == b"ang"
    assert mounted.files.read(inode_id, 7, 3) == b""
    do(mounted.attributes.setattr(inode_id, SetAttributes(size=4), ROOT))
    assert mounted.files.read(inode_id, 2, 10) == b"an"
    do(mounted.files.release(inode_id))
    do(mounted.files.release(inode_id))
    assert not mounted.handles.open


def test_a_small_file_removed_while_only_read_lives_until_released(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do
) -> None:
    inode_id = filesystem.write_bytes("/file", b"content").inode_id
    do(mounted.files.open(inode_id, os.O_RDONLY, False))
    do(mounted.names.unlink(ROOT_ID, "file", ROOT))
    assert mounted.files.read(inode_id, 0, 10) == b"content"
    assert do(mounted.attributes.getattr(inode_id)).length == 7
    do(mounted.files.release(inode_id))
    with pytest.raises(StaleHandle):
        mounted.attributes.getattr(inode_id)


def test_the_kernel_is_handed_the_content_by_the_first_who_opens_a_file(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do
) -> None:
    handed: list[bytes] = []

    def take(inode_id: int, content: bytes) -> bool:
        handed.append(content)
        return True

    def opened(flags: int = os.O_RDONLY) -> bool:
        return bool(do(mounted.files.open(inode_id, flags, False)).keep_cache)

    mounted.shared.hand_over = take
    inode_id = filesystem.write_bytes("/file", b"one").inode_id
    assert not opened() and handed == []  # of a length that the kernel was never told
    do(mounted.files.release(inode_id))
    mounted.handles.forget(inode_id)
    do(mounted.names.lookup(ROOT_ID, "file"))
    assert opened() and handed == [b"one"]
    assert opened() and handed == [b"one"]  # it has it
    filesystem.write_bytes("/file", b"two")
    do(mounted.names.lookup(ROOT_ID, "file"))
    assert not opened() and handed == [b"one"]  # others may be reading
    for _ in range(3):
        do(mounted.files.release(inode_id))
    mounted.handles.forget(inode_id)
    do(mounted.names.lookup(ROOT_ID, "file"))
    assert not opened(os.O_RDWR) and handed == [b"one"]
    do(mounted.files.release(inode_id))


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
def test_what_is_only_written_need_not_stay_in_the_kernels_cache(
    filesystem: Filesystem, mounted: InodeFilesystem, do: Do, flags: int
) -> None:
    mounted.shared.writes_uncached = True
    status, opening = do(mounted.files.create(ROOT_ID, "file", 0o644, 0, flags, ROOT))
    assert opening.uncached == (flags == os.O_WRONLY)
    inode_id = status.inode_id
    mounted.files.write(inode_id, 0, b"content", False)
    do(mounted.files.flush(inode_id))
    do(mounted.files.release(inode_id))
    # Of what it does not have, the kernel is not told that it may keep it.
    assert do(mounted.files.open(inode_id, os.O_RDONLY, False)).keep_cache == (flags == os.O_RDWR)
    do(mounted.files.release(inode_id))
    assert not mounted.handles.open and not mounted.handles.closing


def test_closes_that_overlap_let_everybody_go_on(mounted: InodeFilesystem, file: int) -> None:
    """Whoever looked for a close just before it began may have opened the file and be closing it, too."""
    mounted.files.write(file, 0, b"content", False)
    operation = mounted.files.release(file)
    assert operation is not None
    step = next(operation)
    while isinstance(step, Change):
        step = operation.send(mounted.metadata.call(step.verb, step.caller, *step.arguments))
    ours = mounted.handles.closing[file]
    theirs = mounted.handles.closing[file] = threading.Event()
    with pytest.raises(StopIteration):
        operation.send(step.function())
    assert ours.is_set()
    assert mounted.handles.closing[file] is theirs
