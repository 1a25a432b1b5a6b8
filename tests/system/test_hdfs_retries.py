"""A call of an HDFS client that lost its answer, made again at the same namenode and at another one."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.message import Message

from oastfs.wire.frames import FrameBuffer
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder, Response, decode_response
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from tests.harness.cluster import HOST, Cluster

PROTOCOL = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
CLIENT_ID = uuid.UUID(int=7).bytes
DEADLINE_SECONDS = 20


class Caller:
    """One connection to a namenode, with the client id that all of them share."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), DEADLINE_SECONDS)
        self._encoder = RequestEncoder(CLIENT_ID, PROTOCOL, "root")
        self._buffer = FrameBuffer()
        self._socket.sendall(self._encoder.preamble())

    def call(self, number: int, retry: int, method: str, request: Message) -> Response:
        body = request.SerializeToString()
        self._socket.sendall(self._encoder.encode(FIRST_CALL_ID + number, retry, method, body))
        while (frame := self._buffer.next_frame()) is None:
            received = self._socket.recv(1 << 16)
            assert received, "the namenode closed the connection"
            self._buffer.feed(received)
        return decode_response(bytes(frame))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, namenodes=2, datanodes=0) as running:
        yield running


@contextmanager
def callers(cluster: Cluster) -> Iterator[list[Caller]]:
    found = [Caller(namenode.port) for namenode in cluster.namenodes]
    try:
        yield found
    finally:
        for caller in found:
            caller.close()


MODE = types.FsPermission(perm=0o644)
CREATE = pb.CreateRequest(
    src="/file",
    masked=MODE,
    clientName="c",
    createFlag=1,
    createParent=True,
    replication=1,
    blockSize=1 << 20,
)
COLOR = types.XAttr(namespace=types.XAttr.USER, name="color", value=b"green")
CALLS: list[tuple[str, Message]] = [
    ("create", CREATE),
    ("complete", pb.CompleteRequest(src="/file", clientName="c")),
    ("setXAttr", pb.SetXAttrRequest(src="/file", xAttr=COLOR, flag=1)),
    ("removeXAttr", pb.RemoveXAttrRequest(src="/file", xAttr=COLOR)),
    ("append", pb.AppendRequest(src="/file", clientName="c", flag=4)),
    ("complete", pb.CompleteRequest(src="/file", clientName="c")),
    ("rename", pb.RenameRequest(src="/file", dst="/renamed")),
    ("rename2", pb.Rename2Request(src="/renamed", dst="/again", overwriteDest=False)),
    ("createSymlink", pb.CreateSymlinkRequest(target="/x", link="/l", dirPerm=MODE, createParent=False)),
    ("delete", pb.DeleteRequest(src="/again", recursive=False)),
]
"""Each would fail, or answer otherwise, if it were carried out a second time (but for complete)."""


def test_made_again_a_call_answers_as_it_did(cluster: Cluster) -> None:
    with callers(cluster) as (first, second):
        for number, (method, request) in enumerate(CALLS):
            answer = first.call(number, 0, method, request)
            assert answer.succeeded, (method, answer)
            for caller in (first, second, second):
                again = caller.call(number, 1, method, request)
                assert again.succeeded and again.body == answer.body, (method, again)
        for number, (method, request) in enumerate(CALLS[-1:], 100):
            other = second.call(number, 0, method, request)
            assert other.succeeded and not pb.DeleteResponse.FromString(bytes(other.body)).result


def test_a_call_that_failed_is_carried_out_when_it_comes_again(cluster: Cluster) -> None:
    with callers(cluster) as (first, second):
        target = pb.Rename2Request(src="/none", dst="/there", overwriteDest=False)
        failed = first.call(1, 0, "rename2", target)
        assert failed.exception_class == "java.io.FileNotFoundException"
        made = pb.MkdirsRequest(src="/none", masked=MODE, createParent=True)
        assert first.call(2, 0, "mkdirs", made).succeeded
        assert second.call(1, 1, "rename2", target).succeeded
        found = first.call(3, 0, "getFileInfo", pb.GetFileInfoRequest(src="/there"))
        assert pb.GetFileInfoResponse.FromString(bytes(found.body)).HasField("fs")
