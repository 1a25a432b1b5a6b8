"""Two rows that belong together and are on different shards, and who changes and reads them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess
from typing import Any

from oastfs.store import failpoints, open_store
from oastfs.store.schema import DIRECTORY, Directory
from oastfs.store.sql_driver.shards.store import ShardedStore
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction
from tests.harness.waiting import wait_until

FORK = multiprocessing.get_context("fork")
KEYS = ((1,), (2,), (3,))
"""On shards 1, 2 and 0."""


def sharded(urls: list[str]) -> ShardedStore:
    store = open_store(urls)
    assert isinstance(store, ShardedStore)
    return store


def set_all(tx: Transaction, value: int) -> None:
    for key in KEYS:
        tx.put(DIRECTORY, key, Directory(value, value))


def count_up(tx: Transaction) -> int:
    """Change all of them, as one that has read them."""
    values = {row.mtime_ns if row else 0 for row in (tx.get(DIRECTORY, key, Lock.EXCLUSIVE) for key in KEYS)}
    assert len(values) == 1, values
    value = values.pop() + 1
    set_all(tx, value)
    return value


def values(tx: Transaction, keys: tuple[Any, ...] = KEYS) -> list[int]:
    return [row.mtime_ns if row else 0 for row in (tx.get(DIRECTORY, key) for key in keys)]


def looked(tx: Transaction, keys: tuple[Any, ...] = KEYS) -> list[int]:
    """As ``values``, by one who says first what he is going to read."""
    tx.prefetch({DIRECTORY: keys})
    return values(tx, keys)


def run_until(urls: list[str], name: str, action: str = "kill") -> int | None:
    """Have another process count up, with a failure point armed; its exit code, None if it was stopped."""

    def body() -> None:
        store = open_store(urls)
        store.read(values)
        failpoints.arm(name, action)
        store.write(count_up)
        store.close()
        os._exit(0)

    process = FORK.Process(target=body)
    process.start()
    if action == "stop":
        stopped[process.pid or 0] = process
        wait_until(lambda: _is_stopped(process.pid or 0), f"process stopped at {name}", 60)
        return None
    process.join(60)
    assert process.exitcode is not None, f"the process that was to die at {name} lives"
    return process.exitcode


stopped: dict[int, BaseProcess] = {}


def go_on() -> int | None:
    """Let the stopped process go on; its exit code."""
    pid, process = stopped.popitem()
    os.kill(pid, signal.SIGCONT)
    process.join(90)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


class Background:
    """Runs something over and over on threads, and remembers what went wrong."""

    def __init__(self, *bodies: Any) -> None:
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.rounds = 0
        self._threads = [threading.Thread(target=self._run, args=(body,)) for body in bodies]
        for thread in self._threads:
            thread.start()

    def _run(self, body: Any) -> None:
        try:
            while not self.stop.is_set():
                body()
                self.rounds += 1
        except BaseException as error:
            self.errors.append(error)

    def finish(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread hangs"
        if self.errors:
            raise self.errors[0]


def nothing_in_doubt(store: ShardedStore) -> bool:
    return not any(store.recovery.prepared(number) for number in range(len(store.servers)))
