"""Reading the logs of servers under test: what nobody expected fails the test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# Lines of level error or above, as JSON or as console text, and Python's tracebacks.
_ALARM = re.compile(
    r"Traceback \(most recent call last\)"
    r"|\"level\": ?\"(error|critical)\""
    r"|\[(error|critical) *\]"
    r"|^(ERROR|CRITICAL)\b"
    r"|Task exception was never retrieved|Exception ignored in"
)


def unexpected(path: Path, allowed: Iterable[str] = ()) -> list[str]:
    """Alarming lines of a log that match none of the ``allowed`` patterns."""
    patterns = [re.compile(pattern) for pattern in allowed]
    text = path.read_text(errors="replace") if path.exists() else ""
    return [
        line
        for line in text.splitlines()
        if _ALARM.search(line) and not any(pattern.search(line) for pattern in patterns)
    ]


def tail(path: Path, lines: int = 40) -> str:
    """The end of a log, with its name above."""
    if not path.exists():
        return f"--- {path.name}: no such log"
    text = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"--- {path.name}", *text])
