"""A namenode's answers about content in memory are, byte for byte, a datanode's about the same content."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, Op, read_request
from oastfs.wire.transfer.memory import MemoryBlock, checksum_answer, read_answer
from oastfs.wire.transfer.messages import checksum_request
from oastfs.wire.transfer.session import ServingSession
from tests.unit.datanode.peer import Node, nodes, write_block

RANGES = [(0, None), (0, 0), (0, 1), (511, 2), (512, 512), (700, 70_000), (65_536, 65_536), (65_535, 140_000)]


def from_memory(block: MemoryBlock, request: bytes) -> bytes:
    session = ServingSession()
    session.feed(request)
    taken = session.next_request()
    assert taken is not None
    op, message = taken
    if op is Op.READ_BLOCK:
        assert isinstance(message, pb.OpReadBlock)
        return b"".join(read_answer(block, message))
    assert isinstance(message, pb.OpBlockChecksum)
    return b"".join(checksum_answer(block, message))


def from_datanode(node: Node, request: bytes) -> bytes:
    """All that it answers until it sees that no more requests will come."""
    with socket.create_connection(("127.0.0.1", node.server.data_port), 20) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        pieces = []
        while piece := sock.recv(1 << 20):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, 512, 1024, 65_536, 300_123, 1_500_000])
def test_reads_and_checksums(tmp_path: Path, size: int) -> None:
    content, block = os.urandom(size), BlockId(1024, 1001, size)
    memory = MemoryBlock(1024, content, size)
    with nodes(tmp_path, 1) as (node,):
        write_block([node.target], block, content)
        for offset, length in RANGES:
            length = size if length is None else length
            if offset + length > size:
                continue
            for checksums in (True, False):
                request = read_request(block, offset, length, send_checksums=checksums)
                assert from_memory(memory, request) == from_datanode(node, request)
        for asked in (0, size, size // 3):
            for composite in (True, False):
                request = checksum_request(BlockId(1024, 1001, asked), composite=composite)
                assert from_memory(memory, request) == from_datanode(node, request)
