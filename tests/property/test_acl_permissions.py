"""The permission check against a plain one, written from acl(5), "ACCESS CHECK ALGORITHM"."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.types import AclScope, Caller
from oastfs.namenode.acls import rows
from oastfs.namenode.permissions import allows
from oastfs.store.schema import Inode
from tests.property.namespace_strategies import acls
from tests.property.posix_acls import Acl

PEOPLE = [1001, 1002, 1003, 1004]
GROUPS = [2000, 2001, 2002]


@given(
    acls(),
    st.sampled_from(PEOPLE),
    st.sampled_from(GROUPS),
    st.sampled_from(PEOPLE),
    st.lists(st.sampled_from(GROUPS), max_size=3),
    st.integers(0, 7),
    st.booleans(),
)
def test_who_may_do_what(
    acl: Acl, owner: int, group: int, uid: int, gids: list[int], wanted: int, with_default: bool
) -> None:
    entries = acl.entries(AclScope.ACCESS)
    if with_default:
        entries += Acl(7, 7, 7).entries(AclScope.DEFAULT)
    mode, raw = rows.split(0o040000, entries)
    assert mode == 0o040000 | acl.permissions
    inode = Inode(1, mode, owner, group, 0, 0, 0, 0, acl=raw)
    caller = Caller(str(uid), uid, tuple(gids))
    assert allows(caller, inode, wanted) == acl.check(owner, group, caller, wanted)
