"""ACLs as people write them (``user:1002:r-x``, ``default:mask::rwx``), for tests."""

from __future__ import annotations

from collections.abc import Iterable

from oastfs.core.types import AclEntry, AclKind, AclScope


def acl(*texts: str) -> list[AclEntry]:
    """Entries of texts such as ``user::rwx``, ``group:2000:r--`` or ``default:other::---``."""
    return [_entry(part) for text in texts for part in text.split(",")]


def text(entries: Iterable[AclEntry]) -> str:
    """The entries in their order, as ``acl`` takes them."""
    return ",".join(
        f"{'default:' if one.scope is AclScope.DEFAULT else ''}{one.kind.name.lower()}:"
        f"{'' if one.id == -1 else one.id}:{_letters(one.permission)}"
        for one in entries
    )


def _entry(text: str) -> AclEntry:
    fields = text.split(":")
    scope = AclScope.ACCESS
    if fields[0] == "default":
        scope = AclScope.DEFAULT
        fields = fields[1:]
    kind, name, *rest = fields
    bits = sum(4 >> "rwx".index(letter) for letter in "".join(rest) if letter != "-")
    return AclEntry(scope, AclKind[kind.upper()], int(name) if name else -1, bits)


def _letters(permission: int) -> str:
    return "".join(letter if permission & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
