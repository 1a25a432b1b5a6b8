"""Small blocks: offered to namenodes before they are acknowledged, and made of what namenodes have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oastfs.core.errors import BlockNotFound, OastError
from oastfs.datanode import small_blocks
from oastfs.wire.proto import control_pb2
from oastfs.wire.proto import datanode_ipc_pb2 as ipc
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, ChecksumKind, Stage, TransferConnection, write_request
from tests.harness.waiting import wait_until
from tests.unit.datanode.namenode import RecordingNamenode
from tests.unit.datanode.peer import TIMEOUT_SECONDS, Pipeline, read_block, write_block
from tests.unit.datanode.rpc_peer import RpcPeer
from tests.unit.datanode.running import Running

BLOCK = BlockId(1024, 5)
SMALL = b"small" * 100
LIMIT = 1000
DISCARD, KEEP = control_pb2.SettleInlineResponse.DISCARD, control_pb2.SettleInlineResponse.KEEP

Run = Callable[..., Running]


@pytest.fixture(autouse=True)
def ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_blocks, "SETTLE_SECONDS", 0.05)


def offers(node: Running) -> dict[str, int]:
    """What the datanode counts."""
    samples = [one for metric in node.datanode.metrics.offers.collect() for one in metric.samples]
    return {one.labels["outcome"]: int(one.value) for one in samples if one.name.endswith("_total")}


def test_a_small_block_is_staged_before_it_is_acknowledged(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, SMALL) == [pb.SUCCESS]
    assert not namenode.staged
    assert pipeline.finish(len(SMALL)) == [pb.SUCCESS]
    assert namenode.staged == {1024: (5, SMALL)} and offers(node) == {"taken": 1}
    wait_until(lambda: len(namenode.asked) > 1, "the datanode to ask what has become of it")
    assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL, "readers have it meanwhile"
    namenode.outcomes[1024] = DISCARD
    wait_until(lambda: node.store.find(1024) is None, "the replica to be removed")
    wait_until(lambda: not node.datanode.small_blocks.watched, "the replica to be forgotten")


def test_a_block_that_it_has_to_be_stays(namenode: RecordingNamenode, start: Run) -> None:
    namenode.takes_inline = False
    namenode.outcomes[1024] = KEEP
    node = start()
    write_block([node.target], BLOCK, SMALL)
    wait_until(lambda: not node.datanode.small_blocks.watched, "the replica's fate to be known")
    assert offers(node) == {"refused": 1}
    assert not namenode.synced, "it was synced before it was acknowledged"
    assert node.store.get(1024, 5).final
    assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


def test_a_staged_block_that_becomes_a_block_is_synced(namenode: RecordingNamenode, start: Run) -> None:
    """Its writer goes on with another one. Only then the bytes need not be staged any more."""
    node = start()
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, SMALL) == [pb.SUCCESS]
    assert pipeline.put(len(SMALL), b"", last=True, sync=True) == [pb.SUCCESS]
    pipeline.close()
    assert namenode.staged == {1024: (5, SMALL)} and not namenode.synced
    namenode.outcomes[1024] = KEEP
    wait_until(lambda: namenode.synced == [(1024, 5)], "the namenode to be told")
    assert node.store.get(1024, 5).final and node.datanode.small_blocks.watched == 0


def test_without_an_answer_it_is_a_block(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    namenode.answers_offers = False
    write_block([node.target], BLOCK, SMALL)
    assert node.store.get(1024, 5).final and offers(node) == {"unanswered": 1}
    assert not namenode.staged


def test_without_a_namenode_it_is_a_block(namenode: RecordingNamenode, start: Run) -> None:
    """Whether it is offered depends on whether a heartbeat found out before."""
    node = start()
    namenode.stop()
    write_block([node.target], BLOCK, SMALL)
    assert node.store.get(1024, 5).final and "taken" not in offers(node)
    namenode.outcomes[1024] = KEEP
    namenode.start()
    wait_until(lambda: not node.datanode.small_blocks.watched, "the replica's fate to be known")
    assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


@pytest.mark.parametrize(("size", "client"), [(LIMIT + 1, "test"), (LIMIT, "")])
def test_what_is_not_offered(namenode: RecordingNamenode, start: Run, size: int, client: str) -> None:
    """Long blocks, and copies: those have no client."""
    node = start()
    with TransferConnection.open(node.target.host, node.target.data_port, TIMEOUT_SECONDS) as connection:
        stage = Stage.PIPELINE_SETUP_CREATE
        connection.send(write_request(BLOCK, [node.target], stage, client_name=client))
        assert connection.receive_message(pb.BlockOpResponse).status == pb.SUCCESS
        pipeline = Pipeline.__new__(Pipeline)
        pipeline.kind, pipeline.chunk, pipeline.seqno, pipeline.connection = (
            ChecksumKind.CRC32C,
            512,
            0,
            connection,
        )
        assert pipeline.put(0, bytes(size)) == [pb.SUCCESS]
        assert pipeline.put(size, b"", last=True) == [pb.SUCCESS]
    assert not namenode.staged and node.datanode.small_blocks.watched == 0
    assert node.store.get(1024, 5).final


def test_the_longest_block_that_is_kept_inline(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_block([node.target], BLOCK, bytes(LIMIT))
    assert namenode.staged == {1024: (5, bytes(LIMIT))}


@pytest.mark.parametrize("takes", [True, False])
def test_mirrors_sync_what_is_not_staged(namenode: RecordingNamenode, start: Run, takes: bool) -> None:
    namenode.takes_inline = takes
    namenode.outcomes[1024] = KEEP
    nodes = [start(name=f"dn{number}") for number in range(3)]
    write_block([node.target for node in nodes], BLOCK, SMALL)
    wait_until(lambda: not any(node.datanode.small_blocks.watched for node in nodes), "all to be settled")
    wait_until(lambda: len(namenode.synced) == (3 if takes else 0), "those to tell that synced it late")
    for node in nodes:
        assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


def test_every_datanode_of_a_pipeline_asks(namenode: RecordingNamenode, start: Run) -> None:
    nodes = [start(name=f"dn{number}") for number in range(3)]
    write_block([node.target for node in nodes], BLOCK, SMALL)
    assert namenode.staged == {1024: (5, SMALL)}
    assert all(node.store.get(1024, 5).final for node in nodes)
    namenode.outcomes[1024] = DISCARD
    wait_until(lambda: not any(node.store.find(1024) for node in nodes), "all replicas to be removed")


def test_a_block_that_is_ended_again(namenode: RecordingNamenode, start: Run) -> None:
    """The acknowledgement of the last packet was lost: the answer to the set-up says that it is durable."""
    node = start()
    write_block([node.target], BLOCK, SMALL)
    namenode.staged.clear()
    block = BlockId(1024, 5, len(SMALL))
    Pipeline([node.target], block, Stage.PIPELINE_CLOSE_RECOVERY, new_stamp=6).close()
    assert namenode.staged == {1024: (6, SMALL)}
    assert node.store.get(1024, 6).final
    namenode.outcomes[1024] = DISCARD
    wait_until(lambda: node.store.find(1024) is None, "the replica to be removed")


def test_a_block_that_is_written_on_is_not_removed(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_block([node.target], BLOCK, SMALL)
    block = BlockId(1024, 5, len(SMALL))
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_APPEND, new_stamp=6)
    namenode.outcomes[1024] = DISCARD  # as of a namenode that knows only the older stamp
    wait_until(lambda: not node.datanode.small_blocks.watched, "the older stamp to be settled")
    namenode.outcomes[1024] = KEEP
    assert pipeline.put(len(SMALL), b"more") == [pb.SUCCESS]
    assert pipeline.finish(len(SMALL) + 4) == [pb.SUCCESS]
    assert namenode.staged == {1024: (6, SMALL + b"more")}
    assert read_block(node.target, BlockId(1024, 6), 0, len(SMALL) + 4) == SMALL + b"more"


def test_a_datanode_that_ends_keeps_what_may_be_a_block(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_block([node.target], BLOCK, SMALL)
    node.datanode.stop()
    again = start()
    assert again.store.get(1024, 5).final
    assert read_block(again.target, BLOCK, 0, len(SMALL)) == SMALL


# --- blocks that stand for inline content -------------------------------------------------------------


def test_inline_content_is_appended_to(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    namenode.inline[1024] = SMALL
    block = BlockId(1024, 5, len(SMALL))
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_APPEND, new_stamp=6)
    assert pipeline.put(len(SMALL), b"more") == [pb.SUCCESS]
    assert read_block(node.target, BlockId(1024, 6), 0, len(SMALL) + 4) == SMALL + b"more"
    assert pipeline.finish(len(SMALL) + 4) == [pb.SUCCESS]
    assert namenode.staged == {1024: (6, SMALL + b"more")}


def test_nothing_is_appended(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    namenode.inline[1024] = SMALL
    pipeline = Pipeline([node.target], BlockId(1024, 5, len(SMALL)), Stage.PIPELINE_SETUP_APPEND)
    assert pipeline.finish(len(SMALL)) == [pb.SUCCESS]
    assert namenode.staged == {1024: (5, SMALL)}


def test_no_more_is_taken_than_the_writer_knows(namenode: RecordingNamenode, start: Run) -> None:
    """A pipeline that is mended: the namenode may have bytes staged that the writer sends again."""
    node = start()
    namenode.inline[1024] = SMALL + b"not acknowledged"
    block = BlockId(1024, 5, len(SMALL))
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_STREAMING_RECOVERY, new_stamp=6)
    assert node.store.get(1024, 6).length == len(SMALL)
    pipeline.close()


@pytest.mark.parametrize("content", [None, SMALL[:-1]])
def test_content_that_is_not_there_cannot_be_appended_to(
    namenode: RecordingNamenode, start: Run, content: bytes | None
) -> None:
    node = start()
    if content is not None:
        namenode.inline[1024] = content
    with pytest.raises(OastError, match="not here"):
        Pipeline([node.target], BlockId(1024, 5, len(SMALL)), Stage.PIPELINE_SETUP_APPEND)
    assert node.store.find(1024) is None


def test_inline_content_is_read_here_before_it_is_appended_to(
    namenode: RecordingNamenode, start: Run
) -> None:
    node = start()
    namenode.inline[1024] = SMALL
    with RpcPeer(node.target.data_port) as peer:
        block = ipc.ExtendedBlock(poolId="any", blockId=1024, generationStamp=5)
        answer = peer.call("getReplicaVisibleLength", ipc.GetReplicaVisibleLengthRequest(block=block))
        response = ipc.GetReplicaVisibleLengthResponse.FromString(bytes(answer.body))
        assert answer.succeeded and response.length == len(SMALL)
    assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL
    pipeline = Pipeline([node.target], BlockId(1024, 5, len(SMALL)), Stage.PIPELINE_SETUP_APPEND, new_stamp=6)
    assert pipeline.put(len(SMALL), b"more") == [pb.SUCCESS]
    assert pipeline.finish(len(SMALL) + 4) == [pb.SUCCESS]
    assert namenode.staged == {1024: (6, SMALL + b"more")}


def test_a_block_that_nobody_knows_is_not_here(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    with pytest.raises(BlockNotFound):
        read_block(node.target, BLOCK, 0, 1)
    namenode.stop()
    with pytest.raises(BlockNotFound):
        read_block(node.target, BLOCK, 0, 1)
