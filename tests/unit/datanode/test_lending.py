"""Lent data files: what local writers put into them is a block, and what fenced ones do harms nobody."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.client.blocks import loan
from oastfs.client.blocks.packets import cut
from oastfs.client.blocks.pipeline import Pipeline, PipelineBroken
from oastfs.client.blocks.pool import Datanodes
from oastfs.core.errors import ConnectionLost
from oastfs.core.types import Location
from oastfs.datanode import layout
from oastfs.datanode.lending import may_borrow
from oastfs.datanode.reader import ReplicaReader
from oastfs.datanode.writer import ReplicaWriter
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    BlockId,
    ChecksumKind,
    PacketHeader,
    Stage,
    TransferConnection,
    checksum_chunks,
    encode_prefix,
    write_request,
)
from oastfs.wire.transfer.checksum import Buffer
from tests.unit.datanode.peer import Node, nodes, read_block
from tests.unit.datanode.peer import Pipeline as PlainPipeline

BLOCK = BlockId(1024, 1001)
MIB = 1 << 20
CONTENT = bytes(range(251)) * (3 * MIB // 251)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, local=True)
    yield node
    node.stop()


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(offset, size) of everything that datanodes were told to be in its file."""
    seen: list[tuple[int, int]] = []
    place = ReplicaWriter.place

    def watched(self: ReplicaWriter, offset: int, size: int, checksums: Buffer) -> None:
        place(self, offset, size, checksums)
        seen.append((offset, size))

    monkeypatch.setattr(ReplicaWriter, "place", watched)
    return seen


def _location(number: int, node: Node) -> Location:
    port, path = node.server.data_port, node.server.local_socket
    return Location(number, node.target.storage_uuid, number, "dn", "127.0.0.1", port, 0, path)


class Client:
    """A writer as OastFS's own clients are."""

    def __init__(self, *nodes: Node, block: BlockId = BLOCK) -> None:
        self.datanodes = Datanodes(timeout_seconds=20)
        self.pipeline = Pipeline(self.datanodes, [_location(number, one) for number, one in enumerate(nodes)])
        self.pipeline.set_up(block, Stage.PIPELINE_SETUP_CREATE, block.generation_stamp, "writer")

    def write(self, offset: int, data: bytes) -> None:
        for packet in cut(offset, [memoryview(data)]):
            self.pipeline.send(packet)

    def finish(self, end: int) -> None:
        self.pipeline.finish(end)
        self.pipeline.wait()
        self.pipeline.release()
        self.datanodes.close()


class Borrower:
    """A writer that does what it likes with what it was lent."""

    def __init__(self, node: Node, others: Sequence[Node] = ()) -> None:
        self.connection = TransferConnection.open_local(node.server.local_socket, 20)
        targets = [one.target for one in (node, *others)]
        stage = Stage.PIPELINE_SETUP_CREATE
        self.connection.send(write_request(BLOCK, targets, stage, client_name="test", lend=True))
        response, lent = self.connection.receive_loan()
        assert response.status == pb.SUCCESS and lent is not None
        self.file = lent
        self.seqno = 0

    def tell(self, offset: int, data: bytes, *, last: bool = False) -> pb.PipelineAck:
        """Say that ``data`` is in the file; the answer."""
        checksums = checksum_chunks(ChecksumKind.CRC32C, 512, data)
        header = PacketHeader(offset, self.seqno, last, len(data), placed=not last)
        self.seqno += 1
        self.connection.send_all((encode_prefix(header, len(checksums)), checksums))
        return self.connection.receive_message(pb.PipelineAck)

    def put(self, offset: int, data: bytes) -> None:
        os.pwrite(self.file, data, offset)
        assert set(self.tell(offset, data).reply) == {pb.SUCCESS}

    def close(self) -> None:
        self.connection.close()
        os.close(self.file)


def verified(node: Node, block_id: int = 1024) -> bytes:
    """All of a replica, which its checksums agree with."""
    replica = node.store.get(block_id)
    with ReplicaReader(replica) as reader:
        assert reader.holds(0, replica.length)
        assert replica.data_path.stat().st_size == replica.length
        return replica.data_path.read_bytes()


# --- what is written --------------------------------------------------------------------------------


def test_a_block_is_written_into_the_lent_file(node: Node, placed: list[tuple[int, int]]) -> None:
    client = Client(node)
    client.write(0, CONTENT)
    client.finish(len(CONTENT))
    assert sum(size for _, size in placed) == len(CONTENT)
    replica = node.store.get(1024, 1001)
    assert replica.final and not replica.journal_path.exists()
    assert verified(node) == CONTENT
    assert read_block(node.target, BLOCK, 700_001, MIB) == CONTENT[700_001 : 700_001 + MIB]
    assert node.store.volumes[0].used_bytes == len(CONTENT)


def test_what_was_flushed_is_there_for_readers(node: Node) -> None:
    client = Client(node)
    client.write(0, CONTENT[:MIB])
    client.pipeline.sync(MIB)
    client.pipeline.wait()
    client.write(MIB, CONTENT[MIB : 2 * MIB])
    assert read_block(node.target, BLOCK, 0, MIB) == CONTENT[:MIB]
    client.finish(2 * MIB)
    assert verified(node) == CONTENT[: 2 * MIB]


def test_the_other_datanodes_of_a_pipeline_get_it_from_the_first(
    node: Node, tmp_path: Path, placed: list[tuple[int, int]]
) -> None:
    with nodes(tmp_path / "others", 2) as others:
        client = Client(node, *others)
        client.write(0, CONTENT)
        client.write(4096, b"overwritten")
        client.write(len(CONTENT), b"and a little more")
        client.finish(len(CONTENT) + 17)
        assert placed[0] == (0, MIB) and len(placed) >= 3
        wanted = CONTENT[:4096] + b"overwritten" + CONTENT[4107:] + b"and a little more"
        for one in (node, *others):
            assert verified(one) == wanted


def test_a_mirror_that_dies_is_the_one_to_blame(node: Node, tmp_path: Path) -> None:
    other = Node(tmp_path / "other")
    client = Client(node, other)
    client.write(0, CONTENT[:MIB])
    client.pipeline.wait()
    other.stop()
    with pytest.raises(PipelineBroken) as broken:
        client.write(MIB, CONTENT[MIB:])
        client.finish(len(CONTENT))
    assert broken.value.culprit is not None and broken.value.culprit.data_port == other.server.data_port
    assert node.store.recover(1024, MIB, 1002).length >= MIB
    assert verified(node) == CONTENT[: node.store.get(1024).length]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_promise_that_is_not_kept_ends_the_write(node: Node, tmp_path: Path, mirrored: bool) -> None:
    """More is announced than is in the file."""
    with nodes(tmp_path / "others", int(mirrored)) as others:
        borrower = Borrower(node, others)
        borrower.put(0, CONTENT[:4096])
        with pytest.raises(ConnectionLost):
            borrower.tell(4096, CONTENT[4096:8192])
        borrower.close()
        assert node.store.recover(1024, 4096, 1002).length == 4096


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "overwrite", "gap", "sync"]),
        st.integers(1, 5000) | st.sampled_from([512, 1024, 4096, 65536]),
        st.integers(0, 1 << 30),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_any_order_of_writes(node: Node, steps: list[tuple[str, int, int]]) -> None:
    """What goes into the file and what goes by the datanode never meet."""
    node.store.delete(1024, 1 << 40)
    model = bytearray()
    client = Client(node)
    for number, (kind, size, where) in enumerate(steps):
        if kind == "sync":
            client.pipeline.sync(len(model))
            continue
        offset = len(model)
        if kind == "overwrite" and model:
            offset = where % len(model)
        elif kind == "gap":
            offset += where % 100_000
        data = bytes([number + 1]) * size
        model.extend(bytes(max(0, offset + size - len(model))))
        model[offset : offset + size] = data
        client.write(offset, data)
    client.finish(len(model))
    assert verified(node) == bytes(model)


def test_what_the_system_refuses_goes_through_the_datanode(
    node: Node, placed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    write = loan._write

    def failing(descriptor: int, pieces: Sequence[Buffer], offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            write(descriptor, [b"half of it"], offset)
            raise OSError(errno.EFBIG, "File too large")
        return write(descriptor, pieces, offset)

    monkeypatch.setattr(loan, "_write", failing)
    client = Client(node)
    client.write(0, CONTENT)
    client.finish(len(CONTENT))
    assert placed == [(0, MIB)]
    assert calls == 2
    assert verified(node) == CONTENT


def test_a_file_that_takes_nothing_breaks_the_pipeline(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loan.Loan, "put", lambda self, packet: None)  # a disk that hangs
    client = Client(node)
    client.datanodes.timeout_seconds = 0.2
    client.write(0, CONTENT[:MIB])
    with pytest.raises(PipelineBroken, match="took nothing in time"):
        client.pipeline.finish(MIB)


# --- who does not get one ---------------------------------------------------------------------------


class _Stranger(socket.socket):
    def getsockopt(self, *_: Any) -> Any:
        return struct.pack("3i", os.getpid(), os.geteuid() + 1, 0)


def test_only_who_could_open_it_anyway_is_lent_a_file() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, _Stranger(socket.AF_UNIX) as stranger, socket.socket(socket.AF_INET) as remote:
        assert may_borrow(ours)
        assert not may_borrow(stranger)
        assert not may_borrow(remote)


def test_nothing_is_lent_over_tcp(node: Node) -> None:
    request = write_request(BLOCK, [node.target], Stage.PIPELINE_SETUP_CREATE, client_name="c", lend=True)
    with node.connect() as connection:
        connection.send(request)
        assert connection.receive_loan()[1] is None


@pytest.mark.parametrize(
    ("offset", "told"), [(1024, 512), (512, 512), (0, 512), (1000, 24)], ids=["gap", "end", "again", "chunk"]
)
def test_what_is_not_there_or_does_not_follow_is_refused(node: Node, offset: int, told: int) -> None:
    borrower = Borrower(node)
    borrower.put(0, b"x" * 512)
    with pytest.raises(ConnectionLost):
        borrower.tell(offset, b"x" * told)
    borrower.close()
    assert node.store.recover(1024, 512, 1002).length == 512
    assert verified(node) == b"x" * 512


def test_packets_without_data_need_a_loan(node: Node) -> None:
    pipeline = PlainPipeline([node.target], BLOCK)
    assert pipeline.put(0, b"x" * 512) == [pb.SUCCESS]
    header = PacketHeader(512, 1, False, 512, placed=True)
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, b"x" * 512)
    pipeline.connection.send_all((encode_prefix(header, len(checksums)), checksums))
    with pytest.raises(ConnectionLost):
        pipeline.ack()
    pipeline.close()


# --- getting out of a loan --------------------------------------------------------------------------


def scribble(borrower: Borrower) -> None:
    """What a writer may do that does not know yet that it was fenced."""
    for at in (0, 512, MIB - 512, MIB, 3 * MIB):
        os.pwrite(borrower.file, b"scribbled" * 100, at)


def test_a_fenced_writer_harms_nothing(node: Node) -> None:
    borrower = Borrower(node)
    borrower.put(0, CONTENT[:MIB])
    os.pwrite(borrower.file, b"not told yet", MIB)
    block = BlockId(1024, 1001, MIB)
    newer = PlainPipeline([node.target], block, Stage.PIPELINE_SETUP_APPEND, new_stamp=1002)
    assert newer.put(MIB, b"newer") == [pb.SUCCESS]
    scribble(borrower)
    assert newer.put(MIB + 5, b" and newest") == [pb.SUCCESS]
    assert newer.finish(MIB + 16) == [pb.SUCCESS]
    scribble(borrower)
    assert verified(node) == CONTENT[:MIB] + b"newer and newest"
    borrower.close()


def test_a_recovered_block_is_nobody_elses(node: Node) -> None:
    borrower = Borrower(node)
    borrower.put(0, CONTENT[:MIB])
    os.pwrite(borrower.file, b"not told yet", MIB)
    replica = node.store.recover(1024, 512, 1002)
    scribble(borrower)
    assert replica.final and replica.length == MIB
    assert verified(node) == CONTENT[:MIB]
    borrower.close()


@pytest.mark.parametrize("litter", [False, True])
def test_loans_outlive_the_datanode(tmp_path: Path, litter: bool) -> None:
    node = Node(tmp_path, local=True)
    borrower = Borrower(node)
    borrower.put(0, CONTENT[:MIB])
    os.pwrite(borrower.file, b"not told yet", MIB)
    own = layout.own_copy_path(node.store.volumes[0].blocks, 1024)
    node.stop()
    if litter:
        own.write_bytes(b"died in the middle of the copy")
    again = Node(tmp_path, local=True)
    scribble(borrower)
    replica = again.store.recover(1024, 512, 1002)
    scribble(borrower)
    assert replica.length == MIB and not replica.corrupt and not own.exists()
    assert verified(again) == CONTENT[:MIB]
    again.stop()
    borrower.close()


def test_what_was_never_told_is_cut_off_at_the_end(tmp_path: Path) -> None:
    node = Node(tmp_path, local=True)
    borrower = Borrower(node)
    borrower.put(0, CONTENT[: 128 * 1024])
    os.pwrite(borrower.file, b"surplus", 128 * 1024)
    assert list(borrower.tell(128 * 1024, b"", last=True).reply) == [pb.SUCCESS]
    borrower.close()
    node.stop()
    again = Node(tmp_path)
    assert not again.store.get(1024).corrupt
    assert verified(again) == CONTENT[: 128 * 1024]
    again.stop()
