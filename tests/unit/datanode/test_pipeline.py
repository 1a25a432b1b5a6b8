"""Pipelines of several datanodes: agreement, failures, fencing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import BlockNotFound, ConnectionLost, CorruptBlock, StaleBlock
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    HEARTBEAT_SEQNO,
    BlockId,
    ChecksumKind,
    PacketHeader,
    Stage,
    Target,
    TransferConnection,
    checksum_chunks,
    write_request,
)
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until
from tests.unit.datanode.peer import TIMEOUT_SECONDS, Node, Pipeline, nodes, read_block, write_block

BLOCK = BlockId(1024, 1001)
CONTENT = os.urandom(1_000_000)


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[list[Node]]:
    with nodes(tmp_path, 3) as three:
        yield three


def targets(trio: list[Node]) -> list[Target]:
    return [node.target for node in trio]


def wait_until_cleared(node: Node) -> None:
    wait_until(lambda: len(node.store) == 0, "the attempt to be cleared away")


def assert_all_have(trio: list[Node], block: BlockId, content: bytes) -> None:
    for node in trio:
        replica = node.store.get(block.block_id, block.generation_stamp)
        assert replica.final
        assert read_block(node.target, block, 0, len(content)) == content


def test_every_datanode_has_what_was_acknowledged(trio: list[Node]) -> None:
    write_block(targets(trio), BLOCK, CONTENT)
    assert_all_have(trio, BLOCK, CONTENT)


def test_in_place_updates_reach_every_replica(trio: list[Node]) -> None:
    write_block(targets(trio), BLOCK, CONTENT)
    block = BlockId(1024, 1001, len(CONTENT))
    pipeline = Pipeline(targets(trio), block, Stage.PIPELINE_SETUP_APPEND, new_stamp=1002)
    model = bytearray(CONTENT)
    for offset, data in ((100, b"a" * 1000), (999_990, b"b" * 20), (1_500_000, b"c"), (512, b"d" * 512)):
        assert pipeline.put(offset, data, sync=offset == 100) == [pb.SUCCESS] * 3
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + len(data)] = data
    assert pipeline.finish() == [pb.SUCCESS] * 3
    assert_all_have(trio, BlockId(1024, 1002), bytes(model))


def test_many_packets_in_flight(trio: list[Node]) -> None:
    pipeline = Pipeline(targets(trio), BLOCK)
    seen: list[int] = []

    def take() -> None:
        for _ in range(501):
            ack = pipeline.ack()
            assert set(ack.reply) == {pb.SUCCESS}
            seen.append(ack.seqno)

    taker = threading.Thread(target=take)
    taker.start()
    for number in range(500):
        pipeline.send(number * 2000, CONTENT[number * 2000 : (number + 1) * 2000])
    pipeline.send(len(CONTENT), b"", last=True)
    taker.join(TIMEOUT_SECONDS)
    pipeline.close()
    assert seen == list(range(501))
    assert_all_have(trio, BLOCK, CONTENT)


def test_heartbeats_travel_down_and_back(trio: list[Node]) -> None:
    pipeline = Pipeline(targets(trio), BLOCK)
    pipeline.connection.send_packet(PacketHeader(0, HEARTBEAT_SEQNO, False, 0), b"", b"")
    ack = pipeline.ack()
    assert ack.seqno == HEARTBEAT_SEQNO and list(ack.reply) == [pb.SUCCESS] * 3
    pipeline.close()


@pytest.mark.parametrize("dead", [1, 2])
def test_a_datanode_that_does_not_answer_is_named_at_set_up(trio: list[Node], dead: int) -> None:
    hops = targets(trio)
    hops[dead] = Target("127.0.0.1", free_port())
    with TransferConnection.open(hops[0].host, hops[0].data_port, TIMEOUT_SECONDS) as connection:
        connection.send(write_request(BLOCK, hops, Stage.PIPELINE_SETUP_CREATE))
        response = connection.receive_message(pb.BlockOpResponse)
    assert response.status == pb.ERROR
    assert response.firstBadLink == hops[dead].address
    for node in trio:
        wait_until_cleared(node)


def test_a_refusal_further_down_is_named_at_set_up(trio: list[Node]) -> None:
    write_block([trio[2].target], BLOCK, b"here already")
    with pytest.raises(BlockNotFound, match="here already"):
        Pipeline(targets(trio), BLOCK)
    assert read_block(trio[2].target, BLOCK, 0, 12) == b"here already"


@pytest.mark.parametrize("dead", [1, 2])
def test_a_datanode_lost_in_the_middle_is_named_and_the_others_go_on(trio: list[Node], dead: int) -> None:
    pipeline = Pipeline(targets(trio), BLOCK)
    assert pipeline.put(0, CONTENT[:70_000]) == [pb.SUCCESS] * 3
    trio[dead].stop()
    pipeline.send(70_000, CONTENT[70_000:80_000])
    ack = pipeline.ack()
    assert list(ack.reply).index(pb.ERROR) == dead
    assert list(ack.reply)[:dead] == [pb.SUCCESS] * dead
    pipeline.close()
    rest = [node for number, node in enumerate(trio) if number != dead]
    block = BlockId(1024, 1001, 70_000)
    stage = Stage.PIPELINE_SETUP_STREAMING_RECOVERY
    pipeline = Pipeline(targets(rest), block, stage, new_stamp=1002)
    assert pipeline.put(70_000, CONTENT[70_000:]) == [pb.SUCCESS] * 2
    assert pipeline.finish() == [pb.SUCCESS] * 2
    assert_all_have(rest, BlockId(1024, 1002), CONTENT)


def test_an_idle_writer_hears_of_a_lost_datanode_with_its_next_packet(trio: list[Node]) -> None:
    pipeline = Pipeline(targets(trio), BLOCK)
    trio[1].stop()
    pipeline.send(0, b"x")
    assert list(pipeline.ack().reply) == [pb.SUCCESS, pb.ERROR]
    pipeline.close()


def test_damage_on_the_way_is_found_by_the_last_datanode(trio: list[Node]) -> None:
    pipeline = Pipeline(targets(trio), BLOCK)
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, b"sent")
    pipeline.connection.send_packet(PacketHeader(0, 0, False, 4), checksums, b"came")
    statuses = list(pipeline.ack().reply)
    assert pb.ERROR_CHECKSUM in statuses
    pipeline.close()


class Deaf:
    """The last datanode of a pipeline, which finds every packet damaged."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = Target("127.0.0.1", self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        accepted, _ = self._listener.accept()
        with TransferConnection(accepted) as connection:
            connection.receive_request()
            connection.send_message(pb.BlockOpResponse(status=pb.SUCCESS, firstBadLink=""))
            packet = connection.receive_packet()
            connection.send_message(pb.PipelineAck(seqno=packet.header.seqno, reply=[pb.ERROR_CHECKSUM]))
            connection.linger()

    def stop(self) -> None:
        self._thread.join(TIMEOUT_SECONDS)
        self._listener.close()


@pytest.mark.parametrize("damaged_before", [True, False])
def test_who_is_blamed_for_damage(trio: list[Node], damaged_before: bool) -> None:
    """The datanode before the one that found it looks at what it has stored: is it damaged already?"""
    deaf = Deaf()
    pipeline = Pipeline([trio[0].target, trio[1].target, deaf.target], BLOCK)
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, b"sent")
    data = b"came" if damaged_before else b"sent"
    pipeline.connection.send_packet(PacketHeader(0, 0, False, 4), checksums, data)
    expected = [pb.ERROR_CHECKSUM] if damaged_before else [pb.SUCCESS, pb.SUCCESS, pb.ERROR_CHECKSUM]
    assert list(pipeline.ack().reply) == expected
    pipeline.close()
    deaf.stop()


def test_ten_datanodes(tmp_path: Path) -> None:
    with nodes(tmp_path, 10) as ten:
        write_block(targets(ten), BLOCK, CONTENT)
        assert_all_have(ten, BLOCK, CONTENT)
        pipeline = Pipeline(targets(ten), BlockId(2048, 5))
        assert pipeline.put(0, b"x" * 1000) == [pb.SUCCESS] * 10
        ten[7].stop()
        pipeline.send(1000, b"y")
        assert list(pipeline.ack().reply) == [pb.SUCCESS] * 7 + [pb.ERROR]
        pipeline.close()


def test_what_was_not_acknowledged_is_cut_and_sent_again(trio: list[Node]) -> None:
    """Java names the acknowledged length as minBytesRcvd, and what it sent as maxBytesRcvd."""
    pipeline = Pipeline(targets(trio), BLOCK)
    for offset, size in ((0, 65_024), (65_024, 65_024), (130_048, 1000)):
        assert pipeline.put(offset, CONTENT[offset : offset + size]) == [pb.SUCCESS] * 3
    pipeline.close()
    wait_until(lambda: not any(node.store.get(1024).writer for node in trio), "the pipeline to end")
    # The writer saw the first acknowledgement only.
    block, stage = BlockId(1024, 1001, 65_024), Stage.PIPELINE_SETUP_STREAMING_RECOVERY
    again = Pipeline(targets(trio), block, stage, new_stamp=1002)
    assert {node.store.get(1024).length for node in trio} == {65_024}
    assert again.put(65_024, CONTENT[65_024:131_000]) == [pb.SUCCESS] * 3
    assert again.finish(131_000) == [pb.SUCCESS] * 3
    assert_all_have(trio, BlockId(1024, 1002), CONTENT[:131_000])


def test_a_replica_that_lacks_acknowledged_bytes_does_not_take_part(trio: list[Node]) -> None:
    write_block([trio[0].target], BLOCK, CONTENT[:5000])
    for stage in (Stage.PIPELINE_SETUP_STREAMING_RECOVERY, Stage.PIPELINE_CLOSE_RECOVERY):
        with pytest.raises(CorruptBlock):
            Pipeline([trio[0].target], BlockId(1024, 1001, 5001), stage, new_stamp=1002)
    assert trio[0].store.get(1024).length == 5000


def test_a_block_is_ended_again_before_the_answer(trio: list[Node]) -> None:
    """The writer of a block whose last acknowledgement was lost waits for nothing but the set-up."""
    write_block(targets(trio)[:2], BLOCK, CONTENT[:5000])
    pipeline = Pipeline([trio[2].target], BLOCK)
    assert pipeline.put(0, CONTENT[:5000]) == [pb.SUCCESS]  # this one has not seen the last packet
    block, stage = BlockId(1024, 1001, 5000), Stage.PIPELINE_CLOSE_RECOVERY
    with TransferConnection.open("127.0.0.1", trio[0].server.data_port, TIMEOUT_SECONDS) as connection:
        request = write_request(block, targets(trio), stage, client_name="test", new_stamp=1002)
        connection.send(request)
        assert connection.receive_message(pb.BlockOpResponse).status == pb.SUCCESS
        assert_all_have(trio, BlockId(1024, 1002), CONTENT[:5000])
    pipeline.close()


def test_a_newer_stamp_fences_the_older_writer(trio: list[Node]) -> None:
    old = Pipeline(targets(trio), BLOCK)
    assert old.put(0, CONTENT[:5000]) == [pb.SUCCESS] * 3
    block = BlockId(1024, 1001, 5000)
    stage = Stage.PIPELINE_SETUP_APPEND
    new = Pipeline(targets(trio), block, stage, new_stamp=1002)
    with pytest.raises(ConnectionLost):
        while True:
            assert set(old.ack().reply) != {pb.SUCCESS}
    old.close()
    assert new.put(5000, b"new") == [pb.SUCCESS] * 3
    assert new.finish() == [pb.SUCCESS] * 3
    assert_all_have(trio, BlockId(1024, 1002), CONTENT[:5000] + b"new")
    with pytest.raises(BlockNotFound, match="too old"):
        Pipeline(targets(trio), block, stage, new_stamp=1001)


def test_a_fenced_writer_in_full_flow_changes_nothing_more(trio: list[Node]) -> None:
    old = Pipeline(targets(trio), BLOCK)
    assert old.put(0, CONTENT[:1000]) == [pb.SUCCESS] * 3
    stop = threading.Event()

    def pour() -> None:
        try:
            while not stop.is_set():
                old.send(0, b"o" * 60_000)
        except ConnectionLost:
            pass

    pourer = threading.Thread(target=pour)
    pourer.start()
    try:
        new = Pipeline(targets(trio), BlockId(1024, 1001, 1000), Stage.PIPELINE_SETUP_APPEND, new_stamp=1002)
        assert new.put(0, b"n" * 2000) == [pb.SUCCESS] * 3
        assert new.finish() == [pb.SUCCESS] * 3
    finally:
        stop.set()
        old.connection.shut_down(2)
        pourer.join(TIMEOUT_SECONDS)
        old.close()
    assert_all_have(trio, BlockId(1024, 1002), b"n" * 2000)


def test_readers_during_updates_see_matching_checksums(trio: list[Node]) -> None:
    """``read_block`` verifies: a checksum that does not belong to the data fails it."""
    node = trio[0]
    write_block([node.target], BLOCK, CONTENT)
    pipeline = Pipeline(
        [node.target], BlockId(1024, 1001, len(CONTENT)), Stage.PIPELINE_SETUP_APPEND, new_stamp=1002
    )
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with node.connect() as connection:
                for _ in range(40):
                    read_block(connection, BLOCK, 100, 300_000)
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    number = 0
    while reader.is_alive():
        number += 1
        assert pipeline.put(number * 997 % 300_000, bytes((number % 256,)) * 3000) == [pb.SUCCESS]
    reader.join()
    assert pipeline.finish() == [pb.SUCCESS]
    assert not failures, failures[0]


def test_visible_bytes_are_those_that_all_have(trio: list[Node]) -> None:
    pipeline = Pipeline(targets(trio), BLOCK)
    assert pipeline.put(0, CONTENT[:3000]) == [pb.SUCCESS] * 3
    for node in trio:
        assert node.store.get(1024).visible_length == 3000
        assert read_block(node.target, BLOCK, 2000, 1000) == CONTENT[2000:3000]
    pipeline.close()


def test_stale_reopening_is_told_from_a_dead_datanode(trio: list[Node]) -> None:
    write_block(targets(trio), BLOCK, CONTENT)
    with pytest.raises((BlockNotFound, StaleBlock), match="older than 1005"):
        Pipeline(targets(trio), BlockId(1024, 1005, 10), Stage.PIPELINE_SETUP_APPEND, new_stamp=1006)
