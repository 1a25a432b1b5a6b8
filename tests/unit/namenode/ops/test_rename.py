"""rename: every mode, on every combination of kinds."""

from __future__ import annotations

import pytest

from oastfs.core.errors import (
    AlreadyExists,
    EntryChanged,
    InvalidArgument,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    OastError,
    PermissionDenied,
)
from oastfs.core.path import by_id
from oastfs.core.types import RenameMode
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, BOB, EVE, ROOT, names

POSIX, NO_REPLACE, EXCHANGE, HDFS, HDFS_OVERWRITE = RenameMode


@pytest.fixture
def kinds(namespace: Namespace) -> Namespace:
    namespace.write_file(ROOT, "/tmp/file", b"file")
    namespace.write_file(ROOT, "/tmp/file2", b"file2")
    namespace.mkdirs(ROOT, "/tmp/dir")
    namespace.mkdirs(ROOT, "/tmp/empty")
    namespace.mkdirs(ROOT, "/tmp/full/child")
    namespace.symlink(ROOT, "/tmp/link", "file")
    return namespace


@pytest.mark.parametrize(
    ("source", "target", "mode", "error"),
    [
        ("file", "new", POSIX, None),
        ("dir", "new", POSIX, None),
        ("file", "file2", POSIX, None),
        ("file", "link", POSIX, None),
        ("link", "file2", POSIX, None),
        ("dir", "empty", POSIX, None),
        ("dir", "full", POSIX, NotEmpty),
        ("dir", "file", POSIX, NotADirectory),
        ("file", "dir", POSIX, IsADirectory),
        ("none", "new", POSIX, NotFound),
        ("none", "file", POSIX, NotFound),
        ("file", "file2", NO_REPLACE, AlreadyExists),
        ("file", "new", NO_REPLACE, None),
        ("dir", "empty", NO_REPLACE, AlreadyExists),
        ("file", "new", HDFS, None),
        ("file", "file2", HDFS, AlreadyExists),
        ("file", "file2", HDFS_OVERWRITE, None),
        ("dir", "empty", HDFS_OVERWRITE, None),
        ("dir", "full", HDFS_OVERWRITE, NotEmpty),
        ("file", "dir", HDFS_OVERWRITE, IsADirectory),
        ("file", "none/x", POSIX, NotFound),
        ("file", "file2/x", POSIX, NotADirectory),
        ("file", "none", EXCHANGE, NotFound),
    ],
)
def test_table(
    kinds: Namespace, source: str, target: str, mode: RenameMode, error: type[OastError] | None
) -> None:
    before = names(kinds, "/tmp")
    if error is not None:
        with pytest.raises(error):
            kinds.rename(ROOT, f"/tmp/{source}", f"/tmp/{target}", mode)
        assert names(kinds, "/tmp") == before
        return
    moved = kinds.stat(ROOT, f"/tmp/{source}", False)
    status = kinds.rename(ROOT, f"/tmp/{source}", f"/tmp/{target}", mode)
    assert status.inode_id == moved.inode_id and status.name == target
    assert kinds.stat(ROOT, f"/tmp/{target}", False) == status
    assert names(kinds, "/tmp") == sorted({*before, target} - {source})


def test_into_a_directory(kinds: Namespace) -> None:
    status = kinds.rename(ROOT, "/tmp/file", "/tmp/dir", HDFS)
    assert kinds.path_of(ROOT, status.inode_id) == "/tmp/dir/file"
    kinds.write_file(ROOT, "/tmp/file", b"")
    with pytest.raises(AlreadyExists):
        kinds.rename(ROOT, "/tmp/file", "/tmp/dir", HDFS)


def test_into_a_directory_needs_the_right_to_write_there_only(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"1")
    namespace.rename(ALICE, "/tmp/f", "/home/alice", HDFS)  # alice may not write in /home
    assert namespace.open(ALICE, "/home/alice/f").data == b"1"


def test_hdfs_rename_onto_itself_does_nothing(kinds: Namespace) -> None:
    before = kinds.stat(ROOT, "/tmp/file")
    for target in ("/tmp/file", "/tmp"):
        assert kinds.rename(ROOT, "/tmp/file", target, HDFS) == before
    kinds.rename(ROOT, "/tmp/full", "/tmp/full", HDFS)
    assert kinds.stat(ROOT, "/tmp/file") == before


@pytest.mark.parametrize(
    ("one", "other"), [("file", "dir"), ("full", "dir"), ("file", "file2"), ("link", "full")]
)
def test_exchange(kinds: Namespace, one: str, other: str) -> None:
    first, second = kinds.stat(ROOT, f"/tmp/{one}", False), kinds.stat(ROOT, f"/tmp/{other}", False)
    kinds.rename(ROOT, f"/tmp/{one}", f"/tmp/{other}", EXCHANGE)
    assert kinds.stat(ROOT, f"/tmp/{one}", False).inode_id == second.inode_id
    assert kinds.stat(ROOT, f"/tmp/{other}", False).inode_id == first.inode_id


def test_exchange_across_directories_counts_subdirectories(kinds: Namespace) -> None:
    kinds.rename(ROOT, "/tmp/full/child", "/tmp/file", EXCHANGE)
    assert kinds.stat(ROOT, "/tmp/full").nlink == 2
    assert kinds.stat(ROOT, "/tmp/file").is_directory
    assert kinds.open(ROOT, "/tmp/full/child").data == b"file"


@pytest.mark.parametrize("mode", list(RenameMode))
def test_no_cycles(kinds: Namespace, mode: RenameMode) -> None:
    for target in ("/tmp/full/child/x", "/tmp/full/x", "/tmp/full/child"):
        with pytest.raises(OastError) as caught:
            kinds.rename(ROOT, "/tmp/full", target, mode)
        assert isinstance(caught.value, (InvalidArgument, NotFound, AlreadyExists, NotEmpty))
    assert kinds.stat(ROOT, "/tmp/full/child").is_directory


def test_onto_itself(kinds: Namespace) -> None:
    before = kinds.stat(ROOT, "/tmp/file")
    assert kinds.rename(ROOT, "/tmp/file", "/tmp/file") == before
    kinds.link(ROOT, "/tmp/file", "/tmp/hard")
    kinds.rename(ROOT, "/tmp/file", "/tmp/hard")
    assert {"file", "hard"} <= set(names(kinds, "/tmp"))  # POSIX: both names stay


def test_root(kinds: Namespace) -> None:
    with pytest.raises(InvalidArgument):
        kinds.rename(ROOT, "/", "/x")
    with pytest.raises(AlreadyExists):
        kinds.rename(ROOT, "/tmp", "/")


def test_tree_moves_in_one_piece(kinds: Namespace) -> None:
    kinds.write_file(ROOT, "/tmp/full/child/deep", b"1")
    kinds.rename(ROOT, "/tmp/full", "/home/alice/moved")
    assert kinds.open(ROOT, "/home/alice/moved/child/deep").data == b"1"
    assert kinds.stat(ROOT, "/home/alice").nlink == 3
    assert kinds.stat(ROOT, "/tmp").nlink == 4


def test_replaced_file_can_be_kept(kinds: Namespace) -> None:
    replaced = kinds.stat(ROOT, "/tmp/file2")
    kinds.rename(ROOT, "/tmp/file", "/tmp/file2", POSIX, "mount-1")
    assert kinds.open(ROOT, by_id(replaced.inode_id)).data == b"file2"
    assert kinds.stat(ROOT, by_id(replaced.inode_id)).nlink == 0
    kinds.forget(ROOT, [replaced.inode_id], "mount-1")


def test_permissions(kinds: Namespace) -> None:
    kinds.write_file(ALICE, "/home/alice/f", b"")
    with pytest.raises(PermissionDenied):
        kinds.rename(EVE, "/home/alice/f", "/tmp/f")
    with pytest.raises(PermissionDenied):
        kinds.rename(ALICE, "/home/alice/f", "/home/f")
    with pytest.raises(NotPermitted):  # sticky source directory
        kinds.rename(EVE, "/tmp/file", "/tmp/mine")
    kinds.write_file(EVE, "/tmp/eves", b"")
    with pytest.raises(NotPermitted):  # sticky target directory
        kinds.rename(EVE, "/tmp/eves", "/tmp/file")


def test_moving_a_directory_needs_write_permission_on_it(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/open", 0o777)
    namespace.mkdirs(ROOT, "/open2", 0o777)
    namespace.mkdirs(ALICE, "/open/alices", 0o755)
    with pytest.raises(PermissionDenied):
        namespace.rename(BOB, "/open/alices", "/open2/x")
    namespace.rename(BOB, "/open/alices", "/open/x")  # the same parent: '..' stays
    namespace.rename(BOB, "/open/x", "/open2/x", HDFS)  # HDFS looks at the parents only


def test_replace_what_is_expected_only(kinds: Namespace) -> None:
    target = kinds.stat(ROOT, "/tmp/file2")
    for expected in (0, target.inode_id + 1):
        with pytest.raises(EntryChanged):
            kinds.rename(ROOT, "/tmp/file", "/tmp/file2", POSIX, "", expected)
    with pytest.raises(EntryChanged):
        kinds.rename(ROOT, "/tmp/file", "/tmp/new", POSIX, "", target.inode_id)
    assert kinds.open(ROOT, "/tmp/file2").data == b"file2"
    kinds.rename(ROOT, "/tmp/file", "/tmp/file2", POSIX, "", target.inode_id)
    kinds.rename(ROOT, "/tmp/file2", "/tmp/new", POSIX, "", 0)
    assert kinds.open(ROOT, "/tmp/new").data == b"file"
