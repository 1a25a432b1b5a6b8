"""A namespace on a real store, with users; every test ends with fsck."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import length_hint
from pathlib import Path

import pytest

from oastfs.core.types import SUPERUSER, Caller, Fault
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.transaction import Store
from tests.harness.fleet import Fleet
from tests.harness.waiting import wait_until

ROOT = SUPERUSER
ALICE = Caller("alice", 1001, (1001, 2000))
BOB = Caller("bob", 1002, (1002, 2000))
EVE = Caller("eve", 1003, (1003,))
SECOND_NS = 10**9


class Clock:
    """A clock that moves only when told, and by a nanosecond at each look."""

    def __init__(self) -> None:
        self.now_ns = 2_000_000_000 * SECOND_NS

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)


def have_ids_ready(namespace: Namespace, directory: str) -> None:
    """From now on no batch of inode ids is fetched behind the scenes: its trips are not those of a call."""
    ids = namespace.context(ROOT).environment.inode_ids
    while ids._next_numbers is None or not length_hint(ids._numbers):
        namespace.write_file(ROOT, f"{directory}/takes an id", b"")
        namespace.delete(ROOT, f"{directory}/takes an id")
        wait_until(lambda: not ids._awaiting, "a batch of ids")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | list[str]:
    """Where the store of a test is: embedded, or with OASTFS_TEST_STORE=postgresql in a database, =shards in
    three of them.

    Tests of operations run on all.
    """
    if os.environ.get("OASTFS_TEST_STORE") == "shards":
        return list(request.getfixturevalue("shards"))
    if os.environ.get("OASTFS_TEST_STORE") == "postgresql":
        return str(request.getfixturevalue("database"))
    return f"lmdb://{tmp_path}/store"


@pytest.fixture
def store(store_url: str | list[str]) -> Iterator[Store]:
    store = open_store(store_url, create=True)
    format_store(store, FormatOptions(block_size=4096, replication=2, inline_limit=1024))
    yield store
    store.close()


@pytest.fixture
def namespace(store: Store, clock: Clock) -> Iterator[Namespace]:
    namespace = Namespace(store, clock_ns=clock)
    namespace.mkdirs(ROOT, "/tmp", 0o1777)
    namespace.mkdirs(ROOT, "/home/alice", 0o755)
    namespace.chown(ROOT, "/home/alice", ALICE.uid, ALICE.gid)
    yield namespace
    finish(store)


@pytest.fixture
def fleet(namespace: Namespace) -> Fleet:
    """Three datanodes on three machines."""
    fleet = Fleet(namespace)
    for _ in range(3):
        fleet.add()
    return fleet


def names(namespace: Namespace, path: str, caller: Caller = ROOT) -> list[str]:
    """Names in a directory."""
    return [entry.name for entry in namespace.listdir(caller, path).entries]


def error_of(item: object) -> str:
    """Name of the error in a batch's item."""
    assert isinstance(item, Fault)
    return item.error


def finish(store: Store) -> None:
    """Every invariant holds at the end of a test."""
    from oastfs.namenode.fsck import check

    check(store).raise_if_problems()
