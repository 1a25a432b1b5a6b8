"""ACLs in rows: what the mode holds, what ``acl`` holds, and what is inherited."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.errors import BadAcl
from oastfs.core.types import AclEntry, AclKind, AclScope
from oastfs.namenode.acls import changes, rows
from oastfs.store.schema import Inode
from tests.unit.namenode.acls.texts import acl, text

DEFAULT = "default:user::rwx,default:user:7:rw-,default:group::r-x,default:mask::rwx,default:other::r--"

named = st.dictionaries(
    st.tuples(st.sampled_from([AclKind.USER, AclKind.GROUP]), st.integers(0, 0xFFFFFFFE)),
    st.integers(0, 7),
    max_size=6,
)


@st.composite
def scopes(draw: st.DrawFn, scope: AclScope) -> list[AclEntry]:
    """Valid entries of one scope."""
    bits = st.integers(0, 7)
    entries = [AclEntry(scope, kind, -1, draw(bits)) for kind in rows.BASE]
    people = draw(named)
    entries += [AclEntry(scope, kind, number, bits) for (kind, number), bits in people.items()]
    if len(people) > 0 or draw(st.booleans()):
        entries.append(AclEntry(scope, AclKind.MASK, -1, draw(bits)))
    return entries


@st.composite
def whole_acls(draw: st.DrawFn) -> list[AclEntry]:
    entries = draw(scopes(AclScope.ACCESS))
    if draw(st.booleans()):
        entries += draw(scopes(AclScope.DEFAULT))
    return sorted(entries, key=rows.sort_key)


def inode(mode: int, raw: bytes | None) -> Inode:
    return Inode(1, mode, 10, 20, 0, 0, 0, 0, acl=raw)


@given(whole_acls(), st.sampled_from([0o100000, 0o041777, 0o102755]))
def test_what_was_split_is_whole_again(entries: list[AclEntry], mode: int) -> None:
    changes.check_valid(entries)
    new_mode, raw = rows.split(mode, entries)
    assert new_mode & ~0o777 == mode & ~0o777
    assert rows.whole(inode(new_mode, raw)) == entries
    if raw is not None:
        assert rows.encode(rows.decode(raw)) == raw
        assert len(raw) <= 5 * len(entries)


def test_an_acl_that_a_mode_can_hold_costs_nothing() -> None:
    assert rows.split(stat.S_IFREG, acl("user::rw-,group::r--,other::---")) == (stat.S_IFREG | 0o640, None)


def test_a_mask_alone_is_more_than_a_mode_holds() -> None:
    mode, raw = rows.split(stat.S_IFREG, acl("user::rw-,group::rwx,mask::r--,other::---"))
    assert (stat.S_IMODE(mode), raw) == (0o640, bytes([1 << 3 | 7]))


@pytest.mark.parametrize(
    "raw", [b"\x40", b"\x47\1\0\0", b"\x80", b"\x07\x07", b"\x0f\x07", b"\xc7\1\0\0\0", b"\x47\1\0\0\0\x40"]
)
def test_bytes_that_are_no_acl(raw: bytes) -> None:
    if raw == b"\x07\x07":
        with pytest.raises(BadAcl):
            changes.check_valid(rows.decode(raw))
        return
    with pytest.raises(BadAcl):
        rows.decode(raw)


def inherit(default: str, mode: int, is_directory: bool) -> tuple[str, int] | None:
    """(whole ACL, mode) of what is made with ``mode`` in a directory with these default entries."""
    entries = sorted([*acl("user::rwx,group::rwx,other::rwx"), *acl(default)], key=rows.sort_key)
    _, raw = rows.split(stat.S_IFDIR, entries)
    assert raw is not None
    inherited = rows.inherited(raw, mode, is_directory)
    if inherited is None:
        return None
    permissions, own = inherited
    return text(rows.whole(inode(permissions, own))), permissions


def test_a_file_inherits_access() -> None:
    expected = "user::rw-,user:7:rw-,group::r-x,mask::rw-,other::r--"
    assert inherit(DEFAULT, 0o666, False) == (expected, 0o664)


def test_the_mode_bounds_owner_mask_and_others() -> None:
    expected = "user::r--,user:7:rw-,group::r-x,mask::---,other::---"
    assert inherit(DEFAULT, 0o400, False) == (expected, 0o400)


def test_a_directory_inherits_the_default_as_well() -> None:
    found = inherit(DEFAULT, 0o777, True)
    assert found == (f"user::rwx,user:7:rw-,group::r-x,mask::rwx,other::r--,{DEFAULT}", 0o774)


def test_without_a_mask_the_mode_bounds_the_group() -> None:
    default = "default:user::rwx,default:group::rw-,default:other::r--"
    assert inherit(default, 0o1751, False) == ("user::rwx,group::r--,other::---", 0o1740)
    assert inherit(default, 0o777, True) == (f"user::rwx,group::rw-,other::r--,{default}", 0o764)


def test_access_entries_are_not_inherited() -> None:
    _, raw = rows.split(stat.S_IFDIR, acl("user::rwx,user:7:rwx,group::rwx,mask::rwx,other::rwx"))
    assert raw is not None and rows.inherited(raw, 0o777, True) is None
