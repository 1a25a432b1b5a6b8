"""Permission bits as chmod(1) writes them: octal (``640``) or symbolic (``u+rwX,go-w``)."""

from __future__ import annotations

import re
import stat as _stat
from collections.abc import Callable

_OCTAL = re.compile(r"[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([rwxXst]+|[ugo]|)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_SPECIAL = {"u": _stat.S_ISUID, "g": _stat.S_ISGID, "o": _stat.S_ISVTX}
_SPECIAL_LETTER = {"u": "s", "g": "s", "o": "t"}

Change = Callable[[int], int]


def parse(text: str, umask: int = 0) -> Change:
    """A function from a full ``st_mode`` to new permission bits (07777). Raises ValueError.

    As GNU chmod: without u, g, o or a before the operator all are meant, less the ``umask``; a
    directory keeps its set-id bits unless they are named.
    """
    if _OCTAL.fullmatch(text):
        bits = int(text, 8)
        return lambda mode: bits
    clauses = []
    for part in text.split(","):
        found = _CLAUSE.fullmatch(part)
        if found is None:
            raise ValueError(f"no mode: {text} (such as 644 or u+rw,go-w)")
        who = "ugo" if found[1] == "" or "a" in found[1] else found[1]
        masked = umask if found[1] == "" else 0
        clauses += [(set(who), operator, what, masked) for operator, what in _ACTION.findall(found[2])]

    def change(mode: int) -> int:
        for who, operator, what, masked in clauses:
            mode = _apply(mode, who, operator, _bits(mode, who, what) & ~masked)
        return mode & 0o7777

    return change


def _apply(mode: int, who: set[str], operator: str, bits: int) -> int:
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    cleared = 0
    for letter in who:
        cleared |= 7 << _SHIFT[letter]
        if letter == "o" or not _stat.S_ISDIR(mode):
            cleared |= _SPECIAL[letter]
    return mode & ~cleared | bits


def _bits(mode: int, who: set[str], what: str) -> int:
    if what in _SHIFT:
        permissions = mode >> _SHIFT[what] & 7
    else:
        executable = _stat.S_ISDIR(mode) or bool(mode & 0o111)
        permissions = 4 * ("r" in what) | 2 * ("w" in what)
        permissions |= "x" in what or ("X" in what and executable)
    bits = 0
    for letter in who:
        bits |= permissions << _SHIFT[letter]
        if _SPECIAL_LETTER[letter] in what:
            bits |= _SPECIAL[letter]
    return bits
