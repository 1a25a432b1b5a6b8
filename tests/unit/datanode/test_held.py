"""Small blocks in memory: which ones never get files, and what gives them files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oastfs.core.errors import BlockNotFound
from oastfs.datanode import gathering, small_blocks
from oastfs.datanode.held import OVERHEAD_BYTES, Held, Memory, put_into_files
from oastfs.datanode.reader import ReplicaReader
from oastfs.datanode.small_writer import SmallWriter
from oastfs.wire.proto import control_pb2
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, PacketHeader, Stage, checksum_chunks
from tests.harness.waiting import wait_until
from tests.unit.datanode.home import Home
from tests.unit.datanode.namenode import RecordingNamenode
from tests.unit.datanode.peer import Pipeline, read_block
from tests.unit.datanode.running import Running

BLOCK = BlockId(1024, 5)
SMALL = b"small" * 100
LIMIT = 4000
DISCARD, KEEP = control_pb2.SettleInlineResponse.DISCARD, control_pb2.SettleInlineResponse.KEEP
OFFER = control_pb2.SettleInlineResponse.OFFER

Run = Callable[..., Running]


@pytest.fixture(autouse=True)
def ask_often_and_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_blocks, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(gathering, "GATHER_SECONDS", 0.5)  # however busy the machine is


def files(node: Running) -> list[str]:
    """What there is on the datanode's disks."""
    found = (path for volume in node.store.volumes for path in volume.blocks.rglob("blk_*"))
    return sorted(path.name for path in found)


def wait_until_forgotten(node: Running) -> None:
    wait_until(lambda: node.store.find(1024) is None, "the replica to be forgotten")


def write_whole(nodes: list[Running], data: bytes, *, packet: int = 65536) -> Pipeline:
    """A block as a client writes a small file: its end follows at once."""
    pipeline = Pipeline([node.target for node in nodes], BLOCK)
    starts = range(0, len(data), packet)
    for at in starts:
        pipeline.send(at, data[at : at + packet])
    pipeline.send(len(data), b"", last=True)
    for _ in range(len(starts) + 1):
        assert list(pipeline.ack().reply) == [pb.SUCCESS] * len(nodes)
    pipeline.close()
    return pipeline


@pytest.mark.parametrize("count", [1, 3])
def test_what_comes_whole_and_is_staged_never_gets_files(
    namenode: RecordingNamenode, start: Run, count: int
) -> None:
    nodes = [start(name=f"dn{number}") for number in range(count)]
    write_whole(nodes, SMALL)
    assert namenode.staged == {1024: (5, SMALL)}
    for node in nodes:
        assert node.store.get(1024, 5).final and not files(node)
        assert node.store.memory.used_bytes == OVERHEAD_BYTES + len(SMALL)
    namenode.outcomes[1024] = DISCARD
    for node in nodes:
        wait_until_forgotten(node)
        assert not files(node) and node.store.memory.used_bytes == node.store.volumes[0].used_bytes == 0


def test_what_has_to_be_a_block_gets_files(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_whole([node], SMALL)
    namenode.outcomes[1024] = KEEP
    wait_until(lambda: namenode.synced == [(1024, 5)], "the namenode to be told")
    assert files(node) == ["blk_1024", "blk_1024_5.meta"] and node.store.memory.used_bytes == 0
    assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


def test_what_is_flushed_is_in_files_before_it_is_acknowledged(
    namenode: RecordingNamenode, start: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "GATHER_SECONDS", 0.01)
    nodes = [start(name=f"dn{number}") for number in range(2)]
    pipeline = Pipeline([node.target for node in nodes], BLOCK)
    assert pipeline.put(0, SMALL) == [pb.SUCCESS] * 2
    for node in nodes:
        assert node.store.get(1024).data_path.read_bytes() == SMALL
        assert node.store.get(1024).journal_path.exists() and node.store.memory.used_bytes == 0
    assert pipeline.put(len(SMALL), SMALL) == [pb.SUCCESS] * 2
    assert pipeline.finish(2 * len(SMALL)) == [pb.SUCCESS] * 2
    assert namenode.staged == {1024: (5, 2 * SMALL)}


def test_what_is_synced_is_in_files(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, SMALL, sync=True) == [pb.SUCCESS]
    assert node.store.get(1024).data_path.read_bytes() == SMALL
    assert pipeline.finish(len(SMALL)) == [pb.SUCCESS]


@pytest.mark.parametrize("answers", [True, False])
def test_what_is_not_staged_is_in_files_when_it_ends(
    namenode: RecordingNamenode, start: Run, answers: bool
) -> None:
    namenode.takes_inline, namenode.answers_offers = False, answers
    nodes = [start(name=f"dn{number}") for number in range(2)]
    write_whole(nodes, SMALL)
    for node in nodes:
        assert files(node) == ["blk_1024", "blk_1024_5.meta"]
        assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


def test_what_grows_too_long_goes_into_files(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    data = bytes(range(250)) * 20
    write_whole([node], data, packet=512)
    assert not namenode.staged and files(node) == ["blk_1024", "blk_1024_5.meta"]
    assert read_block(node.target, BLOCK, 100, 4500) == data[100:4600]


@pytest.mark.parametrize("room", [0, OVERHEAD_BYTES - 1, OVERHEAD_BYTES + len(SMALL) - 1])
def test_what_finds_no_room_goes_into_files(namenode: RecordingNamenode, start: Run, room: int) -> None:
    node = start(held_bytes_max=room)
    write_whole([node], SMALL)
    assert namenode.staged == {1024: (5, SMALL)} and node.store.memory.used_bytes == 0
    assert files(node) == ["blk_1024", "blk_1024_5.meta"]
    assert read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


def test_little_room_has_namenodes_asked_at_once(
    namenode: RecordingNamenode, start: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start(held_bytes_max=2 * (OVERHEAD_BYTES + len(SMALL)) - 1)
    monkeypatch.setattr(small_blocks, "SETTLE_SECONDS", 3600.0)
    namenode.outcomes[1024] = DISCARD
    write_whole([node], SMALL)
    node.store.memory.take(0)  # as the next block would
    wait_until(lambda: node.store.find(1024) is None, "the replica to be forgotten")


def test_readers_of_what_is_held(namenode: RecordingNamenode, start: Run) -> None:
    """Packets that end within chunks: checksums are made here."""
    node = start()
    data = bytes(range(250)) * 8
    write_whole([node], data, packet=700)
    assert not files(node)
    assert read_block(node.target, BLOCK, 600, 900) == data[600:1500]
    assert files(node) == ["blk_1024", "blk_1024_5.meta"] and node.store.memory.used_bytes == 0
    assert read_block(node.target, BLOCK, 0, len(data)) == data


def test_a_held_block_is_written_on(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_whole([node], SMALL)
    block = BlockId(1024, 5, len(SMALL))
    pipeline = Pipeline([node.target], block, Stage.PIPELINE_SETUP_APPEND, new_stamp=6)
    assert pipeline.put(len(SMALL), b"more") == [pb.SUCCESS]
    assert pipeline.finish(len(SMALL) + 4) == [pb.SUCCESS]
    assert namenode.staged == {1024: (6, SMALL + b"more")}
    assert read_block(node.target, BlockId(1024, 6), 0, len(SMALL) + 4) == SMALL + b"more"


def test_a_writer_that_goes_leaves_what_came(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    pipeline = Pipeline([node.target], BLOCK)
    pipeline.send(0, SMALL)
    pipeline.close()
    wait_until(lambda: (one := node.store.find(1024)) is not None and one.writer is None, "the end")
    assert node.store.recover(1024, 0, 6).length == len(SMALL)
    assert read_block(node.target, BlockId(1024, 6), 0, len(SMALL)) == SMALL


def test_damaged_bytes_are_not_staged(namenode: RecordingNamenode, start: Run) -> None:
    nodes = [start(name=f"dn{number}") for number in range(2)]
    pipeline = Pipeline([node.target for node in nodes], BLOCK)
    checksums = checksum_chunks(pipeline.kind, 512, SMALL)
    pipeline.connection.send_packet(PacketHeader(0, 0, False, len(SMALL)), checksums, SMALL[::-1])
    pipeline.connection.send_packet(PacketHeader(len(SMALL), 1, True, 0), b"", b"")
    assert pipeline.ack().reply[0] == pb.ERROR_CHECKSUM
    pipeline.close()
    assert not namenode.staged


def test_a_datanode_that_ends_puts_what_it_holds_into_files(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_whole([node], SMALL)
    node.datanode.stop()
    again = start()
    assert again.store.get(1024, 5).final
    assert read_block(again.target, BLOCK, 0, len(SMALL)) == SMALL


def test_the_scrubber_and_copies_find_files(namenode: RecordingNamenode, start: Run) -> None:
    node = start()
    write_whole([node], SMALL)
    assert node.datanode.scrubber.check(node.store.get(1024))
    with ReplicaReader(node.store.get(1024)) as reader:
        assert reader.holds(0, len(SMALL))


@pytest.mark.parametrize("taken", [True, False])
def test_a_namenode_that_knows_nothing_is_offered_it_again(
    namenode: RecordingNamenode, start: Run, taken: bool
) -> None:
    """It was started anew, and with it went what it had not written yet."""
    node = start()
    write_whole([node], SMALL)
    namenode.staged.clear()
    namenode.takes_inline = taken
    namenode.outcomes[1024] = OFFER
    wait_until(lambda: namenode.offered_again, "it to be offered")
    if taken:
        assert namenode.staged == {1024: (5, SMALL)} and not files(node)
    else:
        wait_until(lambda: files(node), "it to be put on the disk")
        assert node.store.memory.used_bytes == 0
    namenode.outcomes[1024] = KEEP
    wait_until(lambda: namenode.synced == [(1024, 5)], "the namenode to be told")
    assert files(node) and read_block(node.target, BLOCK, 0, len(SMALL)) == SMALL


def test_what_no_namenode_can_be_asked_about_goes_to_the_disk(
    namenode: RecordingNamenode, start: Run
) -> None:
    node = start()
    write_whole([node], SMALL)
    assert not files(node)
    namenode.stop()
    wait_until(lambda: files(node), "it to be put on the disk")
    assert node.datanode.small_blocks.longest == LIMIT, "what comes meanwhile may end inline as well"
    namenode.outcomes[1024] = DISCARD
    namenode.start()
    wait_until(lambda: node.store.find(1024) is None, "the replica to be forgotten")
    assert not files(node)


# --- without a network --------------------------------------------------------------------------------


def hold(home: Home, data: bytes = SMALL) -> SmallWriter:
    home.store.memory = Memory(1 << 20)
    writer = home.store.create(1024, 5, held_bytes_max=LIMIT)
    assert isinstance(writer, SmallWriter)
    writer.write(0, [data], None)
    return writer


def test_a_replica_that_is_received_has_no_files_for_others(home: Home) -> None:
    writer = hold(home)
    with pytest.raises(BlockNotFound):
        put_into_files(writer.replica)
    home.store.mark_missing(writer.replica)
    assert home.store.find(1024) is writer.replica
    writer.finalize(sync=False)
    home.store.mark_missing(writer.replica)
    assert home.store.get(1024) is writer.replica


def test_a_held_replica_that_was_removed_gets_no_files(home: Home) -> None:
    writer = hold(home)
    writer.finalize(sync=False)
    replica = home.store.delete(1024, 5)
    assert replica is writer.replica and home.store.memory.used_bytes == 0
    put_into_files(replica)
    assert not replica.data_path.exists()


def test_a_held_replica_is_recovered_into_files(home: Home) -> None:
    hold(home).finalize(sync=False)
    assert home.store.recover(1024, 0, 5).data_path.read_bytes() == SMALL, "under its own stamp"
    home.store.delete(1024, 5)
    hold(home).finalize(sync=False)
    home.store.recover(1024, 0, 6)
    home.reopen()
    assert home.store.get(1024, 6).length == len(SMALL)


def test_a_disk_that_takes_no_files(home: Home, tmp_path: Path) -> None:
    """What nobody was told of is lost with its writer, and leaves nothing behind."""
    writer = hold(home)
    blocks = home.store.volumes[0].blocks
    (blocks / "subdir0").rmdir() if (blocks / "subdir0").exists() else None
    (blocks / "subdir0").touch()
    with pytest.raises(OSError):
        writer.to_files()
    writer.abort()
    assert writer.closed.is_set() and home.store.find(1024) is None
    assert home.store.memory.used_bytes == 0 and home.store.volumes[0].used_bytes == 0


def test_what_is_added_elsewhere_than_at_the_end(home: Home) -> None:
    writer = hold(home, b"abc")
    writer.write(1, [b"xy"], None)
    writer.finalize()
    assert writer.replica.data_path.read_bytes() == b"axy" and writer.replica.length == 3


def test_memory_is_counted() -> None:
    pressed: list[int] = []
    memory = Memory(3 * OVERHEAD_BYTES, lambda: pressed.append(memory.used_bytes))
    held = Held.begin(memory, 10_000)
    assert held is not None and not pressed
    assert held.add(0, [bytes(100)], None) and not held.add(0, [b"x"], None)
    assert not held.add(100, [bytes(3 * OVERHEAD_BYTES)], None)
    assert Held.begin(memory, 10_000) is not None and pressed
    assert Held.begin(memory, 10_000) is None, "no room"
    assert Held.begin(Memory(1 << 20), 0) is None, "nothing is to be held"
    held.release()
    held.release()
    assert memory.used_bytes == OVERHEAD_BYTES
