"""unlink, rmdir, forget: taking names away one by one."""

from __future__ import annotations

import pytest

from oastfs.core.errors import (
    EntryChanged,
    InvalidArgument,
    IsADirectory,
    LeaseConflict,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    PermissionDenied,
    StaleHandle,
)
from oastfs.core.path import by_id
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, EVE, ROOT


def test_unlink(namespace: Namespace) -> None:
    status = namespace.write_file(ROOT, "/f", b"1")
    gone = namespace.unlink(ROOT, "/f")
    assert gone.inode_id == status.inode_id and gone.nlink == 0
    with pytest.raises(StaleHandle):
        namespace.stat(ROOT, by_id(status.inode_id))
    with pytest.raises(IsADirectory):
        namespace.unlink(ROOT, "/tmp")
    with pytest.raises(NotFound):
        namespace.unlink(ROOT, "/f")


def test_kept_file_lives_on(namespace: Namespace) -> None:
    status = namespace.write_file(ROOT, "/f", b"before")
    namespace.set_xattr(ROOT, "/f", "user.x", b"1")
    namespace.unlink(ROOT, "/f", "mount-1")
    path = by_id(status.inode_id)
    assert namespace.open(ROOT, path).data == b"before"
    namespace.write_inline(ROOT, path, [(0, b"after!")])
    assert namespace.open(ROOT, path).data == b"after!"
    namespace.chmod(ROOT, path, 0o600)
    assert namespace.stat(ROOT, path).nlink == 0
    with pytest.raises(NotPermitted):
        namespace.link(ROOT, path, "/back")
    namespace.forget(ROOT, [status.inode_id, 424242], "mount-2")
    assert namespace.stat(ROOT, path).length == 6
    namespace.forget(ROOT, [status.inode_id], "mount-1")
    with pytest.raises(StaleHandle):
        namespace.stat(ROOT, path)


def test_keeping_a_name_of_several_keeps_nothing(namespace: Namespace) -> None:
    status = namespace.write_file(ROOT, "/f", b"1")
    namespace.link(ROOT, "/f", "/g")
    assert namespace.unlink(ROOT, "/f", "mount-1").nlink == 1
    assert namespace.stat(ROOT, by_id(status.inode_id)).name == "g"


def test_rmdir(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d/e")
    namespace.write_file(ROOT, "/f", b"")
    with pytest.raises(NotEmpty):
        namespace.rmdir(ROOT, "/d")
    with pytest.raises(NotADirectory):
        namespace.rmdir(ROOT, "/f")
    with pytest.raises(InvalidArgument):
        namespace.rmdir(ROOT, "/")
    with pytest.raises(NotFound):
        namespace.rmdir(ROOT, "/none")
    with pytest.raises(PermissionDenied):
        namespace.rmdir(EVE, "/d/e")
    namespace.rmdir(ROOT, "/d/e")
    namespace.rmdir(ROOT, "/d")
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/d")


def test_sticky(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d")
    namespace.write_file(ALICE, "/tmp/f", b"")
    with pytest.raises(NotPermitted):
        namespace.rmdir(EVE, "/tmp/d")
    with pytest.raises(NotPermitted):
        namespace.unlink(EVE, "/tmp/f")


def test_forget_leaves_what_has_a_name(namespace: Namespace) -> None:
    status = namespace.create(ROOT, "/f", 0o644, False, False, "mount-1")
    namespace.forget(ROOT, [status.inode_id], "mount-1")
    with pytest.raises(LeaseConflict):
        namespace.create(ROOT, "/f", 0o644, True, False, "mount-2")
    namespace.complete(ROOT, "/f", "mount-1", [])


def test_what_one_writes_another_may_keep(namespace: Namespace) -> None:
    """The check at the end of the test has to find nothing wrong with both holders."""
    status = namespace.create(ROOT, "/f", 0o644, False, False, "writer")
    namespace.unlink(ROOT, "/f", "mount-1")
    namespace.write_inline(ROOT, by_id(status.inode_id), [(0, b"1")], -1, "writer", False)
    assert namespace.open(ROOT, by_id(status.inode_id)).data == b"1"


def test_unlink_of_what_is_expected_only(namespace: Namespace) -> None:
    before = namespace.write_file(ROOT, "/f", b"before")
    namespace.unlink(ROOT, "/f")
    after = namespace.write_file(ROOT, "/f", b"after")
    with pytest.raises(EntryChanged):
        namespace.unlink(ROOT, "/f", "", before.inode_id)
    assert namespace.stat(ROOT, "/f") == after
    assert namespace.unlink(ROOT, "/f", "", after.inode_id).nlink == 0
    with pytest.raises(NotFound):
        namespace.unlink(ROOT, "/f", "", after.inode_id)
