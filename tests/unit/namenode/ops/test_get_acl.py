"""get_acl: what is shown, and to whom."""

from __future__ import annotations

import stat

import pytest

from oastfs.core.errors import NotFound, PermissionDenied
from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE, BOB, EVE, ROOT


def test_a_mode_is_an_acl_of_three_entries(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"", 0o640)
    found = namespace.get_acl(EVE, "/tmp/f")
    assert text(found.entries) == "user::rw-,group::r--,other::---"
    assert (found.uid, found.gid, found.mode) == (ALICE.uid, ALICE.gid, stat.S_IFREG | 0o640)
    assert not namespace.stat(ROOT, "/tmp/f").flags & Flag.ACL


def test_links_are_followed(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"", 0o600)
    namespace.symlink(ALICE, "/tmp/l", "f")
    namespace.modify_acl(ALICE, "/tmp/l", acl(f"user:{BOB.uid}:r--"))
    assert namespace.get_acl(ALICE, "/tmp/l") == namespace.get_acl(ALICE, "/tmp/f")
    assert text(namespace.get_acl(ALICE, "/tmp/l").entries) == (
        f"user::rw-,user:{BOB.uid}:r--,group::---,mask::r--,other::---"
    )


def test_the_way_must_be_open(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/closed", 0o700)
    namespace.write_file(ALICE, "/tmp/closed/f", b"")
    with pytest.raises(PermissionDenied):
        namespace.get_acl(BOB, "/tmp/closed/f")
    with pytest.raises(NotFound):
        namespace.get_acl(BOB, "/tmp/none")
