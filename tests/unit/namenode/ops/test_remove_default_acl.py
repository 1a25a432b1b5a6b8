"""remove_default_acl: what is made from now on inherits nothing."""

from __future__ import annotations

import stat

from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE


def test_access_entries_stay(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d", 0o750)
    namespace.modify_acl(ALICE, "/tmp/d", acl("user:7:rwx,default:user:8:rwx"))
    assert namespace.remove_default_acl(ALICE, "/tmp/d").flags & Flag.ACL
    assert text(namespace.get_acl(ALICE, "/tmp/d").entries) == (
        "user::rwx,user:7:rwx,group::r-x,mask::rwx,other::---"
    )
    assert not namespace.mkdirs(ALICE, "/tmp/d/e", 0o700).flags & Flag.ACL


def test_a_directory_with_nothing_else_has_no_acl_then(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d", 0o750)
    namespace.modify_acl(ALICE, "/tmp/d", acl("default:user:8:rwx"))
    status = namespace.remove_default_acl(ALICE, "/tmp/d")
    assert (stat.S_IMODE(status.mode), status.flags & Flag.ACL) == (0o750, 0)


def test_a_file_has_none_to_lose(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"", 0o640)
    namespace.modify_acl(ALICE, "/tmp/f", acl("user:7:r--"))
    assert namespace.remove_default_acl(ALICE, "/tmp/f").flags & Flag.ACL
