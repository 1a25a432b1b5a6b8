"""mkdirs: directories, parents and group inheritance."""

from __future__ import annotations

import stat as _stat

import pytest

from oastfs.core.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidPath,
    NotADirectory,
    NotFound,
    PermissionDenied,
    StaleHandle,
)
from oastfs.core.path import by_id
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.acls.texts import acl
from tests.unit.namenode.conftest import ALICE, EVE, ROOT, Clock, names


def test_parents(namespace: Namespace) -> None:
    status = namespace.mkdirs(ALICE, "/home/alice/a/b/c", 0o750)
    assert status.name == "c" and status.nlink == 2
    assert _stat.S_IMODE(namespace.stat(ROOT, "/home/alice/a/b").mode) == 0o750
    assert namespace.stat(ROOT, "/home/alice/a").nlink == 3


def test_parents_can_be_searched_by_their_owner(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/home/alice/a/b", 0o400)
    assert _stat.S_IMODE(namespace.stat(ROOT, "/home/alice/a").mode) == 0o700
    assert _stat.S_IMODE(namespace.stat(ROOT, "/home/alice/a/b").mode) == 0o400


def test_parents_that_a_default_acl_closes(namespace: Namespace) -> None:
    namespace.modify_acl(ALICE, "/home/alice", acl("default:user::--x"))
    namespace.mkdirs(ALICE, "/home/alice/a/b/c")
    assert not namespace.stat(ROOT, "/home/alice/a/b").mode & _stat.S_IWUSR
    with pytest.raises(PermissionDenied):
        namespace.mkdirs(ALICE, "/home/alice/a/d")


def test_without_parents(namespace: Namespace) -> None:
    with pytest.raises(NotFound):
        namespace.mkdirs(ROOT, "/x/y", parents=False)
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/x")


def test_existing(namespace: Namespace) -> None:
    first = namespace.mkdirs(ROOT, "/d")
    assert namespace.mkdirs(ROOT, "/d", 0o700) == first
    with pytest.raises(AlreadyExists):
        namespace.mkdirs(ROOT, "/d", exist_ok=False)
    with pytest.raises(AlreadyExists):
        namespace.mkdirs(ROOT, "/", exist_ok=False)
    assert namespace.mkdirs(ROOT, "/").inode_id == 1


def test_file_in_the_way(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"")
    with pytest.raises(AlreadyExists):
        namespace.mkdirs(ROOT, "/f")
    for path in ("/f/x", "/f/x/y"):
        with pytest.raises(NotADirectory):
            namespace.mkdirs(ROOT, path)


def test_through_a_link(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/l", "/tmp")
    namespace.mkdirs(ROOT, "/l/x/y")
    assert namespace.stat(ROOT, "/tmp/x/y").is_directory
    assert namespace.mkdirs(ROOT, "/l").inode_id == namespace.stat(ROOT, "/tmp").inode_id


def test_dangling_link_in_the_way(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/l", "/nothing")
    with pytest.raises((NotADirectory, NotFound)):
        namespace.mkdirs(ROOT, "/l/x")


def test_set_group_id_is_inherited(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/shared", 0o2777)
    namespace.chown(ROOT, "/shared", -1, 2000)
    namespace.chmod(ROOT, "/shared", 0o2777)
    status = namespace.mkdirs(EVE, "/shared/sub", 0o755)
    assert status.gid == 2000 and status.mode & _stat.S_ISGID
    assert namespace.write_file(EVE, "/shared/f", b"").gid == 2000


def test_permission(namespace: Namespace) -> None:
    with pytest.raises(PermissionDenied):
        namespace.mkdirs(EVE, "/home/x")
    namespace.mkdirs(EVE, "/tmp")  # exists: nothing to write, nothing to deny


def test_bad_mode(namespace: Namespace) -> None:
    with pytest.raises(InvalidArgument):
        namespace.mkdirs(ROOT, "/x", 0o40755)


def test_parent_times(namespace: Namespace, clock: Clock) -> None:
    before = namespace.stat(ROOT, "/tmp")
    clock.advance(5)
    namespace.mkdirs(ROOT, "/tmp/x")
    after = namespace.stat(ROOT, "/tmp")
    assert after.mtime_ns > before.mtime_ns and after.ctime_ns == after.mtime_ns
    assert after.nlink == before.nlink + 1


def test_depth_limit(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d" * 1000)
    assert namespace.stat(ROOT, "/d" * 1000).is_directory


def test_existing_by_id_needs_no_right_to_write(namespace: Namespace) -> None:
    home = namespace.stat(ROOT, "/home/alice")
    assert namespace.mkdirs(EVE, by_id(home.inode_id), parents=False) == home
    assert namespace.mkdirs(EVE, by_id(home.inode_id)) == home


def test_parents_by_id(namespace: Namespace) -> None:
    home = namespace.stat(ROOT, "/home/alice")
    namespace.mkdirs(ALICE, by_id(home.inode_id, "a/b"))
    assert namespace.stat(ROOT, "/home/alice/a/b").is_directory
    before = names(namespace, "/")
    for path in (by_id(999_999, "a/b"), by_id(999_999), "/.reserved/a/b", "/.reserved/.inodes/x/y"):
        with pytest.raises((StaleHandle, NotFound, InvalidPath)):
            namespace.mkdirs(ROOT, path)
    assert names(namespace, "/") == before
