"""ACLs in Linux's extended attributes: the binary form of ``linux/posix_acl_xattr.h``, version 2."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from oastfs.core.errors import BadAcl
from oastfs.core.types import AclEntry, AclKind, AclScope
from oastfs.namenode.acls.rows import ACCESS, DEFAULT, GROUP, MASK, OTHER, UNNAMED, USER, of_scope

SCOPES: Final[dict[str, AclScope]] = {
    "system.posix_acl_access": ACCESS,
    "system.posix_acl_default": DEFAULT,
}
"""The attributes, and which entries each holds."""

_VERSION: Final = 2
_HEADER: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")
_NO_ID: Final = 0xFFFFFFFF
_TAGS: Final[dict[tuple[AclKind, bool], int]] = {
    (USER, False): 0x01,
    (USER, True): 0x02,
    (GROUP, False): 0x04,
    (GROUP, True): 0x08,
    (MASK, False): 0x10,
    (OTHER, False): 0x20,
}
"""By kind, and whether someone is named."""
_KINDS: Final = {tag: key for key, tag in _TAGS.items()}


def pack(entries: Iterable[AclEntry], scope: AclScope) -> bytes:
    """The value of the attribute of one scope."""
    packed = [_HEADER.pack(_VERSION)]
    for entry in of_scope(entries, scope):
        named = entry.id != UNNAMED
        tag = _TAGS[entry.kind, named]
        packed.append(_ENTRY.pack(tag, entry.permission, entry.id if named else _NO_ID))
    return b"".join(packed)


def unpack(value: bytes, scope: AclScope) -> list[AclEntry]:
    """The entries that a value stands for. Raises BadAcl if it is not of this form."""
    body = value[_HEADER.size :]
    if value[: _HEADER.size] != _HEADER.pack(_VERSION) or len(body) % _ENTRY.size:
        raise BadAcl("the value is not an ACL in Linux's form, version 2")
    entries = []
    for tag, permission, number in _ENTRY.iter_unpack(body):
        kind, named = _KINDS.get(tag, (None, False))
        if kind is None or permission & ~7 or (named and number == _NO_ID):
            raise BadAcl(
                f"the value holds no entry of an ACL: tag {tag}, permission {permission}, id {number}"
            )
        entries.append(AclEntry(scope, kind, number if named else UNNAMED, permission))
    return entries
