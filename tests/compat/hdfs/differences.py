"""What OastFS answers differently from HDFS on purpose, with the reason (``differences.txt``).

A line ``# TITLE`` begins what has one reason; docs/hdfs-compatibility.md explains it under the same title.
``@ SCRIPT [N]`` and what follows, in the form of the golden files, says what OastFS answers to the Nth
(first) command of that text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.compat.hdfs.battery import HERE, Outcome, commands, parse_outcomes

_FILE = HERE / "differences.txt"


@dataclass(frozen=True)
class Difference:
    """One command that has another outcome than in HDFS."""

    title: str
    script: str
    index: int
    """The command's place in its script."""
    ours: Outcome


def differences() -> dict[tuple[str, int], Difference]:
    """All of them, by script and place."""
    found = {}
    for section in re.split(r"^# ", _FILE.read_text(), flags=re.M)[1:]:
        title, _, rest = section.partition("\n")
        for part in re.split(r"^@ ", rest, flags=re.M)[1:]:
            head, _, text = part.partition("\n")
            script, _, occurrence = head.partition(" ")
            (ours,) = parse_outcomes(text)
            index = _index(script, ours.command, int(occurrence or 1))
            assert (script, index) not in found, f"{_FILE.name} has {script}: {ours.command} twice"
            found[script, index] = Difference(title.strip(), script, index, ours)
    return found


def _index(script: str, text: str, occurrence: int) -> int:
    places = [index for index, command in enumerate(commands(script)) if command.text == text]
    assert len(places) >= occurrence, f"{_FILE.name}: {script} has no such command: {text} ({occurrence})"
    return places[occurrence - 1]
