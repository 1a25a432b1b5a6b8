"""The copying engine, from this machine's files to this machine's files."""

from __future__ import annotations

import os
import stat
import struct
import threading
from pathlib import Path

import pytest

from oastfs.cli.transfer.engine import BATCH_FILES, Copier, CopyOptions
from oastfs.cli.transfer.local import LocalSink, LocalSource
from oastfs.core.errors import Unreachable


class Counts:
    """Counts as a report and as progress."""

    def __init__(self) -> None:
        self.done = 0
        self.errors: list[BaseException] = []
        self.found_bytes = self.moved_bytes = 0
        self.found_files = self.moved_files = 0
        self._lock = threading.Lock()

    def succeed(self, count: int = 1) -> None:
        with self._lock:
            self.done += count

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)

    def found(self, files: int, size_bytes: int) -> None:
        self.found_files += files
        self.found_bytes += size_bytes

    def moved(self, files: int, size_bytes: int) -> None:
        with self._lock:
            self.moved_files += files
            self.moved_bytes += size_bytes


def copy(source: Path, target: Path, preserve: bool = False, sink: LocalSink | None = None) -> Counts:
    counts = Counts()
    ends = LocalSource(), sink or LocalSink()
    with Copier(*ends, CopyOptions(preserve, 0o022), counts, counts) as copier:
        copier.copy(ends[0].item(str(source), follow=False), str(target))
    return counts


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "source"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "empty").mkdir()
    for number in range(BATCH_FILES + 20):
        (top / "sub" / f"{number}.txt").write_text(f"{number}\n" * (number % 7))
    (top / "large").write_bytes(os.urandom(3 << 20))
    (top / "sub" / "script").write_text("#!/bin/sh\n")
    (top / "sub" / "script").chmod(0o751)
    os.symlink("../large", top / "sub" / "link")
    os.symlink("nowhere", top / "dangling")
    os.link(top / "large", top / "sub" / "deep" / "second name")
    os.utime(top / "sub" / "script", ns=(1_000_000_001, 2_000_000_002))
    os.utime(top / "sub", ns=(3_000_000_003, 4_000_000_004))
    return top


def snapshot(top: Path, exact: bool) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        mode = status.st_mode if exact else status.st_mode & ~0o022
        times = status.st_mtime_ns if exact else None
        found[str(path.relative_to(top))] = (mode, content, times)
    return found


def test_copies_a_tree(tree: Path, tmp_path: Path) -> None:
    counts = copy(tree, tmp_path / "target")
    assert not counts.errors
    assert snapshot(tree, False) == snapshot(tmp_path / "target", False)
    assert counts.found_files == counts.moved_files
    assert counts.found_bytes == counts.moved_bytes


def test_preserves_times_modes_xattrs_and_links(tree: Path, tmp_path: Path) -> None:
    os.setxattr(tree / "sub" / "script", "user.origin", b"\x00\xff")
    os.mkfifo(tree / "fifo", 0o640)
    target = tmp_path / "target"
    counts = copy(tree, target, preserve=True)
    assert not counts.errors
    assert snapshot(tree, True) == snapshot(target, True)
    assert os.getxattr(target / "sub" / "script", "user.origin") == b"\x00\xff"
    assert (target / "large").samefile(target / "sub" / "deep" / "second name")
    assert stat.S_ISFIFO((target / "fifo").stat().st_mode)


def test_preserves_acls(tree: Path, tmp_path: Path) -> None:
    name, script = "system.posix_acl_access", tree / "sub" / "script"
    entries = [(1, 7, -1), (2, 4, 12345), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(script, name, acl)
    counts = copy(tree, tmp_path / "target", preserve=True)
    assert not counts.errors
    assert os.getxattr(tmp_path / "target" / "sub" / "script", name) == acl


def test_special_files_are_left_out_and_told(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "fifo")
    counts = copy(tree, tmp_path / "target")
    assert [str(error) for error in counts.errors] and "left out" in str(counts.errors[0])
    assert not (tmp_path / "target" / "fifo").exists()
    assert (tmp_path / "target" / "large").exists()


def test_one_bad_file_does_not_stop_the_rest(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "sub" / "3.txt").mkdir(parents=True)
    counts = copy(tree, target)
    assert len(counts.errors) == 1
    assert isinstance(counts.errors[0], IsADirectoryError)
    assert (target / "sub" / "4.txt").exists()


def test_no_clobber(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "3.txt").write_text("mine")
    counts = copy(tree, target, sink=LocalSink(clobber=False))
    assert [type(error) for error in counts.errors] == [FileExistsError]
    assert (target / "sub" / "3.txt").read_text() == "mine"


def test_replaces_links_rather_than_writing_through_them(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "sub").mkdir(parents=True)
    os.symlink("elsewhere", target / "sub" / "link")
    assert not copy(tree, target).errors
    assert os.readlink(target / "sub" / "link") == "../large"


def test_a_directory_without_permissions_ends_with_them(tmp_path: Path) -> None:
    top = tmp_path / "source"
    top.mkdir()
    (top / "file").write_text("x")
    top.chmod(0o500)
    assert not copy(top, tmp_path / "target").errors
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o500
    assert (tmp_path / "target" / "file").read_text() == "x"


def test_a_lost_connection_ends_it(tree: Path, tmp_path: Path) -> None:
    class Lost(LocalSink):
        def write_small(self, files: object) -> list[OSError | None]:
            raise Unreachable("gone")

    with pytest.raises(Unreachable):
        copy(tree, tmp_path / "target", sink=Lost())
