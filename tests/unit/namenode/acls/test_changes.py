"""How ACLs change: what HDFS's documentation and setfacl(1) say of merging, replacing, removing and masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from oastfs.core.errors import BadAcl, InvalidArgument
from oastfs.core.types import AclEntry, AclKind, AclScope
from oastfs.namenode.acls import changes, rows
from tests.unit.namenode.acls.texts import acl, text

PLAIN = "user::rwx,group::r-x,other::---"
NAMED = "user::rwx,user:7:rw-,group::r-x,mask::rwx,other::---"
WITH_DEFAULT = (
    f"{PLAIN},default:user::rwx,default:user:8:r--,default:group::---,default:mask::r--,default:other::---"
)
ALL_READ = "user::r--,group::r--,other::r--"
Change = Callable[[Sequence[AclEntry], Sequence[AclEntry]], list[AclEntry]]


@pytest.mark.parametrize(
    ("existing", "given", "expected"),
    [
        (PLAIN, "user:7:rw-", NAMED),
        (NAMED, "user:7:r--", "user::rwx,user:7:r--,group::r-x,mask::r-x,other::---"),
        (NAMED, "group:9:-w-", "user::rwx,user:7:rw-,group::r-x,group:9:-w-,mask::rwx,other::---"),
        (NAMED, "mask::r--", "user::rwx,user:7:rw-,group::r-x,mask::r--,other::---"),
        (NAMED, "user:7:r--,mask::---", "user::rwx,user:7:r--,group::r-x,mask::---,other::---"),
        (PLAIN, "other::r--", "user::rwx,group::r-x,other::r--"),
        (PLAIN, "mask::r--", "user::rwx,group::r-x,mask::r--,other::---"),
        (
            PLAIN,
            "default:user:8:r--",
            f"{PLAIN},default:user::rwx,default:user:8:r--,default:group::r-x,"
            "default:mask::r-x,default:other::---",
        ),
        (PLAIN, "default:group::rwx", f"{PLAIN},default:user::rwx,default:group::rwx,default:other::---"),
    ],
)
def test_merging(existing: str, given: str, expected: str) -> None:
    assert text(changes.merged(acl(existing), acl(given))) == expected


@pytest.mark.parametrize(
    ("existing", "given", "expected"),
    [
        (NAMED, PLAIN, PLAIN),
        (
            NAMED,
            "other::r--,user::r--,user:9:rwx,group::---",
            "user::r--,user:9:rwx,group::---,mask::rwx,other::r--",
        ),
        (WITH_DEFAULT, ALL_READ, WITH_DEFAULT.replace(PLAIN, ALL_READ)),
        (
            NAMED,
            "default:user:7:rwx",
            f"{NAMED},default:user::rwx,default:user:7:rwx,default:group::r-x,"
            "default:mask::rwx,default:other::---",
        ),
    ],
)
def test_replacing(existing: str, given: str, expected: str) -> None:
    assert text(changes.replaced(acl(existing), acl(given))) == expected


@pytest.mark.parametrize(
    ("existing", "given", "expected"),
    [
        (NAMED, "user:7:", "user::rwx,group::r-x,mask::r-x,other::---"),
        (NAMED, "user:7:,mask::", PLAIN),
        (NAMED, "user:8:rwx", NAMED),
        (
            WITH_DEFAULT,
            "default:user:8:",
            f"{PLAIN},default:user::rwx,default:group::---,default:mask::---,default:other::---",
        ),
        (WITH_DEFAULT, "default:other::", WITH_DEFAULT),
    ],
)
def test_removing(existing: str, given: str, expected: str) -> None:
    assert text(changes.without(acl(existing), acl(given))) == expected


def test_removing_all_but_the_mode() -> None:
    assert text(changes.minimal(acl(NAMED, WITH_DEFAULT.removeprefix(PLAIN + ",")))) == PLAIN
    assert text(changes.without_default(acl(WITH_DEFAULT))) == PLAIN


TWICE = "Invalid ACL: multiple entries with same scope, type and name."
NAMELESS = "Invalid ACL: this entry type must not have a name: "
REQUIRED = "Invalid ACL: the user, group and other entries are required."


@pytest.mark.parametrize(
    ("change", "existing", "given", "message"),
    [
        (changes.without, NAMED, "user::", REQUIRED),
        (changes.without, NAMED, "mask::", "Invalid ACL: mask is required and cannot be deleted."),
        (changes.replaced, NAMED, "user::rwx,user:7:rwx,group::rwx", REQUIRED),
        (changes.replaced, PLAIN, "user:7:rwx", REQUIRED),
        (changes.merged, PLAIN, "user:7:rwx,user:7:r--", TWICE),
        (changes.merged, PLAIN, "other:7:rwx", NAMELESS + "other:7:rwx."),
        (changes.merged, PLAIN, "mask:7:rwx", NAMELESS + "mask:7:rwx."),
    ],
)
def test_refusals(change: Change, existing: str, given: str, message: str) -> None:
    with pytest.raises(BadAcl) as caught:
        change(acl(existing), acl(given))
    assert caught.value.message == message
    assert caught.value.java_class == "org.apache.hadoop.hdfs.protocol.AclException"


@pytest.mark.parametrize("scope", list(AclScope))
def test_an_acl_may_have_32_entries_of_each_scope(scope: AclScope) -> None:
    people = [AclEntry(scope, AclKind.USER, number, 4) for number in range(29)]
    base = [AclEntry(scope, kind, -1, 7) for kind in rows.BASE]
    with pytest.raises(
        BadAcl, match=rf"ACL has 33 {scope.name.lower()} entries, which exceeds maximum of 32"
    ):
        changes.merged(acl(PLAIN), people + base)
    full = changes.merged(acl(PLAIN), people[:-1] + base)
    assert len(rows.of_scope(full, scope)) == 32
    with pytest.raises(BadAcl, match="33 "):
        changes.merged(full, people[-1:])


@pytest.mark.parametrize("entry", [(-2, 4), (0xFFFFFFFF, 4), (5, 8), (5, -1)])
def test_numbers_that_are_none(entry: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgument, match="no ACL entry"):
        changes.merged(acl(PLAIN), [AclEntry(AclScope.ACCESS, AclKind.USER, *entry)])
