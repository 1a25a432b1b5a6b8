"""The permission check against a plain one, written from acl(5), "ACCESS CHECK ALGORITHM"."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from oastfs.core.types import AclEntry, AclKind, AclScope, Caller
from oastfs.namenode.acls import rows
from oastfs.namenode.permissions import allows
from oastfs.store.schema import Inode

PEOPLE = [1, 2, 3, 4]
GROUPS = [11, 12, 13, 14]
permissions = st.integers(0, 7)


@dataclass
class Acl:
    """An access ACL as acl(5) describes it."""

    user_obj: int
    group_obj: int
    other: int
    users: dict[int, int] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)
    mask: int | None = None

    def check(self, owner: int, group: int, caller: Caller, wanted: int) -> bool:
        """The algorithm's five steps, in its words and order."""
        if caller.uid == owner:
            return covers(self.user_obj, wanted)
        if caller.uid in self.users:
            return covers(self.users[caller.uid], wanted) and covers(self.limit, wanted)
        matching = [self.group_obj] if group in caller.gids else []
        matching += [bits for gid, bits in self.groups.items() if gid in caller.gids]
        if matching:
            return any(covers(bits, wanted) for bits in matching) and covers(self.limit, wanted)
        return covers(self.other, wanted)

    @property
    def limit(self) -> int:
        return 7 if self.mask is None else self.mask

    def entries(self) -> list[AclEntry]:
        access = AclScope.ACCESS
        found = [
            AclEntry(access, AclKind.USER, -1, self.user_obj),
            AclEntry(access, AclKind.GROUP, -1, self.group_obj),
            AclEntry(access, AclKind.OTHER, -1, self.other),
        ]
        found += [AclEntry(access, AclKind.USER, uid, bits) for uid, bits in self.users.items()]
        found += [AclEntry(access, AclKind.GROUP, gid, bits) for gid, bits in self.groups.items()]
        if self.mask is not None:
            found.append(AclEntry(access, AclKind.MASK, -1, self.mask))
        return sorted(found, key=rows.sort_key)


def covers(bits: int, wanted: int) -> bool:
    return wanted & ~bits == 0


@st.composite
def acls(draw: st.DrawFn) -> Acl:
    users = draw(st.dictionaries(st.sampled_from(PEOPLE), permissions))
    groups = draw(st.dictionaries(st.sampled_from(GROUPS), permissions))
    needs_mask = bool(users or groups) or draw(st.booleans())
    mask = draw(permissions) if needs_mask else None
    return Acl(draw(permissions), draw(permissions), draw(permissions), users, groups, mask)


@given(
    acls(),
    st.sampled_from(PEOPLE),
    st.sampled_from(GROUPS),
    st.sampled_from(PEOPLE),
    st.lists(st.sampled_from(GROUPS), max_size=3),
    permissions,
    st.booleans(),
)
def test_who_may_do_what(
    acl: Acl, owner: int, group: int, uid: int, gids: list[int], wanted: int, with_default: bool
) -> None:
    entries = acl.entries()
    if with_default:
        entries += [AclEntry(AclScope.DEFAULT, entry.kind, entry.id, 7) for entry in entries]
    mode, raw = rows.split(0o040000, entries)
    inode = Inode(1, mode, owner, group, 0, 0, 0, 0, acl=raw)
    caller = Caller(str(uid), uid, tuple(gids))
    assert allows(caller, inode, wanted) == acl.check(owner, group, caller, wanted)
