"""What datanodes ask on the namenode's own port (``wire/datanode_calls.py``)."""

from __future__ import annotations

import time
from typing import Any, Final

from google.protobuf.message import DecodeError

from oastfs.core.errors import InvalidArgument, NoSuchVerb, OastError, ProtocolError
from oastfs.core.types import SUPERUSER
from oastfs.namenode.blocks import inline
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.deferred import Deferred
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import Metrics
from oastfs.wire.datanode_calls import PROTOCOL, STORE_INLINE
from oastfs.wire.hadoop_rpc import Request
from oastfs.wire.proto import control_pb2 as pb

_clock_ns: Final = time.perf_counter_ns
_ACCEPTED: Final = pb.StoreInlineResponse(accepted=True).SerializeToString()
_REFUSED: Final = pb.StoreInlineResponse().SerializeToString()


class DatanodeHandler(Handler):
    """Small blocks are staged by it."""

    protocol = PROTOCOL

    def __init__(self, namespace: Namespace, completions: Completions, metrics: Metrics) -> None:
        self._namespace = namespace
        self._completions = completions
        self._figures = metrics.verb(STORE_INLINE)

    def describe(self, error: BaseException) -> tuple[str, str]:
        if isinstance(error, OastError):
            return error.java_class, str(error)
        return OastError.java_class, "the namenode failed unexpectedly; its log says more"

    def handle(self, request: Request, connection: RpcConnection) -> bytes | None:
        if request.method != STORE_INLINE:
            raise NoSuchVerb(f"Unknown method {request.method} called on {PROTOCOL} protocol.")
        try:
            block = pb.StoreInlineRequest.FromString(bytes(request.body))
        except DecodeError:
            raise ProtocolError(f"the arguments of {STORE_INLINE} cannot be read") from None
        block_id, stamp, data = block.block_id, block.generation_stamp, block.data
        if not block_id or max(block_id, stamp) >> 63:
            raise InvalidArgument(f"not a block: {block_id} with stamp {stamp}")
        context = self._namespace.context(SUPERUSER)
        later = Deferred(self, self._completions, request, connection, self._figures, _clock_ns(), _encode)
        later.begin()
        try:
            self._namespace.store.submit(
                lambda tx: inline.stage(tx, context, block_id, stamp, data), later.done
            )
        except BaseException:
            later.cancel()
            raise
        return None


def _encode(accepted: Any) -> bytes:
    return _ACCEPTED if accepted else _REFUSED
