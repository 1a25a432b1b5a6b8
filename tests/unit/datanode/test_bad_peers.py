"""Peers that send nonsense, too slowly, or not at all: only their own connection ends."""

from __future__ import annotations

import os
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.core.errors import ConnectionLost
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
    encode_prefix,
    read_request,
    write_request,
)
from oastfs.wire.transfer.messages import base_header, datanode_info
from oastfs.wire.transfer.ops import Op, encode_varint
from tests.harness.waiting import wait_until
from tests.unit.datanode.peer import Node, Pipeline, nodes, read_block, write_block

BLOCK = BlockId(1024, 1001)
CONTENT = os.urandom(8_000_000)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with nodes(
        tmp_path_factory.mktemp("bad"),
        1,
        connection_timeout_seconds=1.0,
        reader_timeout_seconds=1.0,
        idle_seconds=1.0,
    ) as (one,):
        write_block([one.target], BLOCK, CONTENT)
        yield one


def throw(node: Node, data: bytes) -> bytes:
    """Send bytes and the end of the stream; what comes back until the datanode closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", node.server.data_port), 10) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                received += piece
        except ConnectionError:
            pass  # a reset is an answer too
    return received


def write_session() -> bytes:
    data = b"fuzz" * 300
    checksums = checksum_chunks(ChecksumKind.CRC32C, 512, data)
    return (
        write_request(BlockId(77 << 10, 5), [Target("127.0.0.1", 1)], Stage.PIPELINE_SETUP_CREATE)
        + encode_prefix(PacketHeader(0, 0, False, len(data)), len(checksums))
        + checksums
        + data
        + encode_prefix(PacketHeader(len(data), 1, True, 0), 0)
    )


relaxed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(data=st.binary(max_size=2000))
def test_random_bytes(node: Node, data: bytes) -> None:
    throw(node, data)


@relaxed
@given(op=st.sampled_from(list(Op)), body=st.binary(max_size=300))
def test_random_bodies_of_known_operations(node: Node, op: Op, body: bytes) -> None:
    throw(node, b"\x00\x1c" + bytes((op,)) + encode_varint(len(body)) + body)


@relaxed
@given(cut=st.integers(0, 1400), where=st.integers(0, 1400), value=st.integers(0, 255))
def test_sessions_cut_short_and_altered(node: Node, cut: int, where: int, value: int) -> None:
    session = bytearray(write_session())
    throw(node, bytes(session[:cut]))
    session[where % len(session)] = value
    throw(node, bytes(session))


def test_afterwards_everything_is_as_it_was(node: Node) -> None:
    """Runs after the tests above, on the same datanode."""
    assert read_block(node.target, BLOCK, 0, len(CONTENT)) == CONTENT
    wait_until(lambda: node.server.active_connections == 0, "every thrown connection to end")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x1c\x50" + b"\xff" * 10,
        b"\x00\x1c\x51" + encode_varint(2**31),
        b"\x00\x00\x00\x00",
    ],
)
def test_huge_lengths_take_no_memory(node: Node, data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        assert throw(node, data) == b""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"not HTTP"),
        (b"hrpc\x08\x00\x00", b"version 9"),
        (b"hrpc\x09\x00\x00" + b"\xff" * 4, b"over the limit"),
        (b"hrpc\x09\x00\x00" + b"\x00\x00\x00\x05" + b"\xff" * 5, b"RpcServerException"),
    ],
)
def test_what_is_not_hadoop_rpc_is_told_so(node: Node, data: bytes, answer: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        assert answer in throw(node, data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize("op", [Op.READ_METADATA, Op.REPLACE_BLOCK, Op.COPY_BLOCK, Op.BLOCK_GROUP_CHECKSUM])
def test_operations_that_are_not_served_are_refused(node: Node, op: Op) -> None:
    header = base_header(BLOCK)
    bodies = {
        Op.READ_METADATA: b"\x0a\x01x",
        Op.REPLACE_BLOCK: pb.OpReplaceBlock(
            header=header, delHint="", source=datanode_info(node.target)
        ).SerializeToString(),
        Op.COPY_BLOCK: pb.OpCopyBlock(header=header).SerializeToString(),
        Op.BLOCK_GROUP_CHECKSUM: b"",
    }
    with node.connect() as connection:
        connection.send(b"\x00\x1c" + bytes((op,)) + encode_varint(len(bodies[op])) + bodies[op])
        response = connection.receive_message(pb.BlockOpResponse)
    assert response.status == pb.ERROR_UNSUPPORTED
    assert op.name in response.message


def test_a_packet_that_promises_too_much_ends_the_write(node: Node) -> None:
    block = BlockId(78 << 10, 5)
    opening = write_request(block, [node.target], Stage.PIPELINE_SETUP_CREATE)
    throw(node, opening + (2**31).to_bytes(4, "big") + b"\x00\x19" + bytes(100))
    assert node.store.get(block.block_id).length == 0


def test_a_reader_that_does_not_read_is_given_up(node: Node) -> None:
    with node.connect() as connection:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(read_request(BLOCK, 0, len(CONTENT)))
        wait_until(lambda: node.server.active_connections == 1, "the read to begin")
        wait_until(lambda: node.server.active_connections == 0, "the stalled read to be given up", 10)


def test_a_silent_connection_is_closed(node: Node) -> None:
    with node.connect() as connection:
        connection.sock.settimeout(10)
        assert connection.sock.recv(1) == b""


def test_a_writer_that_falls_silent_is_given_up(node: Node) -> None:
    pipeline = Pipeline([node.target], BlockId(79 << 10, 5))
    assert pipeline.put(0, b"acknowledged") == [0]
    with pytest.raises(ConnectionLost):
        pipeline.ack()
    pipeline.close()
    wait_until(lambda: node.store.get(79 << 10).writer is None, "the silent writer to be let go")
    assert read_block(node.target, BlockId(79 << 10, 5), 0, 12) == b"acknowledged"


def test_connections_are_limited(tmp_path: Path) -> None:
    with nodes(tmp_path, 1, connections_max=3) as (one,), ExitStack() as open_ones:
        held = {one.connect() for _ in range(4)}
        for connection in held:
            open_ones.callback(connection.close)
        # Which of them is the one too many is for the datanode to say: it takes them on several threads.
        refused = wait_until(
            lambda: next(filter(is_closed_by_peer, held), None), "a connection to be refused"
        )
        held.remove(refused)
        assert not any(map(is_closed_by_peer, held))
        held.pop().close()
        write_when_free(one)


def is_closed_by_peer(connection: TransferConnection) -> bool:
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable) and connection.sock.recv(1) == b""


def write_when_free(node: Node) -> None:
    def attempt() -> bool:
        write_block([node.target], BLOCK, b"x")
        return True

    wait_until(attempt, "a place for another connection")


class HungDatanode:
    """Takes part in a pipeline until it is set up, and then does nothing at all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = Target("127.0.0.1", self._listener.getsockname()[1])
        self._accepted: TransferConnection | None = None
        self._thread = threading.Thread(target=self._set_up)
        self._thread.start()

    def _set_up(self) -> None:
        self._accepted = TransferConnection(self._listener.accept()[0])
        self._accepted.receive_request()
        self._accepted.send_message(pb.BlockOpResponse(status=pb.SUCCESS))

    def close(self) -> None:
        self._thread.join()
        self._listener.close()
        assert self._accepted is not None
        self._accepted.close()


def test_a_hung_datanode_is_named_in_spite_of_heartbeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbour tells, before the writer gives up and blames the first of the pipeline."""
    monkeypatch.setattr("oastfs.datanode.mirror.SECONDS_PER_DATANODE", 0.2)
    hung = HungDatanode()
    with nodes(tmp_path, 1, connection_timeout_seconds=3.0) as (one,):
        pipeline = Pipeline([one.target, hung.target], BLOCK)
        started = time.monotonic()
        pipeline.send(0, b"never acknowledged")
        time.sleep(2.3)
        pipeline.connection.send_packet(PacketHeader(0, HEARTBEAT_SEQNO, False, 0), b"", b"")
        assert list(pipeline.ack().reply) == [pb.SUCCESS, pb.ERROR]
        assert time.monotonic() - started < 4.2
        pipeline.close()
    hung.close()
