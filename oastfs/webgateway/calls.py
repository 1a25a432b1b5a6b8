"""Calls of HDFS's ClientProtocol as one user: the namenode decides what he may do, in its own words."""

from __future__ import annotations

import itertools
import uuid
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from oastfs.client.connection import Connection
from oastfs.client.url import Address
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import FILE_NOT_FOUND, JavaError

PROTOCOL: Final = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
CALL_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 5.0
CREATE: Final = 1
OVERWRITE: Final = 2
_EVERYTHING: Final = (1 << 63) - 1

M = TypeVar("M", bound=Message)


class UserCalls:
    """A connection to a namenode for the calls of one request. Used by one thread at a time."""

    def __init__(self, address: Address, user: str) -> None:
        self._encoder = RequestEncoder(uuid.uuid4().bytes, PROTOCOL, user)
        self._connection = Connection.open(address, self._encoder, CONNECT_SECONDS)
        self._ids = itertools.count(FIRST_CALL_ID)

    def __enter__(self) -> UserCalls:
        return self

    def __exit__(self, *_: Any) -> None:
        self._connection.close()

    def create(self, request: pb.CreateRequest) -> int:
        """A new file under construction; its inode id."""
        return int(self._call("create", request, pb.CreateResponse).fs.fileId)

    def append(self, path: str, holder: str) -> tuple[int, int]:
        """Take a file up to write at its end; its inode id, and the id of the block to go on with or 0."""
        answer = self._call("append", pb.AppendRequest(src=path, clientName=holder), pb.AppendResponse)
        return answer.stat.fileId, answer.block.b.blockId if answer.HasField("block") else 0

    def located_blocks(self, path: str, length: int = _EVERYTHING) -> types.LocatedBlocks:
        """The blocks of a file that the user may read."""
        request = pb.GetBlockLocationsRequest(src=path, offset=0, length=length)
        answer = self._call("getBlockLocations", request, pb.GetBlockLocationsResponse)
        if not answer.HasField("locations"):
            raise JavaError(FILE_NOT_FOUND, f"File does not exist: {path}")
        return answer.locations

    def _call(self, name: str, request: Message, answer: type[M]) -> M:
        call_id = next(self._ids)
        body = self._encoder.encode(call_id, 0, name, request.SerializeToString())
        response = self._connection.exchange(call_id, body, CALL_SECONDS)
        if not response.succeeded:
            raise JavaError(response.exception_class, response.message)
        return answer.FromString(bytes(response.body))
