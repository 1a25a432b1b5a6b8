"""Clients that do anything to a few paths, and write down when they asked for what and what they were told.

Each is a process of its own, which may be killed at any time: what it has written down before counts.

Whether a change has happened of which nobody heard, the store tells in the end: it keeps the answers of
at-most-once calls, in the transactions of their effects. Without that each of them might happen at any time
or never, and for dozens of them a search for an order may not come to an end.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from oastfs.client import connect
from oastfs.client.remote import RemoteMetadata
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
from oastfs.store import open_store
from oastfs.store.schema import RETRY
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID
from tests.harness.linearizability import Undecided
from tests.harness.tree_history import FAILED, Call, explain

REFUSALS: Final = (
    AlreadyExists, InvalidArgument, IsADirectory, NotADirectory, NotEmpty, NotFound, PermissionDenied,
)  # fmt: skip
_REFUSED: Final = {one.__name__ for one in REFUSALS}
CALLS_MAX: Final = 1_000_000
SEARCH_SECONDS: Final = 420.0
HISTORIES: Final = Path(__file__).parents[2] / "build" / "histories"
VERBS: Final = {
    "mkdir": 4, "write": 8, "rename": 8, "delete": 3, "rmdir": 2, "link": 2, "read": 6, "list": 4, "peek": 4,
}  # fmt: skip
"""How often each comes, relative to the others."""


def act(url: str, top: str, seed: str, number: int, until: float, log: Path) -> None:
    """Body of a process: one random call after the other, until that moment of the monotonic clock."""
    chance = random.Random(seed)
    with connect(url) as fs, log.open("ab", buffering=0) as file:
        sent = _note_sent(fs.metadata, file)
        for at in range(CALLS_MAX):
            if time.monotonic() > until:
                return
            verb = chance.choices(list(VERBS), list(VERBS.values()))[0]
            paths = [_path(chance) for _ in range({"rename": 2, "link": 2, "peek": 3}.get(verb, 1))]
            name = sent.number = number * CALLS_MAX + at + 1
            _note(file, {"number": name, "verb": verb, "paths": paths})
            answer = _answer(fs.metadata, top, name, verb, paths)
            if answer is not None:
                _note(file, {"number": name, "answer": answer})


class _Sent:
    """Numbers of a client's calls; which call they are of is written down before it is sent."""

    def __init__(self, client_id: str, file: Any) -> None:
        self.number = 0
        self._client_id = client_id
        self._file = file
        self._thread = threading.get_ident()
        self._next = itertools.count()

    def __next__(self) -> int:
        following = next(self._next)
        if threading.get_ident() == self._thread:  # others look after leases and connections
            key = [self._client_id, FIRST_CALL_ID + following]
            _note(self._file, {"number": self.number, "sent": key})
        return following

    def __iter__(self) -> _Sent:
        return self


def _note_sent(metadata: Metadata, file: Any) -> _Sent:
    assert isinstance(metadata, RemoteMetadata)
    sent = metadata._numbers = _Sent(metadata._encoder.client_id.hex(), file)
    return sent


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
        status = metadata.stat(SUPERUSER, first)
        entries = metadata.listdir(SUPERUSER, first).entries
        if any(entry.parent_id != status.inode_id for entry in entries):
            return None  # the one entry of what is a file by now, which is listed as itself
        return [entry.name for entry in entries] if status.is_directory else None
    elif verb == "peek":
        found = metadata.read_many(SUPERUSER, paths)
        if any(isinstance(one, Fault) and one.error not in _REFUSED for one in found):
            return None
        return [FAILED if isinstance(one, Fault) else (one.data or b"").decode() for one in found]
    return ""


Key = tuple[str, int]
"""Of a client's call."""


def kept_answers(urls: Sequence[str]) -> set[Key]:
    """The calls that have changed something, as the store knows."""
    store = open_store(list(urls))
    try:
        return store.read(lambda tx: {(str(key[1]), int(key[2])) for key, _ in tx.scan(RETRY)})
    finally:
        store.close()


def settle(calls: list[Call], logs: Sequence[Path], kept: set[Key], now_ns: int) -> list[Call]:
    """The calls without those that have never happened. Of the others it is known, by now, that they have.

    AssertionError if the store does not know of a change that was acknowledged, or knows of one that was
    refused.
    """
    sent = {note["number"]: tuple(note["sent"]) for log in logs for note in _notes(log) if "sent" in note}
    settled = []
    for call in calls:
        happened = sent.get(call.number) in kept
        if call.answered_at is not None:
            assert happened == (call.answer == ""), f"{happened=} is not what was told: {call}"
            settled.append(call)
        elif happened:
            settled.append(replace(call, answered_at=now_ns))
    return settled


def history(logs: list[Path]) -> list[Call]:
    """The calls that clients wrote down."""
    calls: dict[int, Call] = {}
    for log in logs:
        for note in _notes(log):
            number = note["number"]
            if "sent" in note:
                continue
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


def require_order(calls: list[Call], name: str) -> None:
    """AssertionError unless something explains what was told. What has no order, or none in time, is kept."""
    try:
        if explain(calls, seconds=SEARCH_SECONDS) is not None:
            return
        problem = "there is no order that explains what the clients were told"
    except Undecided as undecided:
        problem = str(undecided)
    HISTORIES.mkdir(parents=True, exist_ok=True)
    file = HISTORIES / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    file.write_text("".join(f"{json.dumps(note)}\n" for call in calls for note in _written(call)))
    raise AssertionError(f"{problem}\nThe history: {file}; try again: python -m tests.harness.torture {file}")


def _written(call: Call) -> list[dict[str, Any]]:
    """The call's notes, as its client wrote them."""
    note = {"number": call.number, "verb": call.verb, "paths": call.paths, "at": call.called_at}
    if call.answered_at is None:
        return [note]
    answer = json.loads(json.dumps(call.answer, default=bytes.decode))
    return [note, {"number": call.number, "answer": answer, "at": call.answered_at}]


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


if __name__ == "__main__":
    require_order(history([Path(sys.argv[1])]), Path(sys.argv[1]).name)
    print("there is an order that explains what the clients were told")
