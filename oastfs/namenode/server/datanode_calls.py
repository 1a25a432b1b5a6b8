"""What datanodes ask on the namenode's own port (``wire/datanode_calls.py``)."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError

from oastfs.core.errors import InvalidArgument, NoSuchVerb, OastError, ProtocolError
from oastfs.core.types import SUPERUSER
from oastfs.namenode.blocks import inline
from oastfs.namenode.context import Context
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.deferred import Deferred
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import Metrics
from oastfs.namenode.staging import WRITE_AFTER_SECONDS, Kept, Staging
from oastfs.store.transaction import Transaction
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
        self._loop = asyncio.get_running_loop()
        self._reads_inline = namespace.store.reads_inline
        self._sweeping: asyncio.TimerHandle | None = None

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
        if not block.again and self._keep(context, block_id, stamp, data):
            return _ACCEPTED
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

    def _keep(self, context: Context, block_id: int, stamp: int, data: bytes) -> bool:
        """Whether the bytes need not be written before their file is completed."""
        started_ns, staging = _clock_ns(), context.environment.staging
        if not self._reads_inline or not self._namespace.store.read(
            lambda tx: inline.may_be_kept(tx, context, block_id, stamp, data)
        ):
            return False
        if not staging.keep(block_id, stamp, data):
            return False
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(WRITE_AFTER_SECONDS, self._sweep)
        self._figures.observe(_clock_ns() - started_ns)
        return True

    def _sweep(self) -> None:
        """Write what was not completed at once."""
        context = self._namespace.context(SUPERUSER)
        staging = context.environment.staging
        for kept in staging.due():
            try:
                self._namespace.store.submit(partial(_write, context, kept), partial(_written, staging, kept))
            except OastError:
                staging.forget(kept)
        self._sweeping = None if staging.empty else self._loop.call_later(WRITE_AFTER_SECONDS, self._sweep)

    def close(self) -> None:
        """Write what is kept."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        context = self._namespace.context(SUPERUSER)
        for kept in context.environment.staging.rest():
            try:
                self._namespace.store.write(partial(_write, context, kept))
            except OastError:
                return  # datanodes offer it again


def _write(context: Context, kept: Kept, tx: Transaction) -> bool:
    if kept.used:
        return True
    return inline.stage(tx, context, kept.block_id, kept.stamp, kept.data)


def _written(staging: Staging, kept: Kept, _: Any, error: BaseException | None) -> None:
    staging.forget(kept)


def _encode(accepted: Any) -> bytes:
    return _ACCEPTED if accepted else _REFUSED
