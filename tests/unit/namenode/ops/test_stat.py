"""stat: attributes, links, permissions and bad paths."""

from __future__ import annotations

import stat as _stat

import pytest

from oastfs.core.errors import (
    InvalidPath,
    NameTooLong,
    NotADirectory,
    NotFound,
    NotUtf8,
    PermissionDenied,
    StaleHandle,
    SymlinkLoop,
)
from oastfs.core.path import by_id
from oastfs.core.types import Fault
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, EVE, ROOT


def test_root(namespace: Namespace) -> None:
    status = namespace.stat(ROOT, "/")
    assert (status.inode_id, status.parent_id, status.name) == (1, 0, "")
    assert status.is_directory and _stat.S_IMODE(status.mode) == 0o755
    assert status.nlink == 4  # itself, its own '.', tmp, home


def test_file(namespace: Namespace) -> None:
    written = namespace.write_file(ALICE, "/home/alice/a", b"hello", 0o640)
    status = namespace.stat(ALICE, "/home/alice/a")
    assert status == written
    assert (status.length, status.uid, status.gid, status.nlink) == (5, ALICE.uid, ALICE.gid, 1)
    assert status.mode == _stat.S_IFREG | 0o640
    assert (status.block_size, status.replication) == (4096, 2)


def test_follows_links(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d/sub")
    namespace.write_file(ROOT, "/d/file", b"x")
    namespace.symlink(ROOT, "/abs", "/d/file")
    namespace.symlink(ROOT, "/d/sub/rel", "../file")
    namespace.symlink(ROOT, "/to-sub", "d/sub")
    namespace.symlink(ROOT, "/through", "to-sub/../file")
    inode_id = namespace.stat(ROOT, "/d/file").inode_id
    for path in ("/abs", "/d/sub/rel", "/to-sub/rel", "/through"):
        assert namespace.stat(ROOT, path).inode_id == inode_id
        assert namespace.stat(ROOT, path, False).is_symlink


def test_dotdot_of_a_target_is_not_textual(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/a/b")
    namespace.mkdirs(ROOT, "/c")
    namespace.write_file(ROOT, "/a/found", b"")
    namespace.symlink(ROOT, "/c/to-b", "/a/b")
    namespace.symlink(ROOT, "/probe", "c/to-b/../found")
    assert namespace.stat(ROOT, "/probe").inode_id == namespace.stat(ROOT, "/a/found").inode_id


def test_dotdot_above_the_root_is_the_root(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/up", "../../tmp")
    assert namespace.stat(ROOT, "/up").inode_id == namespace.stat(ROOT, "/tmp").inode_id


def test_loop(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/one", "/two")
    namespace.symlink(ROOT, "/two", "/one")
    with pytest.raises(SymlinkLoop):
        namespace.stat(ROOT, "/one")


def test_dangling(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/dangling", "/nothing")
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/dangling")


def test_by_id_outlives_rename(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d")
    status = namespace.write_file(ROOT, "/d/f", b"1")
    namespace.rename(ROOT, "/d", "/moved")
    assert namespace.stat(ROOT, by_id(status.inode_id)).inode_id == status.inode_id
    assert namespace.stat(ROOT, by_id(status.parent_id, "f")).inode_id == status.inode_id
    namespace.delete(ROOT, "/moved/f")
    with pytest.raises(StaleHandle):
        namespace.stat(ROOT, by_id(status.inode_id))


def test_needs_search_permission(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/home/alice/private", 0o700)
    namespace.write_file(ALICE, "/home/alice/private/f", b"")
    with pytest.raises(PermissionDenied, match=r"eve.*needs x"):
        namespace.stat(EVE, "/home/alice/private/f")
    assert namespace.stat(EVE, "/home/alice/private").is_directory


def test_through_a_file(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"")
    with pytest.raises(NotADirectory):
        namespace.stat(ROOT, "/f/x")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("", InvalidPath),
        ("relative", InvalidPath),
        ("/a/../b", InvalidPath),
        ("/a//b", InvalidPath),
        ("/a/", InvalidPath),
        ("/./a", InvalidPath),
        ("/nul\0", InvalidPath),
        ("/" + "x" * 256, NameTooLong),
        ("/" + "é" * 128, NameTooLong),
        ("/a" * 1001, NameTooLong),
        ("/" + "a/" * 3999 + "long" * 3, NameTooLong),
        ("/\udcff", NotUtf8),
        ("/.reserved", NotFound),
        ("/.reserved/raw", NotFound),
        ("/.reserved/.inodes/x", InvalidPath),
        ("/.reserved/.inodes/-1", InvalidPath),
        ("/.reserved/.inodes/99999999", StaleHandle),
    ],
)
def test_bad_paths(namespace: Namespace, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        namespace.stat(ROOT, path)
    with pytest.raises(error):
        namespace.write_file(ROOT, path, b"")


def test_longest_name(namespace: Namespace) -> None:
    for name in ("x" * 255, "é" * 127 + "x"):
        namespace.write_file(ROOT, f"/{name}", b"")
        assert namespace.stat(ROOT, f"/{name}").name == name


def test_no_path_at_all_is_not_the_root(namespace: Namespace) -> None:
    """What was found on the way to another path is remembered by its path and a slash."""
    namespace.write_file(ROOT, "/f", b"")
    namespace.stat(ROOT, "/f")
    with pytest.raises(InvalidPath):
        namespace.stat(ROOT, "")
    assert isinstance(namespace.stat_many(ROOT, ["/f", ""])[1], Fault)
