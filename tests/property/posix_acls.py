"""Plain access control lists for models, written from acl(5), and their forms in the real system."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from oastfs.core.types import AclEntry, AclKind, AclScope, Caller

NOBODY = 0xFFFFFFFF


@dataclass(frozen=True)
class Acl:
    """Entries of one scope, as acl(5) describes them."""

    user_obj: int
    group_obj: int
    other: int
    users: dict[int, int] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)
    mask: int | None = None

    def check(self, owner: int, group: int, caller: Caller, wanted: int) -> bool:
        """ACCESS CHECK ALGORITHM: its five steps, in their order."""
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

    @property
    def is_extended(self) -> bool:
        """Whether it is more than a mode can hold."""
        return self.mask is not None

    @property
    def permissions(self) -> int:
        """CORRESPONDENCE BETWEEN ACL ENTRIES AND FILE PERMISSION BITS."""
        group_class = self.group_obj if self.mask is None else self.mask
        return self.user_obj << 6 | group_class << 3 | self.other

    def with_mode(self, mode: int) -> Acl:
        """What chmod makes of it."""
        group_class = mode >> 3 & 7
        group_obj = group_class if self.mask is None else self.group_obj
        mask = None if self.mask is None else group_class
        return Acl(mode >> 6 & 7, group_obj, mode & 7, self.users, self.groups, mask)

    def inherited(self, asked: int) -> Acl:
        """OBJECT CREATION AND DEFAULT ACLs: what the creator does not ask for is taken away."""
        return self.with_mode(self.permissions & asked)

    def with_user(self, uid: int, bits: int) -> Acl:
        """A named user more, with the mask that setfacl computes then."""
        users = {**self.users, uid: bits}
        mask = self.group_obj
        for granted in (*users.values(), *self.groups.values()):
            mask |= granted
        return Acl(self.user_obj, self.group_obj, self.other, users, self.groups, mask)

    def entries(self, scope: AclScope) -> list[AclEntry]:
        """As the verbs take and show them."""
        found = [AclEntry(scope, AclKind.USER, -1, self.user_obj)]
        found += [AclEntry(scope, AclKind.USER, uid, bits) for uid, bits in sorted(self.users.items())]
        found.append(AclEntry(scope, AclKind.GROUP, -1, self.group_obj))
        found += [AclEntry(scope, AclKind.GROUP, gid, bits) for gid, bits in sorted(self.groups.items())]
        if self.mask is not None:
            found.append(AclEntry(scope, AclKind.MASK, -1, self.mask))
        return [*found, AclEntry(scope, AclKind.OTHER, -1, self.other)]

    def attribute(self) -> bytes:
        """The value of Linux's extended attribute."""
        rows = [(1, self.user_obj, NOBODY), *((2, bits, uid) for uid, bits in sorted(self.users.items()))]
        rows += [(4, self.group_obj, NOBODY), *((8, bits, gid) for gid, bits in sorted(self.groups.items()))]
        rows += [] if self.mask is None else [(16, self.mask, NOBODY)]
        rows.append((32, self.other, NOBODY))
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


def of_mode(mode: int) -> Acl:
    """The ACL of an inode that has none beyond its mode."""
    return Acl(mode >> 6 & 7, mode >> 3 & 7, mode & 7)


def covers(bits: int, wanted: int) -> bool:
    return wanted & ~bits == 0
