"""What values WebHDFS's parameters may have, and what HDFS says of others.

All parameters of a request are checked before anything is done, also those that its operation does not use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1
INT_MAX: Final = (1 << 31) - 1
SHORT_MAX: Final = (1 << 15) - 1
PERMISSION_MAX: Final = 0o1777
USER_PATTERN: Final = "^[A-Za-z_][A-Za-z0-9._-]*[$]?$"
ACTION_PATTERN: Final = "[r-][w-][x-]"
_ACL_NAMES: Final = "[[A-Za-z_][A-Za-z0-9._-]]*"  # Java joins classes that are nested
_ACL_ENTRY: Final = f"(default:)?(user|group|mask|other):{_ACL_NAMES}:([rwx-]{{3}})?"
ACL_PATTERN: Final = f"^{_ACL_ENTRY}(,{_ACL_ENTRY})*$"
RENAME_OPTIONS: Final = ("NONE", "OVERWRITE", "TO_TRASH")
CREATE_FLAGS: Final = ("CREATE", "OVERWRITE", "APPEND", "SYNC_BLOCK", "LAZY_PERSIST", "NEW_BLOCK")

Check = Callable[[str, str], str]
"""What is wrong with the value of a parameter; '' if nothing is. Given its name and the value."""


def oct_digits(value: int) -> str:
    """A permission as it is written."""
    return f"{value:o}"


def _number(kind: str, low: int, high: int, radix: int = 10) -> Check:
    shown = oct_digits if radix == 8 else str
    digits = re.compile(r"[+-]?[0-7]+" if radix == 8 else r"[+-]?[0-9]+", re.ASCII)

    def check(name: str, text: str) -> str:
        if not digits.fullmatch(text):
            return f'Failed to parse "{text}" as a radix-{radix} {kind} integer.'
        value = int(text, radix)
        if value < low:
            return f"Invalid parameter range: {name} = {shown(value)} < {shown(low)}"
        if value > high:
            return f"Invalid parameter range: {name} = {shown(value)} > {shown(high)}"
        return ""

    return check


def _boolean(name: str, text: str) -> str:
    return "" if text.lower() in ("true", "false") else f'Failed to parse "{text}" to Boolean.'


def _domain(pattern: str) -> Check:
    compiled = re.compile(pattern.replace(_ACL_NAMES, "[A-Za-z0-9._-]*"))

    def check(name: str, text: str) -> str:
        fits = compiled.fullmatch(text) is not None
        return "" if fits else f'Invalid value: "{text}" does not belong to the domain {pattern}'

    return check


def _enumeration(java_class: str, names: tuple[str, ...]) -> Check:
    def check(name: str, text: str) -> str:
        given = [one.strip().upper() for one in text.split(",") if one.strip()]
        unknown = next((one for one in given if one not in names), None)
        return "" if unknown is None else f"No enum constant {java_class}.{unknown}"

    return check


def _path(name: str, text: str) -> str:
    if text.startswith("/"):
        return ""
    return f'Invalid parameter value: {name} = "{text}" is not an absolute path.'


CHECKS: Final[dict[str, Check]] = {
    "accesstime": _number("long", -1, LONG_MAX),
    "aclspec": _domain(ACL_PATTERN),
    "blocksize": _number("long", 1, LONG_MAX),
    "buffersize": _number("int", 1, INT_MAX),
    "createflag": _enumeration("org.apache.hadoop.fs.CreateFlag", CREATE_FLAGS),
    "createparent": _boolean,
    "destination": _path,
    "doas": _domain(USER_PATTERN),
    "encoding": _enumeration("org.apache.hadoop.fs.XAttrCodec", ("TEXT", "HEX", "BASE64")),
    "flag": _enumeration("org.apache.hadoop.fs.XAttrSetFlag", ("CREATE", "REPLACE")),
    "fsaction": _domain(ACTION_PATTERN),
    "length": _number("long", 0, LONG_MAX),
    "modificationtime": _number("long", -1, LONG_MAX),
    "namespacequota": _number("long", -1, LONG_MAX),
    "newlength": _number("long", 0, LONG_MAX),
    "noredirect": _boolean,
    "offset": _number("long", 0, LONG_MAX),
    "overwrite": _boolean,
    "permission": _number("short", 0, PERMISSION_MAX, 8),
    "recursive": _boolean,
    "renameoptions": _enumeration("org.apache.hadoop.fs.Options.Rename", RENAME_OPTIONS),
    "replication": _number("short", 1, SHORT_MAX),
    "storagespacequota": _number("long", -1, LONG_MAX),
    "unmaskedpermission": _number("short", 0, PERMISSION_MAX, 8),
    "user.name": _domain(USER_PATTERN),
}
