"""remove_acl: back to a mode."""

from __future__ import annotations

import stat

import pytest

from oastfs.core.errors import NotPermitted
from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE, BOB


def test_the_group_gets_back_what_its_entry_says(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/tmp/d", 0o1750)
    namespace.modify_acl(ALICE, "/tmp/d", acl("user:7:rwx,default:user:8:rwx"))
    assert stat.S_IMODE(namespace.stat(ALICE, "/tmp/d").mode) == 0o1770
    with pytest.raises(NotPermitted):
        namespace.remove_acl(BOB, "/tmp/d")
    status = namespace.remove_acl(ALICE, "/tmp/d")
    assert (stat.S_IMODE(status.mode), status.flags & Flag.ACL) == (0o1750, 0)
    assert text(namespace.get_acl(ALICE, "/tmp/d").entries) == "user::rwx,group::r-x,other::---"


def test_without_one_nothing_is_lost(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"", 0o641)
    assert stat.S_IMODE(namespace.remove_acl(ALICE, "/tmp/f").mode) == 0o641
