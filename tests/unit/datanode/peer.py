"""The smallest client of a datanode that tests need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oastfs.datanode.block_store import BlockStore, Change
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.context import DataContext
from oastfs.datanode.data_server import DataServer
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.replica import Replica
from oastfs.datanode.small_blocks import SmallBlocks
from oastfs.datanode.volume import Volume
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import (
    BlockId,
    ChecksumKind,
    PacketHeader,
    Stage,
    Target,
    TransferConnection,
    check_response,
    checksum_chunks,
    first_bad_chunk,
    read_request,
    write_request,
)

TIMEOUT_SECONDS = 20.0


class Node:
    """A datanode's store and data server in this process, without namenodes."""

    def __init__(self, path: Path, *, volumes: int = 1, local: bool = False, **options: Any) -> None:
        roots = tuple(path / f"volume{number}" for number in range(volumes))
        socket_path = path / "sock" / "data" if local else None
        self.config = DatanodeConfig(volumes=roots, local_socket=socket_path, reserved_bytes=0, **options)
        self.changes: list[tuple[Change, int]] = []
        self.complaints: list[int] = []
        opened = [Volume.open(root, "dn", self.config.reserved_bytes) for root in roots]
        self.store = BlockStore(opened, self._changed)
        self.store.load()
        self.metrics = Metrics()
        self.asked: list[str] = []
        """What administrators asked for."""
        context = DataContext(
            self.store,
            self.config,
            self.metrics,
            lambda replica: self.complaints.append(replica.block_id),
            SmallBlocks(self.store, list, self.metrics),
            lambda incremental: self.asked.append("incremental report" if incremental else "full report"),
            lambda: self.asked.append("stop"),
        )
        self.server = DataServer(context)
        self.server.start()

    def _changed(self, change: Change, replica: Replica) -> None:
        self.changes.append((change, replica.block_id))

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.server.data_port, self.store.volumes[0].storage_uuid)

    def connect(self) -> TransferConnection:
        return TransferConnection.open("127.0.0.1", self.server.data_port, TIMEOUT_SECONDS)

    def stop(self) -> None:
        self.server.stop(0.2)
        self.store.close()


class Pipeline:
    """A write pipeline, as a client drives it."""

    def __init__(
        self,
        targets: Sequence[Target],
        block: BlockId,
        stage: Stage.ValueType = Stage.PIPELINE_SETUP_CREATE,
        *,
        new_stamp: int | None = None,
        kind: ChecksumKind = ChecksumKind.CRC32C,
        chunk: int = 512,
    ) -> None:
        self.kind, self.chunk = kind, chunk
        self.seqno = 0
        self.connection = TransferConnection.open(targets[0].host, targets[0].data_port, TIMEOUT_SECONDS)
        request = write_request(
            block,
            targets,
            stage,
            client_name="test",
            new_stamp=new_stamp,
            checksum=kind,
            bytes_per_checksum=chunk,
        )
        try:
            self.connection.send(request)
            self.response = self.connection.receive_message(pb.BlockOpResponse)
            check_response(self.response)
        except BaseException:
            self.connection.close()
            raise

    def send(self, offset: int, data: bytes, *, last: bool = False, sync: bool = False) -> None:
        checksums = checksum_chunks(self.kind, self.chunk, data)
        header = PacketHeader(offset, self.seqno, last, len(data), sync)
        self.connection.send_packet(header, checksums, data)
        self.seqno += 1

    def ack(self) -> pb.PipelineAck:
        return self.connection.receive_message(pb.PipelineAck)

    def put(self, offset: int, data: bytes, *, last: bool = False, sync: bool = False) -> list[int]:
        """Send one packet and wait; the statuses of all datanodes."""
        self.send(offset, data, last=last, sync=sync)
        ack = self.ack()
        return list(ack.reply)

    def finish(self, end: int = 0) -> list[int]:
        """The empty last packet; closes."""
        try:
            return self.put(end, b"", last=True)
        finally:
            self.close()

    def close(self) -> None:
        self.connection.close()


def write_block(
    targets: Sequence[Target], block: BlockId, data: bytes, *, packet: int = 65536, **options: Any
) -> None:
    """Create a block with this content on all targets."""
    pipeline = Pipeline(targets, block, **options)
    count = 0
    for at in range(0, len(data), packet):
        pipeline.send(at, data[at : at + packet])
        count += 1
    for _ in range(count):
        assert set(pipeline.ack().reply) == {pb.SUCCESS}
    assert set(pipeline.finish(len(data))) == {pb.SUCCESS}


def receive_range(
    connection: TransferConnection, offset: int, length: int, *, send_checksums: bool = True
) -> bytes:
    """Take the answer to a read request, verify it, tell the datanode; the asked bytes."""
    response = connection.receive_message(pb.BlockOpResponse)
    check_response(response)
    info = response.readOpChecksumInfo
    kind = ChecksumKind(info.checksum.type)
    assert kind is (ChecksumKind.CRC32C if send_checksums else ChecksumKind.NULL)
    received = bytearray()
    at = info.chunkOffset
    while True:
        packet = connection.receive_packet()
        if packet.header.last:
            break
        assert packet.header.offset == at
        assert first_bad_chunk(kind, 512, packet.data, packet.checksums) is None, "checksums do not match"
        received += packet.data
        at += packet.header.data_bytes
    connection.send_message(pb.ClientReadStatus(status=pb.CHECKSUM_OK))
    skip = offset - info.chunkOffset
    return bytes(received[skip : skip + length])


def read_block(
    target: Target | TransferConnection,
    block: BlockId,
    offset: int,
    length: int,
    *,
    send_checksums: bool = True,
) -> bytes:
    """Read a range of a block over a connection, or over a new one."""
    if isinstance(target, Target):
        with TransferConnection.open(target.host, target.data_port, TIMEOUT_SECONDS) as connection:
            return read_block(connection, block, offset, length, send_checksums=send_checksums)
    target.send(read_request(block, offset, length, client_name="test", send_checksums=send_checksums))
    return receive_range(target, offset, length, send_checksums=send_checksums)


@contextmanager
def nodes(path: Path, count: int, **options: Any) -> Any:
    """Some datanodes, stopped at the end."""
    started: list[Node] = []
    try:
        for number in range(count):
            started.append(Node(path / f"node{number}", **options))
        yield started
    finally:
        for node in started:
            node.stop()
