"""Short ways to make rows, and what the processes of the contract tests run."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from oastfs.store import open_store
from oastfs.store.schema import COUNTER, INODE, PLACE, Counter, Inode, Place
from oastfs.store.transaction import Store, Transaction


def inode(number: int) -> Inode:
    """An inode that is told from others by its id."""
    return Inode(number, 0o100644, 1000, 1000, 0, 1, 2, 3)


def fill(store: Store, directory: int, names: list[str]) -> None:
    """Entries of a directory, numbered from 0, in one transaction."""

    def write(tx: Transaction) -> None:
        for number, name in enumerate(names):
            tx.put(INODE, (directory, name), inode(number))

    store.write(write)


def names(store: Store, directory: int, **how: Any) -> list[str]:
    """The names of a directory as a scan gives them."""
    return store.read(lambda tx: [str(key[1]) for key, _ in tx.scan(INODE, (directory,), **how)])


def increment(tx: Transaction, name: str = "n") -> int:
    """Count up by one; the new value."""
    row = tx.get(COUNTER, (name,))
    value = 1 if row is None else row.value + 1
    tx.put(COUNTER, (name,), Counter(value))
    return value


def count_up(url: str | list[str], times: int) -> None:
    """Body of a process: count up so many times, each durably."""
    store = open_store(url)
    try:
        for _ in range(times):
            store.write(increment)
    finally:
        store.close()


def write_until_killed(url: str | list[str], process: int, acknowledged: Connection) -> None:
    """Body of a process: write pairs of rows for ever, and tell of each pair once it is durable."""
    store = open_store(url)
    number = 0
    while True:
        number += 1
        store.write(partial(put_pair, process=process, number=number))
        acknowledged.send(number)


def put_pair(tx: Transaction, process: int, number: int) -> None:
    """Two rows that belong together, in two tables."""
    tx.put(INODE, (process, f"file{number:08}"), inode(number))
    tx.put(PLACE, (process << 40 | number,), Place(process, f"file{number:08}"))


def read_until_killed(url: str | list[str], started: Connection) -> None:
    """Body of a process: hold a snapshot open for ever."""
    store = open_store(url)

    def hold(tx: Transaction) -> None:
        tx.get(COUNTER, ("n",))
        started.send(True)
        while True:
            tx.get(COUNTER, ("n",))

    store.read(hold)
