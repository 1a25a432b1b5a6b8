"""ACL entries as text, ``[default:]TYPE:[NAME][:PERMISSIONS]``, as ``hadoop fs -setfacl`` takes them."""

from __future__ import annotations

from typing import Final

from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import ILLEGAL_ARGUMENT, JavaError

_DEFAULT: Final = "default"
_TYPES: Final = dict(types.AclEntry.AclEntryType.items())
_LETTERS: Final = ((4, "r"), (2, "w"), (1, "x"))


def parse_spec(spec: str, *, permissions: bool) -> list[types.AclEntry]:
    """The entries of a spec. With ``permissions`` each has them; without, to remove entries, none has."""
    entries = [_parse_entry(text, permissions) for text in spec.split(",") if text]
    if not entries:
        raise JavaError(ILLEGAL_ARGUMENT, "Invalid <aclSpec> : an ACL spec may not be empty")
    return entries


def entry_text(entry: types.AclEntry) -> str:
    """An entry as it is written in a spec."""
    scope = f"{_DEFAULT}:" if entry.scope == types.AclEntry.DEFAULT else ""
    kind = types.AclEntry.AclEntryType.Name(entry.type).lower()
    return f"{scope}{kind}:{entry.name}:{action_text(entry.permissions)}"


def action_text(action: int) -> str:
    """rwx, with dashes for what is missing."""
    return "".join(letter if action & bit else "-" for bit, letter in _LETTERS)


def parse_action(text: str) -> int | None:
    """The bits of three letters or dashes; None if it is something else."""
    if len(text) != len(_LETTERS):
        return None
    bits = 0
    for given, (bit, letter) in zip(text.lower(), _LETTERS, strict=True):
        if given == letter:
            bits |= bit
        elif given != "-":
            return None
    return bits


def _parse_entry(text: str, permissions: bool) -> types.AclEntry:
    parts = text.strip().split(":")
    scope = types.AclEntry.ACCESS
    if parts[0].lower() == _DEFAULT:
        scope = types.AclEntry.DEFAULT
        parts = parts[1:]
    kind = parts[0].upper() if parts else ""
    if kind not in _TYPES:
        raise JavaError(ILLEGAL_ARGUMENT, f"Invalid type of acl in <aclSpec> :{text}")
    name = parts[1] if len(parts) > 1 else ""
    bits = 0
    if permissions:
        found = parse_action(parts[2]) if len(parts) == 3 else None
        if found is None:
            raise JavaError(ILLEGAL_ARGUMENT, f"Invalid permission in <aclSpec> : {text}")
        bits = found
    elif len(parts) > 2:
        raise JavaError(ILLEGAL_ARGUMENT, f"Invalid <aclSpec> : {text}")
    if name and kind == "MASK":
        raise JavaError(ILLEGAL_ARGUMENT, f"Invalid <aclSpec> : a mask has no name: {text}")
    return types.AclEntry(
        type=_TYPES[kind],
        scope=scope,
        permissions=types.AclEntry.FsAction.ValueType(bits),
        name=name or None,
    )
