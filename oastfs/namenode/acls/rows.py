"""ACLs in the rows of inodes, split between mode and ``Inode.acl`` as in HDFS and Linux.

The mode's bits hold the entries of the owner and of others; its group bits hold the mask if there is one,
else the owning group's entry. ``Inode.acl`` holds the rest: the owning group's entry and the named ones if
there is a mask, and all default entries. An entry is a byte, ``0 named scope kind(2) permission(3)`` from the
highest bit down, and four bytes (little-endian) of id if it is a named one. They are sorted by ``sort_key``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from oastfs.core.errors import BadAcl
from oastfs.core.types import AclEntry, AclKind, AclScope
from oastfs.store.schema import Inode

ACCESS, DEFAULT = AclScope.ACCESS, AclScope.DEFAULT
USER, GROUP, MASK, OTHER = AclKind.USER, AclKind.GROUP, AclKind.MASK, AclKind.OTHER
UNNAMED: Final = -1
BASE: Final = (USER, GROUP, OTHER)
"""The kinds of which each scope has an unnamed entry, if it has any."""

_NAMED: Final = 0x40
_ID: Final = struct.Struct("<I")


def sort_key(entry: AclEntry) -> tuple[int, int, int]:
    """The order of entries; equal keys are of entries that exclude each other."""
    return entry.scope, entry.kind, entry.id


def of_scope(entries: Iterable[AclEntry], scope: AclScope) -> list[AclEntry]:
    """The entries of one scope."""
    return [entry for entry in entries if entry.scope is scope]


def encode(entries: Iterable[AclEntry]) -> bytes | None:
    """Sorted entries as bytes; None if there are none."""
    parts = []
    for scope, kind, number, permission in map(_fields, entries):
        first = scope << 5 | kind << 3 | permission
        parts.append(bytes((first,)) if number == UNNAMED else bytes((first | _NAMED,)) + _ID.pack(number))
    return b"".join(parts) or None


@lru_cache(maxsize=4096)
def decode(raw: bytes) -> tuple[AclEntry, ...]:
    """The entries in ``Inode.acl``. Raises BadAcl if it is not of this form."""
    entries = []
    at = 0
    while at < len(raw):
        first = raw[at]
        at += 1
        number = UNNAMED
        if first & _NAMED:
            if first & 0x80 or at + _ID.size > len(raw):
                break
            (number,) = _ID.unpack_from(raw, at)
            at += _ID.size
        entries.append(AclEntry(AclScope(first >> 5 & 1), AclKind(first >> 3 & 3), number, first & 7))
    if at != len(raw) or encode(entries) != raw or entries != sorted(entries, key=sort_key):
        raise BadAcl("an inode's ACL is not encoded as it should be: run fsck")
    return tuple(entries)


def whole(inode: Inode) -> list[AclEntry]:
    """All entries, sorted: those in ``acl`` and those in the mode."""
    stored = () if inode.acl is None else decode(inode.acl)
    access, default = of_scope(stored, ACCESS), of_scope(stored, DEFAULT)
    mode = inode.mode
    owner, others = AclEntry(ACCESS, USER, UNNAMED, mode >> 6 & 7), AclEntry(ACCESS, OTHER, UNNAMED, mode & 7)
    group_class = AclEntry(ACCESS, MASK if access else GROUP, UNNAMED, mode >> 3 & 7)
    return sorted((owner, *access, group_class, others, *default), key=sort_key)


def split(mode: int, entries: Sequence[AclEntry]) -> tuple[int, bytes | None]:
    """(mode, acl) of an inode with exactly these valid and sorted entries; the reverse of ``whole``."""
    access, default = of_scope(entries, ACCESS), of_scope(entries, DEFAULT)
    bits = {entry.kind: entry.permission for entry in access if entry.id == UNNAMED}
    group_class = bits.get(MASK, bits[GROUP])
    mode = mode & ~0o777 | bits[USER] << 6 | group_class << 3 | bits[OTHER]
    stored = access[1:-2] if MASK in bits else []
    return mode, encode([*stored, *default])


def inherited(acl: bytes, permissions: int, is_directory: bool) -> tuple[int, bytes | None] | None:
    """(permission bits, acl) of what is made in a directory with ``acl``; None if it has no default entries.

    ``permissions`` are those that the creator asks for, before umask: they bound owner, mask and others.
    """
    default = of_scope(decode(acl), DEFAULT)
    if not default:
        return None
    has_mask = any(entry.kind is MASK for entry in default)
    access = []
    for entry in default:
        permission = entry.permission
        if entry.id == UNNAMED:
            if entry.kind is USER:
                permission &= permissions >> 6
            elif entry.kind is OTHER:
                permission &= permissions
            elif entry.kind is MASK or not has_mask:
                permission &= permissions >> 3
        access.append(AclEntry(ACCESS, entry.kind, entry.id, permission))
    return split(permissions, access + default if is_directory else access)


def _fields(entry: AclEntry) -> tuple[int, int, int, int]:
    return entry.scope, entry.kind, entry.id, entry.permission
