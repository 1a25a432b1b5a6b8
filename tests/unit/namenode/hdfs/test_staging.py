"""Small blocks that a namenode keeps until their files are completed: written once, and never lost."""

from __future__ import annotations

import pytest

from oastfs.core.errors import OastError
from oastfs.namenode import staging
from oastfs.namenode.blocks import inline
from oastfs.namenode.blocks.inline import Outcome
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.staging import Staging
from oastfs.store.schema import BLOCK, BLOCK_OWNER, DATANODE_COMMAND, REPLICA
from oastfs.wire.proto import hdfs_pb2 as types
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.hdfs.conftest import Hdfs
from tests.unit.namenode.hdfs.test_inline import (
    BYTES,
    complete,
    content,
    extents,
    read_inline,
    settle,
    stage,
    staged_bytes,
    update,
)
from tests.unit.namenode.hdfs.test_writing import add_block, fill, java_class
from tests.unit.namenode.ops.test_truncate import rows


def keep(hdfs: Hdfs, block: types.ExtendedBlock, data: bytes) -> bool:
    """What the first datanode of a pipeline asks for first; if it is not granted, the block is staged."""
    context = hdfs.namespace.context(ROOT)
    block_id, stamp = block.blockId, block.generationStamp
    may_be = hdfs.namespace.store.read(lambda tx: inline.may_be_kept(tx, context, block_id, stamp, data))
    return may_be and context.environment.staging.keep(block_id, stamp, data)


def kept(hdfs: Hdfs, fleet: Fleet, data: bytes = BYTES) -> tuple[types.LocatedBlock, types.ExtendedBlock]:
    """A file whose one block has ended and is kept; the block as given out, and as it ended."""
    hdfs.create("/f")
    block = add_block(hdfs, "/f")
    last = fill(fleet, block, len(data))
    assert keep(hdfs, block.b, data)
    assert staged_bytes(hdfs) == [b""], "nothing was written"
    return block, last


@pytest.fixture
def other(namespace: Namespace, clock: Clock) -> Hdfs:
    """Another namenode of the filesystem, or the same one when it was started anew."""
    return Hdfs(Namespace(namespace.store, clock_ns=clock))


def test_a_kept_block_becomes_content(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    _, last = kept(hdfs, fleet)
    assert settle(hdfs, last) == [Outcome.WAIT]
    complete(hdfs, last)
    assert content(namespace) == BYTES
    assert [rows(namespace, table) for table in (BLOCK, BLOCK_OWNER, REPLICA, DATANODE_COMMAND)] == [0] * 4
    assert settle(hdfs, last) == [Outcome.DISCARD]
    complete(hdfs, last)  # the answer was lost


def test_what_is_not_kept(hdfs: Hdfs, fleet: Fleet, namespace: Namespace, other: Hdfs) -> None:
    hdfs.create("/f")
    block = add_block(hdfs, "/f")
    assert not keep(hdfs, block.b, bytes(1025)), "longer than what is inline"
    assert not keep(other, block.b, BYTES), "given out elsewhere"
    assert stage(hdfs, block.b, BYTES)
    assert not keep(hdfs, block.b, BYTES), "staged already"
    complete(hdfs, fill(fleet, block, len(BYTES)))
    answer = hdfs.call("append", src="/f", clientName="writer", flag=4)
    assert not keep(hdfs, answer.block.b, BYTES + b"more"), "something was there before"


def test_what_is_not_completed_soon_is_written(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block, last = kept(hdfs, fleet)
    (one,) = _due(namespace)
    assert stage(hdfs, block.b, one.data)
    namespace.context(ROOT).environment.staging.forget(one)
    assert staged_bytes(hdfs) == [BYTES] and not _due(namespace)
    complete(hdfs, last)
    assert content(namespace) == BYTES


def _due(namespace: Namespace) -> list[staging.Kept]:
    kept_here = namespace.context(ROOT).environment.staging
    for one in kept_here._kept.values():
        one.kept_at -= 10
    return kept_here.due()


def test_the_namenode_dies_before_the_file_is_completed(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, other: Hdfs
) -> None:
    """The datanodes have the bytes, and are asked for them; until then the client waits."""
    block, last = kept(hdfs, fleet)
    for _ in range(2):
        assert not other.call("complete", src="/f", clientName="writer", last=last).result
    assert settle(other, last) == [Outcome.OFFER]
    assert stage(other, block.b, BYTES)
    assert settle(other, last) == [Outcome.WAIT]
    complete(other, last)
    assert content(namespace) == BYTES and settle(other, last) == [Outcome.DISCARD]


def test_doubt_ends(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, other: Hdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then datanodes have put on their disks what they could not ask about."""
    _, last = kept(hdfs, fleet)
    assert not other.call("complete", src="/f", clientName="writer", last=last).result
    monkeypatch.setattr(staging, "DOUBT_SECONDS", 0.0)
    complete(other, last)
    assert extents(other) == [(0, len(BYTES))] and settle(other, last) == [Outcome.KEEP]


def test_what_was_never_offered_is_no_matter_of_doubt_here(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    hdfs.create("/f")
    block = add_block(hdfs, "/f")
    complete(hdfs, fill(fleet, block, len(BYTES)))
    assert content(namespace) is None and extents(hdfs) == [(0, len(BYTES))]


@pytest.mark.parametrize("length", [1025, 4096])
def test_long_blocks_are_no_matter_of_doubt(hdfs: Hdfs, fleet: Fleet, other: Hdfs, length: int) -> None:
    hdfs.create("/f")
    complete(other, fill(fleet, add_block(hdfs, "/f"), length))
    assert extents(other) == [(0, length)]


def test_another_block_follows_a_kept_one(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, other: Hdfs
) -> None:
    block, last = kept(hdfs, fleet)
    with pytest.raises(OastError) as error:
        add_block(other, "/f", previous=last)
    assert java_class(error) == "NotReplicatedYetException"
    second = add_block(hdfs, "/f", previous=last)
    assert staged_bytes(hdfs) == [BYTES, None], "it is written now: datanodes may have it in memory only"
    assert rows(namespace, DATANODE_COMMAND) == 2, "they are told to make it final"
    complete(hdfs, fill(fleet, second, 7))
    assert extents(hdfs) == [(0, len(BYTES)), (len(BYTES), 7)]
    assert settle(hdfs, block.b, second.b) == [Outcome.KEEP] * 2


def test_a_kept_block_is_synced_by_its_end(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    """A flush that ends the block (SyncFlag.END_BLOCK): its bytes are promised."""
    file_id = hdfs.create("/f")
    block = add_block(hdfs, "/f")
    last = fill(fleet, block, len(BYTES))
    assert keep(hdfs, block.b, BYTES)
    hdfs.call("fsync", src="/f", client="writer", lastBlockLength=len(BYTES), fileId=file_id)
    assert staged_bytes(hdfs) == [BYTES] and settle(hdfs, last) == [Outcome.WAIT]
    complete(hdfs, last)
    assert content(namespace) == BYTES and rows(namespace, BLOCK) == 0


def test_a_kept_block_whose_last_acknowledgement_was_lost(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace
) -> None:
    block, _ = kept(hdfs, fleet)
    updated = update(hdfs, block)
    assert staged_bytes(hdfs) == [BYTES], "under the newer stamp"
    complete(hdfs, fill(fleet, updated, len(BYTES)))
    assert content(namespace) == BYTES


def test_readers_of_a_kept_block(hdfs: Hdfs, fleet: Fleet, namespace: Namespace) -> None:
    block, _ = kept(hdfs, fleet)
    found = read_inline(hdfs, block, fleet)
    assert found is not None and found[0] == BYTES


@pytest.mark.parametrize("here", [True, False])
def test_another_client_takes_a_file_whose_block_is_kept(
    hdfs: Hdfs, fleet: Fleet, namespace: Namespace, other: Hdfs, here: bool
) -> None:
    kept(hdfs, fleet)
    one = hdfs if here else other
    assert one.call("recoverLease", src="/f", clientName="other").result is here
    fleet.carry_out_all()
    assert one.call("recoverLease", src="/f", clientName="other").result
    assert content(namespace) == (BYTES if here else None)
    assert namespace.stat(ROOT, "/f").length == len(BYTES)


@pytest.mark.parametrize("how", ["delete", "abandon"])
def test_a_kept_block_that_goes_away(hdfs: Hdfs, fleet: Fleet, namespace: Namespace, how: str) -> None:
    block, last = kept(hdfs, fleet)
    if how == "delete":
        assert hdfs.call("delete", src="/f", recursive=False).result
    else:
        hdfs.call("abandonBlock", b=block.b, src="/f", holder="writer")
    (one,) = _due(namespace)
    assert stage(hdfs, block.b, one.data) is (how == "delete"), (
        "what is deleted is there until it is reclaimed"
    )
    with pytest.raises(OastError):
        complete(hdfs, last)


# --- alone ---------------------------------------------------------------------------------------------


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "KEPT_BYTES_MAX", 100)
    here = Staging()
    for block_id in (1, 2):
        here.give_out(block_id)
    assert here.keep(1, 1, bytes(60)) and not here.keep(2, 1, bytes(41)) and here.keep(2, 1, bytes(40))
    assert here.keep(1, 2, bytes(50)), "in the place of what was kept before"
    assert here.find(1, 1) == b"" and here.find(1, 2) == bytes(50)
    (first, second) = here._kept.values()
    here.forget(second)
    here.forget(second)
    assert here.keep(1, 3, bytes(100)) and not here.empty
    here.forget(first)
    assert here.find(1, 3), "what is kept since is something else"


def test_what_was_used_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Staging()
    here.give_out(1)
    assert here.keep(1, 1, b"x") and not here.due()
    assert [one.data for one in here.rest()] == [b"x"]
    here.use(1)
    here.use(2)
    assert not here.rest()
    monkeypatch.setattr(staging, "WRITE_AFTER_SECONDS", 0.0)
    assert not here.due() and here.find(1, 1) == b"x"
    monkeypatch.setattr(staging, "USED_SECONDS", 0.0)
    assert not here.due() and here.empty


def test_only_so_many_blocks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "GIVEN_MAX", 2)
    here = Staging()
    for block_id in (1, 2, 3):
        here.give_out(block_id)
    assert here.is_doubtful(1) and not here.is_doubtful(3) and not here.keep(1, 1, b"x")
    for block_id in (4, 5, 6):
        assert here.is_doubtful(block_id)
    assert len(here._doubtful) == 2
