"""ACL entries as text, ``[default:]TYPE:[NAME]:[PERMISSIONS]``, as WebHDFS writes them."""

from __future__ import annotations

from typing import Final

from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import JavaError

_DEFAULT: Final = "default:"
_TYPES: Final = dict(types.AclEntry.AclEntryType.items())
_LETTERS: Final = ((4, "r"), (2, "w"), (1, "x"))


def parse_spec(spec: str, *, permissions: bool) -> list[types.AclEntry]:
    """The entries of a spec that was checked. All have permissions, or none, where they are to be removed."""
    return [_parse_entry(text, permissions) for text in spec.split(",")]


def entry_text(entry: types.AclEntry) -> str:
    """An entry as it is written in a spec."""
    scope = _DEFAULT if entry.scope == types.AclEntry.DEFAULT else ""
    kind = types.AclEntry.AclEntryType.Name(entry.type).lower()
    return f"{scope}{kind}:{entry.name}:{action_text(entry.permissions)}"


def action_text(action: int) -> str:
    """rwx, with dashes for what is missing."""
    return "".join(letter if action & bit else "-" for bit, letter in _LETTERS)


def parse_action(text: str) -> types.AclEntry.FsAction.ValueType:
    """The bits of letters."""
    return types.AclEntry.FsAction.ValueType(sum(bit for bit, letter in _LETTERS if letter in text))


def _parse_entry(text: str, permissions: bool) -> types.AclEntry:
    kind, name, action = text.removeprefix(_DEFAULT).split(":")
    if bool(action) != permissions:
        raise JavaError("org.apache.hadoop.HadoopIllegalArgumentException", f"Invalid <aclSpec> : {text}")
    return types.AclEntry(
        type=_TYPES[kind.upper()],
        scope=types.AclEntry.DEFAULT if text.startswith(_DEFAULT) else types.AclEntry.ACCESS,
        permissions=parse_action(action),
        name=name or None,
    )
