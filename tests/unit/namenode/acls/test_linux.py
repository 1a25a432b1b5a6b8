"""ACLs in Linux's binary form."""

from __future__ import annotations

import struct

import pytest

from oastfs.core.errors import BadAcl
from oastfs.core.types import AclScope
from oastfs.namenode.acls import linux
from tests.unit.namenode.acls.texts import acl

ENTRIES = "user::rw-,user:7:r--,group::r-x,group:9:---,mask::rwx,other::--x"
PACKED = struct.pack(
    "<I" + "HHI" * 6,
    *(2, 1, 6, 0xFFFFFFFF, 2, 4, 7, 4, 5, 0xFFFFFFFF, 8, 0, 9, 16, 7, 0xFFFFFFFF, 32, 1, 0xFFFFFFFF),
)


def test_the_form() -> None:
    assert linux.pack(acl(ENTRIES), AclScope.ACCESS) == PACKED
    assert linux.unpack(PACKED, AclScope.ACCESS) == acl(ENTRIES)


def test_scopes_are_told_apart() -> None:
    both = acl(ENTRIES, "default:user::rwx,default:group::r-x,default:other::---")
    packed = linux.pack(both, AclScope.DEFAULT)
    assert linux.unpack(packed, AclScope.DEFAULT) == both[6:]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\1\0\0\0",
        b"\3\0\0\0" + PACKED[4:],
        PACKED[:-1],
        PACKED + struct.pack("<HHI", 3, 7, 1),
        PACKED + struct.pack("<HHI", 2, 8, 1),
        PACKED + struct.pack("<HHI", 8, 7, 0xFFFFFFFF),
    ],
)
def test_values_that_are_no_acl(value: bytes) -> None:
    with pytest.raises(BadAcl):
        linux.unpack(value, AclScope.ACCESS)
