"""What clients ask of a block that is being written, asked of the namenode about its own blocks."""

from __future__ import annotations

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.inline_blocks import hole_block_id, inline_block_id
from oastfs.core.types import SUPERUSER
from oastfs.namenode.server.process import Endpoints
from oastfs.namenode.server.visible_length import METHOD, PROTOCOL
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, Response
from oastfs.wire.proto import datanode_ipc_pb2 as pb
from oastfs.wire.varint import encode_delimited
from tests.unit.namenode.server.conftest import RawClient


def ask(endpoints: Endpoints, body: bytes, method: str = METHOD) -> Response:
    raw = RawClient(endpoints.port, PROTOCOL).open()
    raw.send(FIRST_CALL_ID, method, body)
    response = raw.receive()
    raw.close()
    assert response is not None
    return response


def question(block_id: int, length: int = 0) -> bytes:
    block = pb.ExtendedBlock(poolId="p", blockId=block_id, generationStamp=1, numBytes=length)
    return pb.GetReplicaVisibleLengthRequest(block=block).SerializeToString()


def test_the_length_of_an_inline_file(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    status = remote.write_file(SUPERUSER, "/file", bytes(1234))
    response = ask(endpoints, question(inline_block_id(status.inode_id)))
    assert response.succeeded
    assert pb.GetReplicaVisibleLengthResponse.FromString(bytes(response.body)).length == 1234


def test_the_length_of_a_hole_is_the_one_that_it_was_given(endpoints: Endpoints) -> None:
    response = ask(endpoints, question(hole_block_id(0), 77))
    assert pb.GetReplicaVisibleLengthResponse.FromString(bytes(response.body)).length == 77


@pytest.mark.parametrize("block_id", [1025, inline_block_id(999_999)])
def test_a_block_that_is_not_here_is_no_block_of_length_0(endpoints: Endpoints, block_id: int) -> None:
    """Clients take ReplicaNotFoundException for a writer that has not begun."""
    response = ask(endpoints, question(block_id))
    assert not response.succeeded
    assert response.exception_class == "java.io.IOException"


def test_other_calls_and_nonsense_are_refused(endpoints: Endpoints) -> None:
    assert not ask(endpoints, b"", "getVolumeReport").succeeded
    assert not ask(endpoints, b"\xff" + encode_delimited(b"x")).succeeded
