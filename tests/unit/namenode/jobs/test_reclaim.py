from __future__ import annotations

from oastfs.namenode.fsck import check
from oastfs.namenode.jobs.reclaim import BLOCKS_PER_STEP, INODES_PER_STEP, Reclaim
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import (
    BLOCK,
    CONTENT,
    DATANODE_COMMAND,
    DIRECTORY,
    INODE,
    OPEN_FILE,
    PLACE,
    REPLICA,
    XATTR,
)
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.ops.test_truncate import rows, write

TABLES = (INODE, PLACE, DIRECTORY, CONTENT, XATTR, BLOCK, REPLICA, OPEN_FILE, DATANODE_COMMAND)


def counts(namespace: Namespace) -> dict[str, int]:
    return {table.name: rows(namespace, table) for table in TABLES}


def step_by_step(namespace: Namespace, clock: Clock) -> int:
    """Reclaim with a check after every step: it may stop anywhere."""
    job, steps = Reclaim(namespace), 0
    while job.run_once(clock()):
        check(namespace.store, now_ns=clock()).raise_if_problems()
        steps += 1
    return steps


def test_nothing_to_do(namespace: Namespace, clock: Clock) -> None:
    assert Reclaim(namespace).run_once(clock()) == 0


def test_a_tree_of_everything(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    before = counts(namespace)
    for number in range(5):
        namespace.mkdirs(ROOT, f"/t/d{number}/e/f")
        namespace.write_file(ROOT, f"/t/d{number}/e/small", b"abc")
        write(namespace, fleet, f"/t/d{number}/e/blocks", [4096, 10])
    namespace.symlink(ROOT, "/t/link", "/nowhere")
    namespace.mknod(ROOT, "/t/fifo", 0o010600)
    namespace.set_xattr(ROOT, "/t/d1", "user.a", b"1")
    namespace.set_xattr(ROOT, "/t/d1/e/small", "user.a", b"1")
    namespace.create(ROOT, "/t/open", holder="w")
    namespace.add_block(ROOT, "/t/open", "w", 0)
    namespace.delete(ROOT, "/t", True)
    step_by_step(namespace, clock)
    fleet.carry_out_all()
    assert counts(namespace) == before
    assert all(not node.ledger for node in fleet.nodes)


def test_a_wide_and_deep_tree_takes_many_steps(namespace: Namespace, clock: Clock) -> None:
    before = counts(namespace)
    namespace.mkdirs(ROOT, "/t" + "/d" * 50)
    for number in range(INODES_PER_STEP + 100):
        namespace.mkdirs(ROOT, f"/t/wide/{number}")
    namespace.delete(ROOT, "/t", True)
    assert step_by_step(namespace, clock) > 2
    assert counts(namespace) == before


def test_a_file_of_many_blocks_takes_many_steps(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    before = counts(namespace)
    write(namespace, fleet, "/f", [1] * (2 * BLOCKS_PER_STEP + 10))
    namespace.delete(ROOT, "/f")
    assert step_by_step(namespace, clock) >= 3
    fleet.carry_out_all()
    assert counts(namespace) == before


def test_names_outside_of_the_tree_are_kept(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    namespace.mkdirs(ROOT, "/t/d")
    write(namespace, fleet, "/t/d/one", [10])
    namespace.link(ROOT, "/t/d/one", "/t/two")
    namespace.link(ROOT, "/t/d/one", "/kept")
    namespace.write_file(ROOT, "/t/d/gone", b"x")
    namespace.link(ROOT, "/t/d/gone", "/t/gone")
    namespace.delete(ROOT, "/t", True)
    step_by_step(namespace, clock)
    status = namespace.stat(ROOT, "/kept")
    assert status.nlink == 1 and status.length == 10
    assert namespace.path_of(ROOT, status.inode_id) == "/kept"
    assert len(namespace.open(ROOT, "/kept").blocks) == 1
