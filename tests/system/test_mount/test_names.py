"""Names through the mount: making, linking, moving, removing, listing."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

import pytest

from tests.system.test_mount.conftest import Served

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4


def renameat2(source: Path, target: Path, flags: int) -> None:
    """renameat2(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def refused(code: int) -> pytest.RaisesExc[OSError]:
    """The block raises OSError with this errno."""
    return pytest.raises(OSError, check=lambda error: error.errno == code)


def visible(directory: Path) -> list[str]:
    """Names but for those that libfuse gives to files that were removed while open."""
    return [name for name in os.listdir(directory) if not name.startswith(".fuse_hidden")]


def test_directories(directory: Path) -> None:
    (directory / "a" / "b").mkdir(parents=True)
    assert directory.stat().st_nlink == 3
    assert (directory / "a").stat().st_nlink == 3
    assert stat.S_IMODE((directory / "a").stat().st_mode) == 0o755
    with refused(errno.EEXIST):
        (directory / "a").mkdir()
    with refused(errno.ENOTEMPTY):
        (directory / "a").rmdir()
    (directory / "a" / "b").rmdir()
    (directory / "a").rmdir()
    assert os.listdir(directory) == []
    assert directory.stat().st_nlink == 2


def test_changes_show_in_the_directory_times(directory: Path) -> None:
    before = directory.stat().st_mtime_ns
    (directory / "file").write_bytes(b"")
    middle = directory.stat().st_mtime_ns
    assert middle > before
    (directory / "file").unlink()
    assert directory.stat().st_mtime_ns > middle


def test_missing_and_misused_names(directory: Path) -> None:
    (directory / "file").write_bytes(b"x")
    (directory / "dir").mkdir()
    with refused(errno.ENOENT):
        (directory / "missing").stat()
    with refused(errno.ENOENT):
        (directory / "missing").unlink()
    with refused(errno.ENOTDIR):
        (directory / "file" / "below").stat()
    with refused(errno.EISDIR):
        (directory / "dir").open("wb")
    with refused(errno.EISDIR):
        os.unlink(directory / "dir")
    with refused(errno.ENOTDIR):
        os.rmdir(directory / "file")


def test_long_names(directory: Path) -> None:
    (directory / ("n" * 255)).write_bytes(b"long")
    assert os.listdir(directory) == ["n" * 255]
    umlauts = "ü" * 127
    (directory / umlauts).mkdir()
    assert umlauts in os.listdir(directory)
    for name in ("n" * 256, "ü" * 128):
        with refused(errno.ENAMETOOLONG):
            (directory / name).write_bytes(b"")
        with refused(errno.ENAMETOOLONG):
            (directory / name).stat()


def test_names_that_are_not_utf8(directory: Path) -> None:
    bad = os.fsencode(directory) + b"/bad\xff"
    with refused(errno.EILSEQ):
        os.open(bad, os.O_CREAT | os.O_WRONLY)
    with refused(errno.EILSEQ):
        os.mkdir(bad)
    with refused(errno.EILSEQ):
        os.symlink(b"target\xff", os.fsencode(directory) + b"/link")


def test_odd_names(directory: Path) -> None:
    names = {" ", "a b", "new\nline", "quote'\"", "back\\slash", "*?[", "-rf", "...", "😀", ".hidden"}
    for name in names:
        (directory / name).write_bytes(name.encode())
    assert set(os.listdir(directory)) == names
    for name in names:
        assert (directory / name).read_bytes() == name.encode()


def test_the_reserved_name_of_the_root_is_out_of_reach(directory: Path) -> None:
    root = directory.parent
    assert ".reserved" not in os.listdir(root)
    with refused(errno.ENOENT):
        (root / ".reserved").stat()
    with refused(errno.EPERM):
        (root / ".reserved").mkdir()
    (directory / ".reserved").mkdir()


def test_symbolic_links(directory: Path) -> None:
    (directory / "file").write_bytes(b"content")
    (directory / "link").symlink_to("file")
    (directory / "dangling").symlink_to("/nowhere/at/all")
    assert (directory / "link").read_bytes() == b"content"
    assert os.readlink(directory / "link") == "file"
    assert (directory / "link").lstat().st_size == 4
    assert stat.S_ISLNK((directory / "link").lstat().st_mode)
    assert os.readlink(directory / "dangling") == "/nowhere/at/all"
    (directory / "loop").symlink_to("loop")
    with refused(errno.ELOOP):
        (directory / "loop").stat()
    long = "x" * 4095
    os.symlink(long, directory / "long")
    assert os.readlink(directory / "long") == long


def test_hard_links(directory: Path) -> None:
    (directory / "first").write_bytes(b"content")
    os.link(directory / "first", directory / "second")
    first, second = (directory / "first").stat(), (directory / "second").stat()
    assert first.st_ino == second.st_ino
    assert first.st_nlink == second.st_nlink == 2
    (directory / "second").write_bytes(b"changed")
    assert (directory / "first").read_bytes() == b"changed"
    (directory / "first").unlink()
    assert (directory / "second").stat().st_nlink == 1
    assert (directory / "second").read_bytes() == b"changed"
    (directory / "dir").mkdir()
    with refused(errno.EPERM):
        os.link(directory / "dir", directory / "dir2")
    with refused(errno.EEXIST):
        os.link(directory / "second", directory / "dir")


def test_rename_replaces(directory: Path) -> None:
    (directory / "a").write_bytes(b"a")
    (directory / "b").write_bytes(b"b")
    inode = (directory / "a").stat().st_ino
    os.rename(directory / "a", directory / "b")
    assert os.listdir(directory) == ["b"]
    assert (directory / "b").read_bytes() == b"a"
    assert (directory / "b").stat().st_ino == inode


def test_rename_of_directories(directory: Path) -> None:
    (directory / "full" / "sub").mkdir(parents=True)
    (directory / "empty").mkdir()
    (directory / "file").write_bytes(b"")
    with refused(errno.ENOTEMPTY):
        os.rename(directory / "empty", directory / "full")
    with refused(errno.ENOTDIR):
        os.rename(directory / "empty", directory / "file")
    with refused(errno.EISDIR):
        os.rename(directory / "file", directory / "empty")
    with refused(errno.EINVAL):
        os.rename(directory / "full", directory / "full" / "sub" / "deeper")
    os.rename(directory / "full", directory / "empty")
    assert sorted(os.listdir(directory)) == ["empty", "file"]
    assert os.listdir(directory / "empty") == ["sub"]


def test_rename_of_an_open_file(directory: Path) -> None:
    with (directory / "before").open("w+b", buffering=0) as file:
        file.write(b"one ")
        os.rename(directory / "before", directory / "after")
        file.write(b"two")
    assert (directory / "after").read_bytes() == b"one two"


def test_rename_flags(directory: Path) -> None:
    (directory / "a").write_bytes(b"a")
    (directory / "b").write_bytes(b"b")
    with refused(errno.EEXIST):
        renameat2(directory / "a", directory / "b", RENAME_NOREPLACE)
    renameat2(directory / "a", directory / "b", RENAME_EXCHANGE)
    assert (directory / "a").read_bytes() == b"b"
    assert (directory / "b").read_bytes() == b"a"
    renameat2(directory / "a", directory / "c", RENAME_NOREPLACE)
    assert sorted(os.listdir(directory)) == ["b", "c"]
    with refused(errno.EINVAL):
        renameat2(directory / "b", directory / "d", RENAME_WHITEOUT)
    with refused(errno.ENOENT):
        renameat2(directory / "b", directory / "missing", RENAME_EXCHANGE)


def test_special_files(directory: Path) -> None:
    os.mkfifo(directory / "fifo", 0o640)
    os.mknod(directory / "socket", stat.S_IFSOCK | 0o600)
    os.mknod(directory / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(directory / "plain", stat.S_IFREG | 0o644)
    assert stat.S_ISFIFO((directory / "fifo").stat().st_mode)
    assert stat.S_ISSOCK((directory / "socket").stat().st_mode)
    assert (directory / "device").stat().st_rdev == os.makedev(1, 3)
    assert (directory / "plain").stat().st_size == 0
    reader = os.open(directory / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(directory / "fifo", os.O_WRONLY)
    os.write(writer, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("size", [100, 300_000])
def test_unlinked_while_open(served: Served, directory: Path, size: int) -> None:
    path = directory / "file"
    with path.open("w+b", buffering=0) as file:
        file.write(b"x" * size)
        path.unlink()
        assert visible(directory) == []
        if served.binding == "kernel":  # libfuse gives it a hidden name
            assert os.fstat(file.fileno()).st_nlink == 0
        assert os.pread(file.fileno(), size, 0) == b"x" * size
        os.pwrite(file.fileno(), b"later", size)
        assert os.fstat(file.fileno()).st_size == size + 5
        assert os.pread(file.fileno(), 10, size) == b"later"
        os.fsync(file.fileno())
        path.write_bytes(b"another file of that name")
        assert os.pread(file.fileno(), 5, size) == b"later"
    assert path.read_bytes() == b"another file of that name"


def test_replaced_while_open(served: Served, directory: Path) -> None:
    (directory / "old").write_bytes(b"old content")
    (directory / "new").write_bytes(b"new content")
    with (directory / "old").open("rb", buffering=0) as file:
        os.rename(directory / "new", directory / "old")
        assert file.read() == b"old content"
        if served.binding == "kernel":
            assert os.fstat(file.fileno()).st_nlink == 0
    assert (directory / "old").read_bytes() == b"new content"


def test_a_hard_link_keeps_an_unlinked_file(directory: Path) -> None:
    with (directory / "one").open("w+b", buffering=0) as file:
        file.write(b"kept")
        os.link(directory / "one", directory / "two")
        (directory / "one").unlink()
        assert (directory / "two").stat().st_ino == os.fstat(file.fileno()).st_ino
        file.write(b" on")
    assert (directory / "two").read_bytes() == b"kept on"


def test_a_removed_directory_that_is_in_use(directory: Path, kernel_only: None) -> None:
    (directory / "gone").mkdir()
    descriptor = os.open(directory / "gone", os.O_RDONLY)
    try:
        (directory / "gone").rmdir()
        assert os.fstat(descriptor).st_nlink == 0
        assert os.listdir(descriptor) == []
    finally:
        os.close(descriptor)


def test_inode_numbers_last(directory: Path) -> None:
    (directory / "file").write_bytes(b"")
    inode = (directory / "file").stat().st_ino
    assert {entry.name: entry.inode() for entry in os.scandir(directory)} == {"file": inode}
    os.rename(directory / "file", directory / "moved")
    assert (directory / "moved").stat().st_ino == inode
