"""A filesystem with one of everything, and the register of ways to break it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from oastfs.namenode.fsck import Report, check, repair
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import (
    INODE,
    Inode,
)
from oastfs.store.transaction import Store, Transaction
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.ops.test_truncate import write

_replace = msgspec.structs.replace
NOWHERE = 777 << 10


class Whole:
    """A filesystem with one of everything, and the ids that damages need."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.namespace = ns = Namespace(store, clock_ns=clock)
        self.fleet = Fleet(ns)
        for _ in range(3):
            self.fleet.add()
        ns.mkdirs(ROOT, "/d/e/f")
        ns.write_file(ROOT, "/d/small", b"0123456789")
        ns.symlink(ROOT, "/d/symlink", "small")
        ns.write_file(ROOT, "/d/first", b"linked")
        ns.link(ROOT, "/d/first", "/d/e/second")
        write(ns, self.fleet, "/d/blocks", [4096, 100])
        ns.set_xattr(ROOT, "/d/small", "user.a", b"1")
        ns.create(ROOT, "/d/open", holder="writer")
        ns.add_block(ROOT, "/d/open", "writer", 0)
        ns.write_file(ROOT, "/d/orphan", b"x")
        self.orphan = ns.unlink(ROOT, "/d/orphan", "mount").inode_id
        ns.set_quota(ROOT, "/d", 1000, 1 << 40)
        ns.principal_ids(ROOT, ["someone-unheard-of"], [])
        self.d, self.e, self.f = (ns.stat(ROOT, path).inode_id for path in ("/d", "/d/e", "/d/e/f"))
        self.small, self.symlink, self.linked, self.blocks, self.open = (
            ns.stat(ROOT, f"/d/{name}", False).inode_id
            for name in ("small", "symlink", "first", "blocks", "open")
        )
        self.block_ids = [one.block_id for one in ns.open(ROOT, "/d/blocks").blocks]
        self.storage_id = ns.open(ROOT, "/d/blocks").blocks[0].locations[0].storage_id

    def check(self) -> Report:
        return check(self.store, now_ns=self.clock())

    def repair(self) -> Report:
        return repair(self.store, now_ns=self.clock())


Damage = Callable[[Transaction, Whole], None]
DAMAGES: dict[str, tuple[str, bool, Damage]] = {}


def damage(code: str, *, mended: bool = True) -> Callable[[Damage], Damage]:
    """A function that breaks something which fsck is to find as ``code``."""

    def note(function: Damage) -> Damage:
        DAMAGES[function.__name__] = (code, mended, function)
        return function

    return note


def entry(tx: Transaction, directory_id: int, name: str) -> Inode:
    row = tx.get(INODE, (directory_id, name))
    assert row is not None
    return row


def change(tx: Transaction, directory_id: int, name: str, **changes: int | bytes | None) -> None:
    tx.put(INODE, (directory_id, name), _replace(entry(tx, directory_id, name), **changes))
