"""ClientDatanodeProtocol, as far as a namenode's own blocks need it.

A client that opens a file which is being written asks where its last block is how much of it readers
see; of an inline file that is asked of the namenode itself.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError

from oastfs.core.errors import BlockNotFound, NoSuchVerb, OastError, ProtocolError
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.deferred import Deferred
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.inline_blocks import InlineBlocks
from oastfs.namenode.server.metrics import Metrics
from oastfs.wire.hadoop_rpc import Request
from oastfs.wire.proto import datanode_ipc_pb2 as pb

PROTOCOL: Final = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol"
METHOD: Final = "getReplicaVisibleLength"

_clock_ns = time.perf_counter_ns


class VisibleLengthHandler(Handler):
    """Answers from the store, for any block that this port serves."""

    protocol = PROTOCOL

    def __init__(self, blocks: InlineBlocks, completions: Completions, metrics: Metrics) -> None:
        self._blocks = blocks
        self._completions = completions
        self._figures = metrics.verb(METHOD)

    def describe(self, error: BaseException) -> tuple[str, str]:
        if isinstance(error, OastError):
            return error.java_class, str(error)
        return OastError.java_class, "the namenode failed unexpectedly; its log says more"

    def handle(self, request: Request, connection: RpcConnection) -> bytes | None:
        if request.method != METHOD:
            raise NoSuchVerb(f"Unknown method {request.method} called on {PROTOCOL} protocol.")
        try:
            block = pb.GetReplicaVisibleLengthRequest.FromString(bytes(request.body)).block
        except DecodeError:
            raise ProtocolError(f"the arguments of {METHOD} cannot be read") from None
        later = Deferred(self, self._completions, request, connection, self._figures, _clock_ns(), _encode)
        later.begin()
        look = partial(self._look, block.blockId, block.numBytes, later)
        if self._blocks.reads_at_once:
            look()
        else:
            self._blocks.on_thread(look)
        return None

    def _look(self, block_id: int, length: int, later: Deferred) -> None:
        try:
            found = self._blocks.find(block_id, length)
        except BlockNotFound as error:
            # Under its own name clients would take it for a writer that has not begun, and the length for 0.
            later.done(None, OastError(error.message))
        except Exception as error:
            later.done(None, error)
        else:
            later.done(found.length, None)


def _encode(length: Any) -> bytes:
    return pb.GetReplicaVisibleLengthResponse(length=length).SerializeToString()
