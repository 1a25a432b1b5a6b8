"""remove_acl_entries: some entries go."""

from __future__ import annotations

import stat

import pytest

from oastfs.core.errors import BadAcl, NotPermitted
from oastfs.core.types import Flag
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.acls.texts import acl, text
from tests.unit.namenode.conftest import ALICE, BOB


@pytest.fixture
def files(namespace: Namespace) -> Namespace:
    namespace.write_file(ALICE, "/tmp/f", b"", 0o640)
    namespace.modify_acl(ALICE, "/tmp/f", acl(f"user:{BOB.uid}:rw-,group:4000:rwx"))
    return namespace


def test_the_mask_shrinks(files: Namespace) -> None:
    status = files.remove_acl_entries(ALICE, "/tmp/f", acl("group:4000:"))
    assert stat.S_IMODE(status.mode) == 0o660
    assert text(files.get_acl(ALICE, "/tmp/f").entries) == (
        f"user::rw-,user:{BOB.uid}:rw-,group::r--,mask::rw-,other::---"
    )


def test_with_the_mask_the_acl_is_gone(files: Namespace) -> None:
    status = files.remove_acl_entries(ALICE, "/tmp/f", acl(f"group:4000:,user:{BOB.uid}:,mask::"))
    assert (stat.S_IMODE(status.mode), status.flags & Flag.ACL) == (0o640, 0)


def test_refusals(files: Namespace) -> None:
    with pytest.raises(NotPermitted):
        files.remove_acl_entries(BOB, "/tmp/f", acl("group:4000:"))
    with pytest.raises(BadAcl, match="are required"):
        files.remove_acl_entries(ALICE, "/tmp/f", acl("other::"))
    with pytest.raises(BadAcl, match="mask is required"):
        files.remove_acl_entries(ALICE, "/tmp/f", acl("mask::"))
