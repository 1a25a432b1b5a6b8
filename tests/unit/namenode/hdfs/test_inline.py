"""Small files of clients that know only blocks end inline, whatever goes wrong on the way."""

from __future__ import annotations

from typing import Any

import pytest

from oastfs.core.errors import LeaseConflict, OastError
from oastfs.core.types import Flag
from oastfs.namenode import blocks, tree
from oastfs.namenode.blocks import inline
from oastfs.namenode.blocks.inline import Outcome
from oastfs.namenode.context import Context
from oastfs.namenode.jobs.leases import LeaseExpiry
from oastfs.namenode.namespace import Namespace
from oastfs.store.schema import BLOCK, BLOCK_OWNER, CONTENT, DATANODE_COMMAND, REPLICA
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import hdfs_pb2 as types
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.hdfs.conftest import Hdfs
from tests.unit.namenode.hdfs.test_writing import add_block, fill, java_class
from tests.unit.namenode.ops.test_truncate import rows

BYTES = b"small" * 20
MORE = b"and more"


def stage(hdfs: Hdfs, block: types.ExtendedBlock, data: bytes) -> bool:
    """What the first datanode of a pipeline asks for before it acknowledges the last packet."""
    context = hdfs.namespace.context(ROOT)
    store = hdfs.namespace.store
    return store.write(lambda tx: inline.stage(tx, context, block.blockId, block.generationStamp, data))


def read_inline(
    hdfs: Hdfs, block: types.LocatedBlock, fleet: Fleet, which: int = 0
) -> tuple[bytes, int] | None:
    """What a datanode is told that has no replica of the block."""
    context = hdfs.namespace.context(ROOT)
    datanode_id = next(
        node.datanode_id for node in fleet.nodes if node.report.uuid == block.storageIDs[which]
    )
    return hdfs.namespace.store.read(lambda tx: inline.read(tx, context, datanode_id, block.b.blockId))


def staged_bytes(hdfs: Hdfs) -> list[bytes | None]:
    return [row.staged for _, row in hdfs.namespace.store.read(lambda tx: list(tx.scan(BLOCK)))]


def settle(hdfs: Hdfs, *blocks: types.ExtendedBlock) -> list[Outcome]:
    asked = [(block.blockId, block.generationStamp) for block in blocks]
    context = hdfs.namespace.context(ROOT)
    return hdfs.namespace.store.read(lambda tx: inline.settle(tx, context, asked))


def complete(hdfs: Hdfs, last: types.ExtendedBlock, client: str = "writer", path: str = "/f") -> None:
    assert hdfs.call("complete", src=path, clientName=client, last=last).result


def update(hdfs: Hdfs, block: types.LocatedBlock, **changes: Any) -> types.LocatedBlock:
    """The pipeline is set up anew, on the same datanodes, under a newer stamp."""
    updated = hdfs.call("updateBlockForPipeline", block=block.b, clientName="writer").block
    hdfs.call(
        "updatePipeline",
        clientName="writer",
        oldBlock=block.b,
        newBlock=updated.b,
        newNodes=[place.id for place in block.locs],
        storageIDs=list(block.storageIDs),
    )
    again = types.LocatedBlock()
    again.CopyFrom(block)
    again.b.generationStamp = updated.b.generationStamp
    return again


def content(namespace: Namespace, path: str = "/f") -> bytes | None:
    """Inline content; None if the file's content is in blocks."""
    return namespace.open(ROOT, path, 0, 1 << 20).data


def staged(hdfs: Hdfs, fleet: Fleet, data: bytes = BYTES) -> tuple[types.LocatedBlock, types.ExtendedBlock]:
    """A file whose one block has ended, before it is completed; the block as given out, and as it ended."""
    hdfs.create("/f")
    block = add_block(hdfs, "/f")
    last = fill(fleet, block, len(data))
    assert stage(hdfs, block.b, data)
    return block, last


def appending(hdfs: Hdfs, namespace: Namespace, before: bytes = BYTES) -> types.LocatedBlock:
    """An inline file that a client has begun to append to; the block that stands for its content."""
    namespace.write_file(ROOT, "/f", before)
    answer = hdfs.call("append", src="/f", clientName="writer", flag=4)
    block: types.LocatedBlock = answer.block
    assert (block.offset, block.b.numBytes, len(block.locs)) == (0, len(before), 2)
    assert answer.stat.block_replication == 2
    return block


def test_a_small_file_ends_inline(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block, last = staged(hdfs, fleet)
    assert namespace.stat(ROOT, "/f").length == 0 and settle(hdfs, last) == [Outcome.WAIT]
    found = hdfs.locations("/f")
    assert found.fileLength == 0 and found.lastBlock.b.blockId == block.b.blockId
    complete(hdfs, last)
    assert content(namespace) == BYTES and namespace.stat(ROOT, "/f").length == len(BYTES)
    assert [rows(namespace, table) for table in (BLOCK, BLOCK_OWNER, REPLICA, DATANODE_COMMAND)] == [0] * 4
    assert settle(hdfs, last) == [Outcome.DISCARD]
    complete(hdfs, last)  # the answer was lost
    last.numBytes += 1
    with pytest.raises(OastError) as error:
        complete(hdfs, last)
    assert java_class(error) == "LeaseExpiredException"


def test_staging_twice_is_staging_once(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block, last = staged(hdfs, fleet)
    assert stage(hdfs, block.b, BYTES)
    complete(hdfs, last)
    assert not stage(hdfs, block.b, BYTES), "too late: the datanode keeps what it has until it asks"
    assert content(namespace) == BYTES


def test_what_is_not_staged_is_a_block(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    hdfs.create("/f")
    block = add_block(hdfs, "/f")
    complete(hdfs, fill(fleet, block, len(BYTES)))
    assert content(namespace) is None and extents(hdfs) == [(0, len(BYTES))]
    assert settle(hdfs, block.b) == [Outcome.KEEP]


def test_another_length_than_the_staged_one_is_a_block(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    block, _ = staged(hdfs, fleet)
    complete(hdfs, fill(fleet, block, len(BYTES) - 1))
    assert content(namespace) is None and extents(hdfs) == [(0, len(BYTES) - 1)]


@pytest.mark.parametrize("size", [0, 1025, 4096])
def test_sizes_that_are_not_kept_inline(hdfs: Hdfs, fleet: Fleet, size: int) -> None:
    """The filesystem of these tests keeps up to 1,024 bytes inline, in blocks of 4,096."""
    hdfs.create("/f")
    assert not stage(hdfs, add_block(hdfs, "/f").b, bytes(size))


def test_a_full_block_is_not_staged(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    """Another one will follow it."""
    hdfs.create("/f", blockSize=512)
    first = add_block(hdfs, "/f")
    assert not stage(hdfs, first.b, bytes(512))
    second = add_block(hdfs, "/f", previous=fill(fleet, first, 512))
    assert not stage(hdfs, second.b, bytes(10))
    complete(hdfs, fill(fleet, second, 10))
    assert extents(hdfs) == [(0, 512), (512, 10)]


def test_a_staged_block_that_another_one_follows(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    """A client may end a block early (SyncFlag.END_BLOCK)."""
    block, last = staged(hdfs, fleet)
    second = add_block(hdfs, "/f", previous=last)
    complete(hdfs, fill(fleet, second, 7))
    assert extents(hdfs) == [(0, len(BYTES)), (len(BYTES), 7)]
    assert settle(hdfs, block.b, second.b) == [Outcome.KEEP] * 2
    assert staged_bytes(hdfs) == [BYTES, None], "the datanode has not synced its replica yet"
    for _ in range(2):
        hdfs.namespace.store.write(lambda tx: inline.unstage_synced(tx, [(block.b.blockId, 1)]))
        assert staged_bytes(hdfs) == [None, None]


def test_datanodes_that_lose_a_staged_block_that_another_one_follows(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    """They held it in memory, and died before they had put it on their disks: they fetch it."""
    block, last = staged(hdfs, fleet)
    second = add_block(hdfs, "/f", previous=last)
    complete(hdfs, fill(fleet, second, 7))
    for node in fleet.nodes:
        node.ledger.pop(block.b.blockId, None)
        node.report_blocks()
    assert rows(namespace, REPLICA) == 4, "those of both blocks"
    for which in (0, 1):
        assert read_inline(hdfs, block, fleet, which) == (BYTES, _storage_of(fleet, block.storageIDs[which]))
    with pytest.raises(LeaseConflict, match="on its way"):
        context = namespace.context(ROOT)
        namespace.store.write(lambda tx: _update_first(tx, context, block.b.blockId))
    fill(fleet, block, len(BYTES))  # what they do when they are told to settle the block
    fleet.carry_out_all()
    assert rows(namespace, DATANODE_COMMAND) == 0
    hdfs.namespace.store.write(lambda tx: inline.unstage_synced(tx, [(block.b.blockId, 1)]))
    assert staged_bytes(hdfs) == [None, None] and rows(namespace, REPLICA) == 4


def _update_first(tx: Transaction, context: Context, block_id: int) -> None:
    inode = tree.resolve(tx, context, "/f").inode
    blocks.begin_update(tx, context, inode, "other", 0, block_id, "/f")


def test_blocks_of_native_clients_are_blocks(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    namespace.create(ROOT, "/f", holder="native")
    block = namespace.add_block(ROOT, "/f", "native", 0)
    assert not stage(hdfs, types.ExtendedBlock(blockId=block.block_id, generationStamp=1), BYTES)
    namespace.complete(ROOT, "/f", "native", [fleet.write_block(block, 100)])


def test_strange_blocks_are_not_staged(hdfs: Hdfs, fleet: Fleet) -> None:
    block, last = staged(hdfs, fleet)
    for changes in (types.ExtendedBlock(blockId=12345), types.ExtendedBlock(generationStamp=2)):
        other = types.ExtendedBlock()
        other.CopyFrom(block.b)
        other.MergeFrom(changes)
        assert not stage(hdfs, other, BYTES)
    assert settle(hdfs, types.ExtendedBlock(blockId=1 << 50)) == [Outcome.KEEP], "never given out"
    complete(hdfs, last)


def test_the_last_acknowledgement_was_lost(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    """The writer ends the block again under a newer stamp; whether that is staged again or not."""
    for again in (True, False):
        block, _ = staged(hdfs, fleet)
        updated = update(hdfs, block)
        if again:
            assert stage(hdfs, updated.b, BYTES)
        complete(hdfs, fill(fleet, updated, len(BYTES)))
        assert content(namespace) == BYTES
        namespace.unlink(ROOT, "/f")


def test_a_writer_that_died_after_the_last_packet(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, clock: Clock
) -> None:
    staged(hdfs, fleet)
    clock.advance(3601)
    fleet.beat_all()
    LeaseExpiry(namespace).run_all(clock())
    assert content(namespace) == BYTES and hdfs.call("isFileClosed", src="/f").result
    assert rows(namespace, BLOCK) == rows(namespace, DATANODE_COMMAND) == 0


def test_another_client_takes_the_file(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block, _ = staged(hdfs, fleet)
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    assert content(namespace) == BYTES
    with pytest.raises(OastError):
        complete(hdfs, fill(fleet, block, 3))


def test_a_staged_block_is_given_up(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block, _ = staged(hdfs, fleet)
    hdfs.call("abandonBlock", b=block.b, src="/f", holder="writer")
    second = add_block(hdfs, "/f")
    complete(hdfs, fill(fleet, second, 3))
    assert extents(hdfs) == [(0, 3)] and settle(hdfs, block.b) == [Outcome.DISCARD]


@pytest.mark.parametrize("how", ["delete", "overwrite"])
def test_the_file_goes_away_meanwhile(hdfs: Hdfs, fleet: Fleet, namespace: Namespace, how: str) -> None:
    _, last = staged(hdfs, fleet)
    if how == "delete":
        assert hdfs.call("delete", src="/f", recursive=False).result
    else:
        namespace.write_file(ROOT, "/g", b"other")
        namespace.rename(ROOT, "/g", "/f")
    with pytest.raises(OastError):
        complete(hdfs, last)
    assert rows(namespace, CONTENT) == int(how == "overwrite")


def extents(hdfs: Hdfs) -> list[tuple[int, int]]:
    return [(block.offset, block.b.numBytes) for block in hdfs.locations("/f").blocks]


# --- files that are synced before they end ------------------------------------------------------------


def synced(hdfs: Hdfs, fleet: Fleet, length: int) -> types.LocatedBlock:
    """A file whose writer has told how far its only block reaches, and goes on."""
    file_id = hdfs.create("/f")
    block = add_block(hdfs, "/f")
    fill(fleet, block, length)
    hdfs.call("fsync", src="/f", client="writer", lastBlockLength=length, fileId=file_id)
    assert hdfs.locations("/f").lastBlock.b.numBytes == length
    return block


def test_a_small_file_that_was_synced_ends_inline(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = synced(hdfs, fleet, 40)
    assert namespace.stat(ROOT, "/f").length == 40 and content(namespace) is None
    assert not stage(hdfs, block.b, BYTES[:39])
    assert stage(hdfs, block.b, BYTES) and settle(hdfs, block.b) == [Outcome.WAIT]
    hdfs.namespace.store.write(lambda tx: inline.unstage_synced(tx, [(block.b.blockId, 1)]))
    assert staged_bytes(hdfs) == [BYTES], "its writer may complete the file"
    assert namespace.stat(ROOT, "/f").length == 40
    complete(hdfs, fill(fleet, block, len(BYTES)))
    assert content(namespace) == BYTES and settle(hdfs, block.b) == [Outcome.DISCARD]
    assert rows(namespace, BLOCK) == rows(namespace, REPLICA) == rows(namespace, BLOCK_OWNER) == 0
    fleet.carry_out_all()
    assert not any(node.ledger for node in fleet.nodes)


def test_a_synced_file_that_is_completed_unstaged_is_a_block(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    block = synced(hdfs, fleet, len(BYTES))
    complete(hdfs, fill(fleet, block, len(BYTES)))
    assert extents(hdfs) == [(0, len(BYTES))] and settle(hdfs, block.b) == [Outcome.KEEP]
    assert not stage(hdfs, block.b, BYTES), "its writer has ended"


def test_another_block_follows_a_synced_one(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = synced(hdfs, fleet, len(BYTES))
    assert stage(hdfs, block.b, BYTES)
    second = add_block(hdfs, "/f", previous=fill(fleet, block, len(BYTES)))
    complete(hdfs, fill(fleet, second, 3))
    assert extents(hdfs) == [(0, len(BYTES)), (len(BYTES), 3)]
    assert settle(hdfs, block.b, second.b) == [Outcome.KEEP] * 2


def test_a_writer_that_died_after_a_sync_and_the_last_packet(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    block = synced(hdfs, fleet, 40)
    assert stage(hdfs, block.b, BYTES)
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    assert content(namespace) == BYTES


# --- appending to inline files ----------------------------------------------------------------------


def test_appending_stays_inline_while_it_is_small(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = appending(hdfs, namespace)
    found = read_inline(hdfs, block, fleet)
    assert found is not None and found[0] == BYTES
    updated = update(hdfs, block)
    assert stage(hdfs, updated.b, BYTES + MORE)
    assert content(namespace) == BYTES, "not before the file is completed"
    complete(hdfs, fill(fleet, updated, len(BYTES + MORE)))
    assert content(namespace) == BYTES + MORE
    assert rows(namespace, BLOCK) == rows(namespace, BLOCK_OWNER) == 0


def test_appending_without_a_newer_stamp(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = appending(hdfs, namespace)
    assert stage(hdfs, block.b, BYTES + MORE)
    complete(hdfs, fill(fleet, block, len(BYTES + MORE)))
    assert content(namespace) == BYTES + MORE


def test_appending_much_makes_blocks(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    updated = update(hdfs, appending(hdfs, namespace))
    second = add_block(hdfs, "/f", previous=fill(fleet, updated, 4096))
    complete(hdfs, fill(fleet, second, 100))
    assert extents(hdfs) == [(0, 4096), (4096, 100)]
    assert namespace.stat(ROOT, "/f").length == 4196 and rows(namespace, CONTENT) == 0


def test_appending_nothing_changes_nothing(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = appending(hdfs, namespace)
    complete(hdfs, block.b)
    assert content(namespace) == BYTES and rows(namespace, BLOCK) == 0


def test_content_is_not_cut_by_who_appends(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = appending(hdfs, namespace)
    assert not stage(hdfs, block.b, BYTES[:-1])
    with pytest.raises(OastError, match="lacks bytes"):
        complete(hdfs, fill(fleet, block, len(BYTES) - 1))
    hdfs.call("abandonBlock", b=block.b, src="/f", holder="writer")
    assert hdfs.call("complete", src="/f", clientName="writer").result
    assert content(namespace) == BYTES


def test_only_datanodes_that_have_the_block_are_told(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = appending(hdfs, namespace)
    for which in (0, 1):
        found = read_inline(hdfs, block, fleet, which)
        assert found is not None and found[0] == BYTES
    del block.storageIDs[:]
    block.storageIDs.append(next(n.report.uuid for n in fleet.nodes if _storage(n) not in _targets(hdfs)))
    assert read_inline(hdfs, block, fleet) is None
    hdfs.call("recoverLease", src="/f", clientName="other")
    fleet.carry_out_all()


def _targets(hdfs: Hdfs) -> set[int]:
    found = hdfs.namespace.store.read(lambda tx: [row for _, row in tx.scan(BLOCK)])
    return set(found[0].targets)


def _storage(node: Any) -> int:
    return int(node.storage_id)


def test_readers_while_it_is_appended_to(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, clock: Clock
) -> None:
    block = appending(hdfs, namespace)
    found = hdfs.locations("/f")
    assert found.fileLength == 0 and found.lastBlock.b.blockId == block.b.blockId
    clock.advance(3600)  # all datanodes are dead by now
    found = hdfs.locations("/f")
    assert found.fileLength == len(BYTES) and found.blocks[0].locs[0].id.xferPort == 8020
    fleet.beat_all()
    complete(hdfs, block.b)


@pytest.mark.parametrize(
    ("on_datanodes", "expected"),
    [(None, None), (len(BYTES), None), (len(BYTES) + 8, [(0, len(BYTES) + 8)])],
    ids=["no replica was made", "nothing was flushed", "something was flushed"],
)
def test_a_writer_that_died_while_appending(
    hdfs: Hdfs,
    fleet: Fleet,
    namespace: Namespace,
    on_datanodes: int | None,
    expected: list[tuple[int, int]] | None,
) -> None:
    updated = update(hdfs, appending(hdfs, namespace))
    if on_datanodes is not None:
        fill(fleet, updated, on_datanodes)
    assert not hdfs.call("recoverLease", src="/f", clientName="other").result
    for _ in range(3):
        fleet.carry_out_all()
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    if expected is None:
        assert content(namespace) == BYTES and rows(namespace, BLOCK) == 0
    else:
        assert content(namespace) is None and extents(hdfs) == expected
        assert namespace.stat(ROOT, "/f").flags & Flag.BLOCKS


def test_a_writer_that_died_when_it_had_appended(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block = appending(hdfs, namespace)
    assert stage(hdfs, block.b, BYTES + MORE)
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    assert content(namespace) == BYTES + MORE


# --- a block behind inline content --------------------------------------------------------------------


def test_a_new_block_follows_inline_content(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    """CreateFlag.NEW_BLOCK: the content becomes a block, which datanodes have to fetch."""
    namespace.write_file(ROOT, "/f", BYTES)
    head = hdfs.call("append", src="/f", clientName="writer", flag=4 | 0x20).block
    for _ in range(2):  # the answer was lost
        second = add_block(hdfs, "/f", previous=head.b)
    assert second.offset == len(BYTES)
    assert read_inline(hdfs, head, fleet) == (BYTES, _storage_of(fleet, head.storageIDs[0]))
    complete(hdfs, fill(fleet, second, 7))
    assert extents(hdfs) == [(0, len(BYTES)), (len(BYTES), 7)] and content(namespace) is None
    assert settle(hdfs, head.b) == [Outcome.KEEP] and staged_bytes(hdfs) == [BYTES, None]
    fill(fleet, head, len(BYTES))  # what the datanodes do when they are told to settle the block
    fleet.carry_out_all()
    assert rows(namespace, DATANODE_COMMAND) == 0
    hdfs.namespace.store.write(lambda tx: inline.unstage_synced(tx, [(head.b.blockId, 1)]))
    assert staged_bytes(hdfs) == [None, None]


def test_content_that_was_expelled_may_come_back(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", BYTES)
    head = hdfs.call("append", src="/f", clientName="writer", flag=4 | 0x20).block
    second = add_block(hdfs, "/f", previous=head.b)
    hdfs.call("abandonBlock", b=second.b, src="/f", holder="writer")
    complete(hdfs, head.b)
    assert content(namespace) == BYTES and rows(namespace, BLOCK) == rows(namespace, REPLICA) == 0


def test_a_writer_that_died_behind_expelled_content(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", BYTES)
    head = hdfs.call("append", src="/f", clientName="writer", flag=4 | 0x20).block
    second = add_block(hdfs, "/f", previous=head.b)
    fill(fleet, second, 7)
    fill(fleet, head, len(BYTES))
    hdfs.call("recoverLease", src="/f", clientName="other")
    fleet.carry_out_all()
    assert hdfs.call("recoverLease", src="/f", clientName="other").result
    assert extents(hdfs) == [(0, len(BYTES)), (len(BYTES), 7)]


def _storage_of(fleet: Fleet, uuid: str) -> int:
    return next(node.storage_id for node in fleet.nodes if node.report.uuid == uuid)
