"""Permission bits as chmod(1) writes them: octal (``640``) or symbolic (``u+rwX,go-w``)."""

from __future__ import annotations

import re
import stat as _stat
from collections.abc import Callable

_OCTAL = re.compile(r"[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([rwxXst]+|[ugo]|)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_SPECIAL = {"u": _stat.S_ISUID, "g": _stat.S_ISGID}

Change = Callable[[int], int]


def parse(text: str) -> Change:
    """A function from a full ``st_mode`` to new permission bits (07777). Raises ValueError."""
    if _OCTAL.fullmatch(text):
        bits = int(text, 8)
        return lambda mode: bits
    clauses = []
    for part in text.split(","):
        found = _CLAUSE.fullmatch(part)
        if found is None:
            raise ValueError(f"no mode: {text} (such as 644 or u+rw,go-w)")
        who = "ugo" if found[1] == "" or "a" in found[1] else found[1]
        clauses += [(who, operator, what) for operator, what in _ACTION.findall(found[2])]

    def change(mode: int) -> int:
        for who, operator, what in clauses:
            mode = _apply(mode, who, operator, what)
        return mode & 0o7777

    return change


def _apply(mode: int, who: str, operator: str, what: str) -> int:
    bits = _bits(mode, who, what)
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    cleared = 0
    for letter in who:
        cleared |= 7 << _SHIFT[letter]
        # As GNU chmod: a directory keeps its set-id bits unless they are named.
        if not _stat.S_ISDIR(mode):
            cleared |= _SPECIAL.get(letter, 0)
    if who == "ugo":
        cleared |= _stat.S_ISVTX
    return mode & ~cleared | bits


def _bits(mode: int, who: str, what: str) -> int:
    if what in _SHIFT:
        copied = mode >> _SHIFT[what] & 7
        return sum(copied << _SHIFT[letter] for letter in who)
    executable = _stat.S_ISDIR(mode) or bool(mode & 0o111)
    permissions = 4 * ("r" in what) | 2 * ("w" in what)
    permissions |= 1 if "x" in what or ("X" in what and executable) else 0
    bits = 0
    for letter in who:
        bits |= permissions << _SHIFT[letter]
        if "s" in what:
            bits |= _SPECIAL.get(letter, 0)
    if "t" in what and who == "ugo":
        bits |= _stat.S_ISVTX
    return bits
