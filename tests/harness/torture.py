"""Clients that do anything to a few paths, and write down when they asked for what and what they were told.

Each is a process of its own, which may be killed at any time: what it has written down before counts.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from oastfs.client import connect
from oastfs.core.errors import (
    AlreadyExists,
    InvalidArgument,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    OastError,
    PermissionDenied,
)
from oastfs.core.metadata import Metadata
from oastfs.core.types import SUPERUSER, Fault
from tests.harness.tree_history import FAILED, Call

REFUSALS: Final = (
    AlreadyExists, InvalidArgument, IsADirectory, NotADirectory, NotEmpty, NotFound, PermissionDenied,
)  # fmt: skip
_REFUSED: Final = {one.__name__ for one in REFUSALS}
CALLS_MAX: Final = 1_000_000
VERBS: Final = {
    "mkdir": 4, "write": 8, "rename": 8, "delete": 3, "rmdir": 2, "link": 2, "read": 6, "list": 4, "peek": 4,
}  # fmt: skip
"""How often each comes, relative to the others."""


def act(url: str, top: str, seed: str, number: int, until: float, log: Path) -> None:
    """Body of a process: one random call after the other, until that moment of the monotonic clock."""
    chance = random.Random(seed)
    with connect(url) as fs, log.open("ab", buffering=0) as file:
        for at in range(CALLS_MAX):
            if time.monotonic() > until:
                return
            verb = chance.choices(list(VERBS), list(VERBS.values()))[0]
            paths = [_path(chance) for _ in range({"rename": 2, "link": 2, "peek": 3}.get(verb, 1))]
            name = number * CALLS_MAX + at + 1
            _note(file, {"number": name, "verb": verb, "paths": paths})
            answer = _answer(fs.metadata, top, name, verb, paths)
            if answer is not None:
                _note(file, {"number": name, "answer": answer})


def _path(chance: random.Random) -> str:
    return "".join(f"/{chance.choice('abc')}" for _ in range(chance.choice((1, 2, 2, 3))))


def _note(file: Any, what: dict[str, Any]) -> None:
    file.write(json.dumps({**what, "at": time.monotonic_ns()}).encode() + b"\n")


def _answer(metadata: Metadata, top: str, name: int, verb: str, paths: list[str]) -> Any:
    """What a call is told, in words that JSON knows; None: that is not known."""
    try:
        return _do(metadata, verb, [top + path for path in paths], str(name).encode())
    except REFUSALS:
        return FAILED
    except OastError:
        return None


def _do(metadata: Metadata, verb: str, paths: list[str], data: bytes) -> Any:
    first, *more = paths
    if verb == "mkdir":
        metadata.mkdirs(SUPERUSER, first, 0o755, False, False)
    elif verb == "write":
        metadata.write_file(SUPERUSER, first, data)
    elif verb == "rename":
        metadata.rename(SUPERUSER, first, more[0])
    elif verb == "delete":
        metadata.delete(SUPERUSER, first, True)
    elif verb == "rmdir":
        metadata.rmdir(SUPERUSER, first)
    elif verb == "link":
        metadata.link(SUPERUSER, first, more[0])
    elif verb == "read":
        return (metadata.open(SUPERUSER, first).data or b"").decode()
    elif verb == "list":
        if not metadata.stat(SUPERUSER, first).is_directory:
            return None
        return [entry.name for entry in metadata.listdir(SUPERUSER, first).entries]
    elif verb == "peek":
        found = metadata.read_many(SUPERUSER, paths)
        if any(isinstance(one, Fault) and one.error not in _REFUSED for one in found):
            return None
        return [FAILED if isinstance(one, Fault) else (one.data or b"").decode() for one in found]
    return ""


def history(logs: list[Path]) -> list[Call]:
    """The calls that clients wrote down."""
    calls: dict[int, Call] = {}
    for log in logs:
        for note in _notes(log):
            number = note["number"]
            if "verb" in note:
                paths, data = tuple(note["paths"]), str(number).encode()
                calls[number] = Call(number, note["verb"], paths, data, "", note["at"], None)
            else:
                call = calls[number]
                answer = _as_model_has_it(call.verb, note["answer"])
                calls[number] = Call(
                    number, call.verb, call.paths, call.data, answer, call.called_at, note["at"]
                )
    return [call for call in calls.values() if call.answered_at or call.verb not in ("read", "list", "peek")]


def _notes(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_bytes().split(b"\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue  # the last one, of a client that was killed as it wrote


def _as_model_has_it(verb: str, answer: Any) -> Any:
    if answer == FAILED:
        return FAILED
    if verb == "read":
        return answer.encode()
    if verb == "list":
        return tuple(answer)
    if verb == "peek":
        return tuple(FAILED if one == FAILED else one.encode() for one in answer)
    return answer


def look_at_all(metadata: Metadata, top: str, first_number: int, log: Path) -> None:
    """Write down everything that is there, when nobody else does anything."""
    pending = ["/"]
    number = first_number
    with log.open("ab", buffering=0) as file:
        while pending:
            path = pending.pop()
            number += 1
            _note(file, {"number": number, "verb": "list", "paths": [path]})
            entries = metadata.listdir(SUPERUSER, f"{top}{path}".rstrip("/")).entries
            _note(file, {"number": number, "answer": [entry.name for entry in entries]})
            for entry in entries:
                below = f"{path.rstrip('/')}/{entry.name}"
                if entry.is_directory:
                    pending.append(below)
                    continue
                number += 1
                _note(file, {"number": number, "verb": "read", "paths": [below]})
                data = metadata.open(SUPERUSER, top + below).data or b""
                _note(file, {"number": number, "answer": data.decode()})
