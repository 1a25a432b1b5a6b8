"""A load by an HDFS client that knows what it was promised: a process, killed at will, checked afterwards.

The worker creates files and appends to them. What a file holds at any length is the beginning of a stream
that depends on its number, so a length tells what is right. Before each attempt and after each success a
line goes to a journal on the local disk: a file may be shorter than the last attempt, never than the
last success.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIZES_BYTES = (1, 500, 3_000, 20_000, 70_000, 400_000)
APPENDS = 4
RETRY_SECONDS = 0.05


def stream(number: int, length: int) -> bytes:
    """The beginning of a file's content. (Noise of whole words: a longer one begins as a shorter one.)"""
    return random.Random(number).randbytes(length + -length % 4)[:length]


def settings(namenodes: Sequence[str]) -> dict[str, str]:
    """A client's configuration: two namenodes and more by one name, as in HDFS's high availability."""
    names = [f"nn{index}" for index, _ in enumerate(namenodes)]
    found = {"dfs.nameservices": "oast", "dfs.ha.namenodes.oast": ",".join(names)}
    for name, address in zip(names, namenodes, strict=True):
        found[f"dfs.namenode.rpc-address.oast.{name}"] = address
    return found


def client(namenodes: Sequence[str]) -> Any:
    """An hdfs-native client."""
    from hdfs_native import Client

    return Client("hdfs://oast", settings(namenodes))


class Journal:
    """What was attempted and what was acknowledged; (number, length) each."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, what: str, number: int, length: int) -> None:
        self._file.write(json.dumps([what, number, length]) + "\n")


def read_journal(path: Path) -> dict[int, tuple[int, int]]:
    """(acknowledged, attempted) length of each file; acknowledged is -1 if not even its creation was."""
    found: dict[int, tuple[int, int]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            what, number, length = json.loads(line)
        except ValueError:
            continue  # the last line of a killed worker
        acknowledged, attempted = found.get(number, (-1, -1))
        if what == "done":
            acknowledged = length
        found[number] = (acknowledged, max(attempted, length))
    return found


def work(namenodes: Sequence[str], directory: str, journal: Path) -> None:
    """Create and append until killed."""
    number = max(read_journal(journal), default=0)
    log = Journal(journal)
    while True:
        number += 1
        try:
            _one_file(client(namenodes), f"{directory}/{number}", number, log)
        except Exception as error:
            # Servers are killed under it: what was not acknowledged is given up, the next file is a new one.
            print(f"{number}: {str(error)[:200]}", flush=True)
            time.sleep(RETRY_SECONDS)


def _one_file(hdfs: Any, path: str, number: int, log: Journal) -> None:
    from hdfs_native import WriteOptions

    chance = random.Random(os.urandom(8))
    length = chance.choice(SIZES_BYTES)
    log.write("begin", number, length)
    with hdfs.create(path, WriteOptions(overwrite=True)) as file:
        file.write(stream(number, length))
    log.write("done", number, length)
    for _ in range(chance.randrange(APPENDS)):
        more = length + chance.choice(SIZES_BYTES)
        log.write("begin", number, more)
        with hdfs.append(path) as file:
            file.write(stream(number, more)[length:])
        length = more
        log.write("done", number, length)


def main() -> None:
    """NAMENODES (with commas) DIRECTORY JOURNAL"""
    work(sys.argv[1].split(","), sys.argv[2], Path(sys.argv[3]))


if __name__ == "__main__":
    main()
