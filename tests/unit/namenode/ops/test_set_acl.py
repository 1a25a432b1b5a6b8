"""set_acl: replacing an ACL; and what is made where there is a default one."""

from __future__ import annotations

import stat

import pytest

from oastfs.core.errors import BadAcl, InvalidArgument, NotPermitted
from oastfs.core.types import FileStatus, Flag
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE, BOB, ROOT

BOTH = (
    "user::rwx,user:1002:rwx,group::r-x,mask::rwx,other::---,"
    "default:user::rwx,default:user:1002:rw-,default:group::r-x,default:mask::rwx,default:other::---"
)


@pytest.fixture
def shared(namespace: Namespace) -> Namespace:
    namespace.mkdirs(ALICE, "/tmp/d", 0o750)
    namespace.set_acl(ALICE, "/tmp/d", acl(BOTH))
    return namespace


def shown(namespace: Namespace, path: str) -> str:
    return text(namespace.get_acl(ROOT, path).entries)


def test_replacing(shared: Namespace) -> None:
    assert shown(shared, "/tmp/d") == BOTH
    status = shared.set_acl(ALICE, "/tmp/d", acl("user::rwx,group::r--,other::---"))
    assert stat.S_IMODE(status.mode) == 0o740
    assert shown(shared, "/tmp/d").startswith("user::rwx,group::r--,other::---,default:user::rwx,")
    shared.set_acl(ALICE, "/tmp/d", acl("user::rwx,user:7:r--,group::r--,other::---"))
    assert shown(shared, "/tmp/d").startswith("user::rwx,user:7:r--,group::r--,mask::r--,other::---,default:")


def test_nothing_means_to_remove(shared: Namespace) -> None:
    status = shared.set_acl(ALICE, "/tmp/d", [])
    assert (stat.S_IMODE(status.mode), status.flags & Flag.ACL) == (0o750, 0)


def test_refusals(shared: Namespace) -> None:
    before = shared.get_acl(ROOT, "/tmp/d")
    with pytest.raises(BadAcl, match="user, group and other entries are required"):
        shared.set_acl(ALICE, "/tmp/d", acl("user:7:rwx"))
    with pytest.raises(NotPermitted):
        shared.set_acl(BOB, "/tmp/d", acl("user::rwx,group::rwx,other::rwx"))
    assert shared.get_acl(ROOT, "/tmp/d") == before


FILE = "user::rw-,user:1002:rw-,group::r-x,mask::rw-,other::---"


def test_umask_does_not_count_where_there_is_a_default(shared: Namespace) -> None:
    made = shared.create(BOB, "/tmp/d/f", 0o600, unmasked_mode=0o666)
    assert (stat.S_IMODE(made.mode), bool(made.flags & Flag.ACL)) == (0o660, True)
    assert shown(shared, "/tmp/d/f") == FILE
    made = shared.mknod(BOB, "/tmp/d/pipe", stat.S_IFIFO | 0o600, 0, 0o666)
    assert shown(shared, "/tmp/d/pipe") == FILE
    shared.create(ALICE, "/tmp/elsewhere", 0o640, unmasked_mode=0o666)
    assert shown(shared, "/tmp/elsewhere") == "user::rw-,group::r--,other::---"


def test_without_an_unmasked_mode_the_mode_bounds(shared: Namespace) -> None:
    shared.write_file(BOB, "/tmp/d/f", b"", 0o644)
    assert shown(shared, "/tmp/d/f") == "user::rw-,user:1002:rw-,group::r-x,mask::r--,other::---"


def test_directories_pass_it_on(shared: Namespace) -> None:
    made: FileStatus = shared.mkdirs(ALICE, "/tmp/d/e/f/g", 0o755, unmasked_mode=0o777)
    expected = "user::rwx,user:1002:rw-,group::r-x,mask::rwx,other::---," + BOTH[BOTH.index("default:") :]
    for path in ("/tmp/d/e", "/tmp/d/e/f", "/tmp/d/e/f/g"):
        assert shown(shared, path) == expected
    assert stat.S_IMODE(made.mode) == 0o770
    shared.create(ALICE, "/tmp/d/x/y/file", 0o644, parents=True, unmasked_mode=0o666)
    assert shown(shared, "/tmp/d/x/y") == expected
    assert shown(shared, "/tmp/d/x/y/file") == FILE


def test_symbolic_links_inherit_nothing(shared: Namespace) -> None:
    made = shared.symlink(ALICE, "/tmp/d/l", "f")
    assert (made.mode, made.flags) == (stat.S_IFLNK | 0o777, 0)


def test_a_minimal_default_makes_plain_files(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d", 0o755)
    namespace.modify_acl(ALICE, "/tmp/d", acl("default:group::rwx"))
    made = namespace.create(ALICE, "/tmp/d/f", 0o600, unmasked_mode=0o666)
    assert (stat.S_IMODE(made.mode), made.flags) == (0o664, 0)
    assert namespace.stat(ALICE, "/tmp/d").mode & 0o777 == 0o755


def test_modes_that_are_none(namespace: Namespace) -> None:
    for mode in (-2, 0o10000):
        with pytest.raises(InvalidArgument):
            namespace.create(ROOT, "/f", unmasked_mode=mode)
        with pytest.raises(InvalidArgument):
            namespace.mkdirs(ROOT, "/d", unmasked_mode=mode)
