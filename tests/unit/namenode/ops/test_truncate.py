from __future__ import annotations

from typing import Any

import pytest

from oastfs.core.errors import (
    FileTooLarge,
    InvalidArgument,
    IsADirectory,
    LeaseConflict,
    PermissionDenied,
    StaleBlock,
)
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import Flag
from oastfs.namenode.blocks.drop import AT_ONCE_MAX
from oastfs.namenode.jobs.reclaim import Reclaim
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import BLOCK, CONTENT, DATANODE_COMMAND, REPLICA
from oastfs.store.table import Table
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ALICE, BOB, ROOT, Clock


def write(namespace: Namespace, fleet: Fleet, path: str, lengths: list[int]) -> None:
    """A file with a committed block of each length, one at each block boundary (0: none there)."""
    namespace.create(ROOT, path, holder="w")
    commits = [
        fleet.write_block(namespace.add_block(ROOT, path, "w", number * 4096), length)
        for number, length in enumerate(lengths)
        if length
    ]
    namespace.complete(ROOT, path, "w", commits)


def extents(namespace: Namespace, path: str) -> list[tuple[int, int]]:
    return [(block.offset, block.length) for block in namespace.open(ROOT, path, 0, 1 << 62).blocks]


def rows(namespace: Namespace, table: Table[Any]) -> int:
    return namespace.store.read(lambda tx: sum(1 for _ in tx.scan(table)))


@pytest.mark.parametrize(
    ("length", "left"),
    [
        (9000, [(0, 4096), (8192, 100)]),
        (8292, [(0, 4096), (8192, 100)]),
        (8200, [(0, 4096), (8192, 8)]),
        (8192, [(0, 4096)]),
        (5000, [(0, 4096)]),
        (4096, [(0, 4096)]),
        (1, [(0, 1)]),
        (0, []),
    ],
)
def test_of_blocks(namespace: Namespace, fleet: Fleet, length: int, left: list[tuple[int, int]]) -> None:
    write(namespace, fleet, "/f", [4096, 0, 100])
    assert namespace.truncate(ROOT, "/f", length).length == length
    assert extents(namespace, "/f") == left
    fleet.carry_out_all()
    assert sum(len(node.ledger) for node in fleet.nodes) == 2 * len(left)
    assert rows(namespace, DATANODE_COMMAND) == 0


def test_to_nothing_a_file_is_inline_again(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/f", [4096])
    assert namespace.truncate(ROOT, "/f", 0).is_inline
    namespace.write_inline(ROOT, "/f", [(0, b"again")])
    assert namespace.open(ROOT, "/f").data == b"again"


@pytest.mark.parametrize(("length", "data"), [(3, b"abc"), (0, b""), (6, b"abcdef"), (9, b"abcdef\0\0\0")])
def test_of_inline_content(namespace: Namespace, length: int, data: bytes) -> None:
    inode_id = namespace.write_file(ROOT, "/f", b"abcdef").inode_id
    assert namespace.truncate(ROOT, "/f", length).length == length
    assert namespace.open(ROOT, "/f").data == data
    namespace.truncate(ROOT, "/f", 8)
    assert namespace.open(ROOT, "/f").data == data[:8].ljust(8, b"\0")
    row = namespace.store.read(lambda tx: tx.get(CONTENT, (inode_id,)))
    assert (row is None) == (length == 0)


def test_far_past_the_inline_limit(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"abc")
    assert namespace.truncate(ROOT, "/f", 1 << 40).length == 1 << 40
    opened = namespace.open(ROOT, "/f")
    assert opened.data == b"abc" and opened.status.length == 1 << 40
    assert namespace.truncate(ROOT, "/f", 5).length == 5
    assert namespace.open(ROOT, "/f").data == b"abc\0\0"


def test_many_blocks_are_left_to_the_reclaim_job(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [10] * (AT_ONCE_MAX + 6))
    namespace.truncate(ROOT, "/f", 4096 * 2)
    assert extents(namespace, "/f") == [(0, 10), (4096, 10)]
    assert rows(namespace, BLOCK) == AT_ONCE_MAX + 6
    assert rows(namespace, DATANODE_COMMAND) == 0
    Reclaim(namespace).run_all(clock())
    assert (rows(namespace, BLOCK), rows(namespace, REPLICA)) == (2, 4)
    fleet.carry_out_all()
    assert sum(len(node.ledger) for node in fleet.nodes) == 4


def test_what_is_being_written_comes_afterwards(namespace: Namespace, fleet: Fleet) -> None:
    write(namespace, fleet, "/f", [100])
    new = fleet.write_block(namespace.add_block(ROOT, "/f", "mount", 4096), 50)
    namespace.truncate(ROOT, "/f", 10)
    status = namespace.complete(ROOT, "/f", "mount", [new])
    assert status.length == 4146 and extents(namespace, "/f") == [(0, 10), (4096, 50)]


def test_an_update_under_way_is_fenced(namespace: Namespace, fleet: Fleet) -> None:
    """Its replicas were prepared for bytes that are cut off now, and would bring them back."""
    write(namespace, fleet, "/f", [1000])
    (block,) = namespace.open(ROOT, "/f").blocks
    update = namespace.update_block(ROOT, "/f", "mount", 0, block.block_id)
    namespace.truncate(ROOT, "/f", 300)
    with pytest.raises(StaleBlock):
        namespace.commit(ROOT, "/f", "mount", [fleet.write_block(update, 1000)])
    again = namespace.update_block(ROOT, "/f", "mount", 0, block.block_id)
    assert again.length == 300 and len(again.locations) == 2
    assert namespace.complete(ROOT, "/f", "mount", [fleet.write_block(again, 400)]).length == 400


def test_a_writer_that_goes_on_after_a_sync_does_not_bring_back_what_was_cut_off(
    namespace: Namespace, fleet: Fleet
) -> None:
    """It has a pipeline to replicas that still hold that, under the stamp that is committed."""
    write(namespace, fleet, "/f", [100])
    (block,) = namespace.open(ROOT, "/f").blocks
    update = namespace.update_block(ROOT, "/f", "mount", 0, block.block_id)
    namespace.commit(ROOT, "/f", "mount", [fleet.write_block(update, 1000)])
    namespace.truncate(ROOT, "/f", 300)
    with pytest.raises(StaleBlock):
        namespace.commit(ROOT, "/f", "mount", [fleet.write_block(update, 1200)])
    again = namespace.update_block(ROOT, "/f", "mount", 0, block.block_id)
    assert again.length == 300
    assert namespace.complete(ROOT, "/f", "mount", [fleet.write_block(again, 1200)]).length == 1200


def test_times_and_flags(namespace: Namespace, fleet: Fleet, clock: Clock) -> None:
    write(namespace, fleet, "/f", [100])
    clock.advance(10)
    status = namespace.truncate(ROOT, "/f", 200)
    assert status.mtime_ns == status.ctime_ns == clock.now_ns
    assert status.flags == Flag.BLOCKS


def test_refused(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/home/alice/f", b"", 0o644)
    with pytest.raises(InvalidArgument):
        namespace.truncate(ALICE, "/home/alice/f", -1)
    with pytest.raises(FileTooLarge):
        namespace.truncate(ALICE, "/home/alice/f", FILE_BYTES_MAX + 1)
    with pytest.raises(PermissionDenied):
        namespace.truncate(BOB, "/home/alice/f", 1)
    with pytest.raises(IsADirectory):
        namespace.truncate(ROOT, "/tmp", 0)
    namespace.create(ROOT, "/g", holder="w")
    with pytest.raises(LeaseConflict):
        namespace.truncate(ROOT, "/g", 0)
