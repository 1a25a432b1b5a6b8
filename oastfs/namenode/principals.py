"""Users and groups: inodes hold numbers, people and HDFS clients use names.

The table decides, so that all machines agree. A name that it does not hold yet is entered at first
sight: with the id that the namenode's own system gives it, if that id is free, else with one from
a high range that no system uses.
"""

from __future__ import annotations

import grp
import pwd
import zlib
from typing import Final

from oastfs.core.errors import InvalidArgument
from oastfs.store.schema import PRINCIPAL_ID, PRINCIPAL_NAME, PrincipalId, PrincipalName
from oastfs.store.transaction import Transaction

USER: Final = "user"
GROUP: Final = "group"
NAME_BYTES_MAX: Final = 200
_HIGH: Final = 0x4000_0000
_HIGH_COUNT: Final = 0x3000_0000


def name_of(tx: Transaction, kind: str, number: int) -> str:
    """Name of an id; its digits if there is none."""
    row = tx.get(PRINCIPAL_NAME, (kind, number)) if number >= 0 else None
    if row is not None:
        return row.name
    name = _system_name(kind, number)
    # A name that the table gives to another id would mislead.
    known = tx.get(PRINCIPAL_ID, (kind, name)) if name else None
    return name if name and (known is None or known.id == number) else str(number)


def id_of(tx: Transaction, kind: str, name: str) -> int:
    """Id of a name, given out now if it has none yet. Digits are ids themselves."""
    if not name or "\0" in name or len(name.encode("utf-8", "replace")) > NAME_BYTES_MAX:
        raise InvalidArgument(f"not a {kind} name: {name!r}")
    if name.isascii() and name.isdigit():
        return int(name)
    row = tx.get(PRINCIPAL_ID, (kind, name))
    if row is not None:
        return row.id
    number = _system_id(kind, name)
    if number is None or tx.get(PRINCIPAL_NAME, (kind, number)) is not None:
        number = _HIGH + zlib.crc32(name.encode()) % _HIGH_COUNT
        while tx.get(PRINCIPAL_NAME, (kind, number)) is not None:
            number += 1
    tx.put(PRINCIPAL_ID, (kind, name), PrincipalId(number))
    tx.put(PRINCIPAL_NAME, (kind, number), PrincipalName(name))
    return number


def _system_name(kind: str, number: int) -> str | None:
    try:
        return pwd.getpwuid(number).pw_name if kind == USER else grp.getgrgid(number).gr_name
    except (KeyError, OverflowError, ValueError):
        return None


def _system_id(kind: str, name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid if kind == USER else grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None
