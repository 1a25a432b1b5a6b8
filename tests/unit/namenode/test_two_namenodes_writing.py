"""Two namenodes on one database, and a file that is being written: every pair of changes to it overlaps.

As in ``test_two_namenodes``, with writers' calls, what datanodes report, and the jobs that follow up on
writers who are gone. fsck looks after each pair.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.core.limits import LEASE_HARD_LIMIT_NS
from oastfs.core.metadata import Metadata
from oastfs.core.types import SUPERUSER, BlockCommit, LocatedBlock
from oastfs.namenode import removal
from oastfs.namenode.blocks import replicas
from oastfs.namenode.context import Context
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.jobs.leases import close_files
from oastfs.namenode.jobs.reclaim import Reclaim, Step
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import operation
from oastfs.store import open_store
from oastfs.store.schema import BLOCK, OPEN_FILE
from oastfs.store.transaction import Transaction
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import Clock, finish

ROOT = SUPERUSER
OPTIONS = FormatOptions(block_size=4096, replication=1, inline_limit=1024)

Change = Callable[[Transaction, Context], Any]


class Recorder(Metadata):
    """Makes a change of a verb's call, with all its arguments."""

    made: Change

    def call(self, verb: str, caller: Any, *arguments: Any) -> None:
        function = operation(verb)
        self.made = lambda tx, context: function(tx, context, *arguments)

    def close(self) -> None:
        """There is nothing to close."""


def verb(name: str, *arguments: Any) -> Change:
    """The change that a call makes."""
    recorder = Recorder()
    getattr(recorder, name)(ROOT, *arguments)
    return recorder.made


class World:
    """A file with a committed block and one that is being written, and one that was unlinked while open."""

    def __init__(self, namespace: Namespace, fleet: Fleet, top: str) -> None:
        self.namespace, self.fleet, self.top = namespace, fleet, top
        self.path = f"{top}/f"
        namespace.mkdirs(ROOT, top)
        namespace.create(ROOT, self.path, holder=self.holder)
        self.first = self._written(0)
        namespace.commit(ROOT, self.path, self.holder, [self.first])
        self.pending: LocatedBlock = namespace.add_block(ROOT, self.path, self.holder, 4096)
        self.second: BlockCommit = fleet.write_block(self.pending, 100)
        self.inode_id = namespace.stat(ROOT, self.path).inode_id
        namespace.create(ROOT, f"{top}/kept", holder=f"{top}-one")
        self.kept_id = namespace.stat(ROOT, f"{top}/kept").inode_id
        namespace.unlink(ROOT, f"{top}/kept", f"{top}-two")

    @property
    def holder(self) -> str:
        return f"{self.top}-writer"

    def _written(self, offset: int) -> BlockCommit:
        block = self.namespace.add_block(ROOT, self.path, self.holder, offset)
        return self.fleet.write_block(block, 4096)

    def changes(self) -> dict[str, Change]:
        path, holder = self.path, self.holder
        storage_id = self.first.storage_ids[0]
        view = self.fleet.by_storage(storage_id).view
        one, two = f"{self.top}-one", f"{self.top}-two"
        return {
            "add a block": verb("add_block", path, holder, 8192),
            "add the pending block again": verb("add_block", path, holder, 4096),
            "update the first block": verb("update_block", path, holder, 0, self.first.block_id),
            "commit": verb("commit", path, holder, [self.second]),
            "complete": verb("complete", path, holder, [self.first, self.second]),
            "complete without the block": verb("complete", path, holder, [self.first]),
            "abandon": verb("abandon_block", path, holder, self.pending.block_id),
            "recover the lease": verb("recover_lease", path),
            "append by another": verb("append", path, "other"),
            "shared writer": verb("add_block", path, "other", 8192),
            "delete": verb("delete", path, False),
            "rename": verb("rename", path, f"{self.top}/g"),
            "replace": verb("write_file", path, b"other"),
            "truncate": verb("truncate", path, 10),
            "set replication": verb("set_replication", path, 2),
            "link": verb("link", path, f"{self.top}/link"),
            "expire the lease": lambda tx, context: close_files(tx, _later(context), holder),
            "report a copy": lambda tx, context: replicas.received(
                tx, context, view, self.first.block_id, self.first.generation_stamp, 4096
            ),
            "report a loss": lambda tx, context: replicas.missing(tx, context, view, self.first.block_id),
            "report corruption": lambda tx, context: replicas.mark_corrupt(
                tx, context, self.first.block_id, storage_id
            ),
            "one lets go": lambda tx, context: removal.release_orphan(tx, self.kept_id, one),
            "two lets go": lambda tx, context: removal.release_orphan(tx, self.kept_id, two),
            "reclaim": lambda tx, context: Step(tx, context).run(),
        }

    def state(self) -> Any:
        """What there is of the files, without ids that differ between stores."""

        def read(tx: Transaction) -> Any:
            found = []
            for inode_id in (self.inode_id, self.kept_id):
                blocks = [
                    (
                        key[1],
                        row.length,
                        row.generation_stamp,
                        row.pending_stamp,
                        row.holder.removeprefix(self.top),
                    )
                    for key, row in tx.scan(BLOCK, (inode_id,))
                ]
                holders = [str(key[1]).removeprefix(self.top) for key, _ in tx.scan(OPEN_FILE, (inode_id,))]
                found.append((blocks, holders))
            return found

        entries = self.namespace.listdir(ROOT, self.top).entries
        named = [(one.name, one.mode, one.nlink, one.length, one.flags) for one in entries]
        return named, self.namespace.store.read(read)


def _later(context: Context) -> Context:
    later = Context(context.caller, context.now_ns, context.environment)
    later.now_ns += LEASE_HARD_LIMIT_NS + 1
    return later


def outcome(make: Callable[[], Any]) -> str:
    try:
        make()
    except OastError as error:
        return type(error).__name__
    return "done"


def call(namespace: Namespace, change: Change) -> str:
    context = namespace.context(ROOT)
    return outcome(lambda: namespace.store.write(lambda tx: change(tx, context)))


def call_around(first: Namespace, change: Change, between: Callable[[], str]) -> list[str]:
    """Make a change; after it was worked out for the first time, and before it commits, ``between`` runs."""
    told: list[str] = []
    attempts = itertools.count()
    context = first.context(ROOT)

    def attempt(tx: Transaction) -> Any:
        try:
            return change(tx, context)
        finally:
            if next(attempts) == 0:
                told.append(between())

    return [outcome(lambda: first.store.write(attempt)), *told]


NAMES = (
    "abandon", "add a block", "add the pending block again", "append by another", "commit", "complete",
    "complete without the block", "delete", "expire the lease", "link", "one lets go", "reclaim",
    "recover the lease", "rename", "replace", "report a copy", "report a loss", "report corruption",
    "set replication", "shared writer", "truncate", "two lets go", "update the first block",
)  # fmt: skip


@pytest.fixture
def two(database: str, clock: Clock) -> Iterator[tuple[Namespace, Namespace, Fleet]]:
    stores = [open_store(database), open_store(database)]
    format_store(stores[0], OPTIONS)
    first, second = (Namespace(store, clock_ns=clock) for store in stores)
    fleet = Fleet(first)
    fleet.add()
    yield first, second, fleet
    for store in stores:
        store.close()


@pytest.fixture
def reference(tmp_path: Path, clock: Clock) -> Iterator[tuple[Namespace, Fleet]]:
    store = open_store(f"lmdb://{tmp_path}/reference", create=True)
    format_store(store, OPTIONS)
    namespace = Namespace(store, clock_ns=clock)
    fleet = Fleet(namespace)
    fleet.add()
    yield namespace, fleet
    store.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("others", [2, pytest.param(len(NAMES), marks=pytest.mark.long)])
def test_pairs_of_changes_to_a_file_being_written(
    name: str,
    others: int,
    two: tuple[Namespace, Namespace, Fleet],
    reference: tuple[Namespace, Fleet],
) -> None:
    """Each change with some others, drawn by chance; with all of them in the long run."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    first, second, fleet = two
    for number, other in enumerate(random.Random(seed).sample(NAMES, others)):
        expected = []
        for order, pair in enumerate(((name, other), (other, name))):
            world = World(*reference, f"/{number}.{order}")
            assert set(world.changes()) == set(NAMES)
            changes = world.changes()
            told = [call(reference[0], changes[one]) for one in pair]
            expected.append((told if order == 0 else told[::-1], world.state()))
            Reclaim(reference[0]).run_all(0)
        world = World(first, fleet, f"/{number}.0")
        changes = world.changes()
        told = call_around(first, changes[name], partial(call, second, changes[other]))
        got = (told, world.state())
        assert got in expected, f"{name!r} while another makes {other!r}"
        finish(first.store)
        Reclaim(first).run_all(0)
        finish(first.store)
