"""Extended attributes: namespaces, limits, permissions."""

from __future__ import annotations

import pytest

from oastfs.core.errors import (
    AlreadyExists,
    BadAcl,
    InvalidArgument,
    NameTooLong,
    NotPermitted,
    PermissionDenied,
    Unsupported,
    XattrNotFound,
    XattrTooLarge,
)
from oastfs.core.types import AclScope, Flag
from oastfs.namenode.acls import linux
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import set_xattr as set_xattr_module
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE, EVE, ROOT


@pytest.fixture
def files(namespace: Namespace) -> Namespace:
    namespace.write_file(ALICE, "/tmp/f", b"")
    return namespace


def test_round_trip(files: Namespace) -> None:
    files.set_xattr(ALICE, "/tmp/f", "user.a", b"\0\xff")
    files.set_xattr(ALICE, "/tmp/f", "user.b", b"")
    assert files.get_xattrs(ALICE, "/tmp/f") == {"user.a": b"\0\xff", "user.b": b""}
    assert files.get_xattrs(EVE, "/tmp/f", ["user.a"]) == {"user.a": b"\0\xff"}
    assert files.stat(ROOT, "/tmp/f").flags & Flag.XATTRS
    files.remove_xattr(ALICE, "/tmp/f", "user.a")
    assert files.get_xattrs(ALICE, "/tmp/f") == {"user.b": b""}
    files.remove_xattr(ALICE, "/tmp/f", "user.b")
    assert not files.stat(ROOT, "/tmp/f").flags & Flag.XATTRS


def test_create_and_replace(files: Namespace) -> None:
    with pytest.raises(XattrNotFound):
        files.set_xattr(ALICE, "/tmp/f", "user.a", b"1", create=False)
    files.set_xattr(ALICE, "/tmp/f", "user.a", b"1", replace=False)
    with pytest.raises(AlreadyExists):
        files.set_xattr(ALICE, "/tmp/f", "user.a", b"2", replace=False)
    files.set_xattr(ALICE, "/tmp/f", "user.a", b"3", create=False)
    assert files.get_xattrs(ALICE, "/tmp/f") == {"user.a": b"3"}
    with pytest.raises(InvalidArgument):
        files.set_xattr(ALICE, "/tmp/f", "user.a", b"", create=False, replace=False)


def test_missing(files: Namespace) -> None:
    with pytest.raises(XattrNotFound):
        files.get_xattrs(ALICE, "/tmp/f", ["user.none"])
    with pytest.raises(XattrNotFound):
        files.remove_xattr(ALICE, "/tmp/f", "user.none")


def test_permissions(files: Namespace) -> None:
    files.chmod(ALICE, "/tmp/f", 0o600)
    with pytest.raises(PermissionDenied):
        files.set_xattr(EVE, "/tmp/f", "user.a", b"")
    with pytest.raises(PermissionDenied):
        files.get_xattrs(EVE, "/tmp/f", ["user.a"])
    for name in ("trusted.a", "security.capability"):
        with pytest.raises(NotPermitted):
            files.set_xattr(ALICE, "/tmp/f", name, b"")
        files.set_xattr(ROOT, "/tmp/f", name, b"1")
    assert files.get_xattrs(ALICE, "/tmp/f") == {"security.capability": b"1"}
    assert len(files.get_xattrs(ROOT, "/tmp/f")) == 2
    with pytest.raises(NotPermitted):
        files.get_xattrs(ALICE, "/tmp/f", ["trusted.a"])


def test_user_attributes_are_of_files_and_directories(files: Namespace) -> None:
    files.symlink(ALICE, "/tmp/l", "f")
    with pytest.raises(NotPermitted):
        files.set_xattr(ALICE, "/tmp/l", "user.a", b"", follow=False)
    files.set_xattr(ALICE, "/tmp/l", "user.a", b"")
    assert files.get_xattrs(ALICE, "/tmp/f") == {"user.a": b""}
    files.set_xattr(ROOT, "/", "user.a", b"1")
    assert files.get_xattrs(ROOT, "/") == {"user.a": b"1"}


@pytest.mark.parametrize(
    ("name", "error"),
    [("plain", Unsupported), ("user.", InvalidArgument), ("user." + "x" * 251, NameTooLong)],
)
def test_bad_names(files: Namespace, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        files.set_xattr(ROOT, "/tmp/f", name, b"")
    assert files.get_xattrs(ROOT, "/tmp/f") == {}


def test_limits(files: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    files.set_xattr(ROOT, "/tmp/f", "user." + "x" * 250, bytes(65536))
    with pytest.raises(XattrTooLarge):
        files.set_xattr(ROOT, "/tmp/f", "user.big", bytes(65537))
    monkeypatch.setattr(set_xattr_module, "XATTRS_PER_INODE_MAX", 2)
    files.set_xattr(ROOT, "/tmp/f", "user.second", b"")
    with pytest.raises(XattrTooLarge):
        files.set_xattr(ROOT, "/tmp/f", "user.third", b"")


def test_go_with_the_file(files: Namespace) -> None:
    files.set_xattr(ALICE, "/tmp/f", "user.a", b"1")
    files.link(ROOT, "/tmp/f", "/tmp/g")
    files.rename(ROOT, "/tmp/g", "/tmp/h")
    assert files.get_xattrs(ALICE, "/tmp/h") == {"user.a": b"1"}
    files.delete(ROOT, "/tmp/h")
    files.delete(ROOT, "/tmp/f")
    files.write_file(ALICE, "/tmp/f", b"")
    assert files.get_xattrs(ALICE, "/tmp/f") == {}


def test_an_acl_in_linuxs_form(files: Namespace) -> None:
    access, default = "system.posix_acl_access", "system.posix_acl_default"
    with pytest.raises(XattrNotFound):
        files.get_xattrs(ALICE, "/tmp/f", [access])
    value = linux.pack(acl("user::rw-,user:7:r--,group::---,mask::r--,other::---"), AclScope.ACCESS)
    files.set_xattr(ALICE, "/tmp/f", access, value)
    assert files.get_xattrs(EVE, "/tmp/f") == {access: value}
    assert files.stat(EVE, "/tmp/f").flags & (Flag.ACL | Flag.XATTRS) == Flag.ACL
    assert (
        text(files.get_acl(EVE, "/tmp/f").entries) == "user::rw-,user:7:r--,group::---,mask::r--,other::---"
    )
    with pytest.raises(NotPermitted):
        files.set_xattr(EVE, "/tmp/f", access, value)
    with pytest.raises(NotPermitted):
        files.remove_xattr(EVE, "/tmp/f", access)
    with pytest.raises(AlreadyExists):
        files.set_xattr(ALICE, "/tmp/f", access, value, replace=False)
    with pytest.raises(BadAcl):
        files.set_xattr(ALICE, "/tmp/f", default, value)
    with pytest.raises(XattrNotFound):
        files.set_xattr(ALICE, "/tmp/f", default, value, create=False)
    with pytest.raises(BadAcl):
        files.set_xattr(ALICE, "/tmp/f", access, b"no acl")
    files.remove_xattr(ALICE, "/tmp/f", access)
    files.remove_xattr(ALICE, "/tmp/f", access)
    assert text(files.get_acl(EVE, "/tmp/f").entries) == "user::rw-,group::r--,other::---"


def test_a_default_acl_in_linuxs_form(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d", 0o755)
    default = "system.posix_acl_default"
    entries = acl("default:user::rwx,default:group::r-x,default:other::---")
    namespace.set_xattr(ALICE, "/tmp/d", default, linux.pack(entries, AclScope.DEFAULT))
    assert list(namespace.get_xattrs(ALICE, "/tmp/d")) == [default]
    assert namespace.write_file(ALICE, "/tmp/d/f", b"", 0o666).mode & 0o777 == 0o640
    namespace.set_xattr(ALICE, "/tmp/d", default, linux.pack([], AclScope.DEFAULT))
    assert namespace.get_xattrs(ALICE, "/tmp/d") == {}
