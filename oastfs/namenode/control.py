"""The gRPC server that datanodes talk to (``wire/proto/control.proto``).

A thin layer: it turns messages into calls of ``membership``, ``block_report`` and ``blocks.replicas`` inside
transactions, and errors into status codes. What it remembers between calls is only which replicas the last
report of a storage lacked, for the report that it asks for then; another namenode would find that out anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Final, TypeVar

import grpc
import structlog

from oastfs.core.errors import (
    AlreadyExists,
    ForeignDatanode,
    InvalidArgument,
    NotFound,
    OastError,
    StoreError,
    Unreachable,
)
from oastfs.core.types import SUPERUSER
from oastfs.namenode import block_report, membership, registry
from oastfs.namenode.block_report import Reported
from oastfs.namenode.blocks import commands, inline, recover, replicas
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.report_slots import ReportSlots, Slot
from oastfs.store.schema import DatanodeCommand
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.proto import control_pb2_grpc

log = structlog.get_logger(__name__)
T = TypeVar("T")

HEARTBEAT_INTERVAL_SECONDS: Final = 3.0
BLOCK_REPORT_INTERVAL_SECONDS: Final = 3600.0
THREADS: Final = 16
SUSPECTED_SECONDS: Final = 600.0
"""How long the next report of a datanode may take in which a replica has to be missing again."""

_STATUS: Final[tuple[tuple[type[OastError], grpc.StatusCode], ...]] = (
    (ForeignDatanode, grpc.StatusCode.PERMISSION_DENIED),
    (InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (StoreError, grpc.StatusCode.UNAVAILABLE),
)


class ControlServer:
    """Listens at ``address`` ("host:port", port 0: any) from ``start`` to ``stop``."""

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        *,
        heartbeat_interval_seconds: float = HEARTBEAT_INTERVAL_SECONDS,
        block_report_interval_seconds: float = BLOCK_REPORT_INTERVAL_SECONDS,
        client_address: Callable[[], str] = lambda: "",
        namenode_id: Callable[[], int] = lambda: 0,
    ) -> None:
        """``client_address``: see ``control.proto``; '' while there is none yet, as ``namenode_id`` is 0."""
        self._server = grpc.server(
            futures.ThreadPoolExecutor(THREADS, thread_name_prefix="control"),
            # Two servers on one port would each see half of the calls.
            options=[("grpc.so_reuseport", 0)],
        )
        service = ControlService(
            namespace,
            heartbeat_interval_seconds,
            block_report_interval_seconds,
            client_address,
            ReportSlots(namespace.store, namenode_id),
        )
        control_pb2_grpc.add_ControlServicer_to_server(service, self._server)
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise Unreachable(f"cannot listen on {address} for datanodes: {error}") from None

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Refuse new calls, let those under way end, close the port."""
        self._server.stop(grace_seconds).wait()


class ControlService(control_pb2_grpc.ControlServicer):
    """The calls, one method each."""

    def __init__(
        self,
        namespace: Namespace,
        heartbeat_interval_seconds: float,
        block_report_interval_seconds: float,
        client_address: Callable[[], str],
        report_slots: ReportSlots,
    ) -> None:
        self._namespace = namespace
        self._report_slots = report_slots
        self._store = namespace.store
        self._heartbeat_interval_seconds = heartbeat_interval_seconds
        self._block_report_interval_seconds = block_report_interval_seconds
        self._client_address = client_address
        self._lock = threading.Lock()
        self._suspects: dict[int, tuple[float, set[int]]] = {}
        """By storage: block ids that its last report to this namenode lacked, and when that was."""
        self._report_wanted: set[int] = set()

    def Register(self, request: pb.RegisterRequest, rpc: grpc.ServicerContext) -> pb.RegisterResponse:
        return _answer(rpc, lambda: self._register(request))

    def Heartbeat(self, request: pb.HeartbeatRequest, rpc: grpc.ServicerContext) -> pb.HeartbeatResponse:
        return _answer(rpc, lambda: self._heartbeat(request))

    def BlocksChanged(
        self, request: pb.BlocksChangedRequest, rpc: grpc.ServicerContext
    ) -> pb.BlocksChangedResponse:
        return _answer(rpc, lambda: self._blocks_changed(request))

    def BlockReport(
        self, request_iterator: Iterator[pb.BlockReportRequest], rpc: grpc.ServicerContext
    ) -> pb.BlockReportResponse:
        response = _answer(rpc, lambda: self._block_report_if_free(request_iterator))
        if response is None:
            rpc.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough block reports are being taken in")
        return response

    def StoreInline(
        self, request: pb.StoreInlineRequest, rpc: grpc.ServicerContext
    ) -> pb.StoreInlineResponse:
        return _answer(rpc, lambda: self._store_inline(request))

    def ReadInline(self, request: pb.ReadInlineRequest, rpc: grpc.ServicerContext) -> pb.ReadInlineResponse:
        return _answer(rpc, lambda: self._read_inline(request))

    def SettleInline(
        self, request: pb.SettleInlineRequest, rpc: grpc.ServicerContext
    ) -> pb.SettleInlineResponse:
        return _answer(rpc, lambda: self._settle_inline(request))

    def _store_inline(self, request: pb.StoreInlineRequest) -> pb.StoreInlineResponse:
        block_id = _positive(request.block_id, "block id")
        stamp, data = request.generation_stamp, request.data
        accepted = self._write(lambda tx, context: inline.stage(tx, context, block_id, stamp, data))
        return pb.StoreInlineResponse(accepted=accepted)

    def _read_inline(self, request: pb.ReadInlineRequest) -> pb.ReadInlineResponse:
        datanode_id, block_id = request.datanode_id, _positive(request.block_id, "block id")
        found = self._read(lambda tx, context: inline.read(tx, context, datanode_id, block_id))
        if found is None:
            return pb.ReadInlineResponse()
        data, storage_id = found
        return pb.ReadInlineResponse(found=True, data=data, storage_id=storage_id)

    def _settle_inline(self, request: pb.SettleInlineRequest) -> pb.SettleInlineResponse:
        replicas = [(_positive(one.block_id, "block id"), one.generation_stamp) for one in request.blocks]
        synced = [(one.block_id, one.generation_stamp) for one in request.synced]
        if synced:
            self._write(lambda tx, _: inline.unstage_synced(tx, synced))
        outcomes = self._read(lambda tx, context: inline.settle(tx, context, replicas))
        return pb.SettleInlineResponse(outcomes=[int(one) for one in outcomes])  # type: ignore[misc]

    def _register(self, request: pb.RegisterRequest) -> pb.RegisterResponse:
        registration = membership.Registration(
            request.filesystem_id,
            request.datanode_uuid,
            request.host,
            request.data_port,
            request.control_port,
            request.local_socket,
            _storages(request.storages),
            request.http_port,
            request.rack,
        )
        registered = self._write(lambda tx, context: membership.register(tx, context, registration))
        log.info(
            "datanode registered",
            datanode_id=registered.datanode_id,
            uuid=request.datanode_uuid,
            host=request.host,
            data_port=request.data_port,
            storages=len(registered.storage_ids),
            version=request.version,
        )
        return pb.RegisterResponse(
            filesystem_id=self._namespace.info.filesystem_id,
            datanode_id=registered.datanode_id,
            storage_ids=registered.storage_ids,
            heartbeat_interval_seconds=self._heartbeat_interval_seconds,
            block_report_interval_seconds=self._block_report_interval_seconds,
            client_address=self._client_address(),
            inline_limit=self._namespace.info.inline_limit,
        )

    def _heartbeat(self, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        """Most heartbeats change nothing worth a write: a read tells."""
        reports = _storages(request.storages)
        datanode_id, uuid = _positive(request.datanode_id, "datanode id"), request.datanode_uuid
        context = self._context()
        known = self._store.read(lambda tx: registry.control_addresses(tx, context.now_ns))
        response = pb.HeartbeatResponse(
            client_address=self._client_address(),
            namenodes=[pb.NamenodeAddress(client_address=one, control_address=two) for one, two in known],
        )
        if self._store.read(lambda tx: membership.beat_is_news(tx, context, datanode_id, uuid, reports)):
            transfers = request.active_transfers
            for block_id, kind, command in self._write(
                lambda tx, context: membership.beat(tx, context, datanode_id, uuid, reports, transfers)
            ):
                message = self._command(context, block_id, kind, command)
                if message is not None:
                    response.commands.append(message)
        with self._lock:
            if datanode_id in self._report_wanted:
                self._report_wanted.discard(datanode_id)
                response.commands.append(pb.Command(report_blocks=pb.ReportBlocks()))
        return response

    def _blocks_changed(self, request: pb.BlocksChangedRequest) -> pb.BlocksChangedResponse:
        changes: list[tuple[str, pb.ReplicaReport]] = []
        for what in ("received", "deleted", "corrupt", "recovered", "missing"):
            changes.extend((what, one) for one in getattr(request, what))
        datanode_id = _positive(request.datanode_id, "datanode id")
        _check_replicas(one for _, one in changes)
        for start in range(0, len(changes), block_report.BATCH):
            self._apply(datanode_id, changes[start : start + block_report.BATCH])
        return pb.BlocksChangedResponse()

    def _apply(self, datanode_id: int, batch: list[tuple[str, pb.ReplicaReport]]) -> None:
        self._write(lambda tx, context: _apply(tx, context, datanode_id, batch))

    def _block_report_if_free(
        self, messages: Iterator[pb.BlockReportRequest]
    ) -> pb.BlockReportResponse | None:
        with self._report_slots.one() as slot:
            return None if slot is None else self._block_report(messages, slot)

    def _block_report(self, messages: Iterator[pb.BlockReportRequest], slot: Slot) -> pb.BlockReportResponse:
        first = next(messages, None)
        if first is None:
            raise InvalidArgument("a block report needs a message that names the storage")
        datanode_id, storage_id = first.datanode_id, first.storage_id
        view = self._read(lambda tx, context: _require_view(tx, context, datanode_id, storage_id))
        after, total, odd = 0, 0, 0
        lacking: set[int] = set()
        batch = [Reported(one.block_id, one.generation_stamp, one.length) for one in first.replicas]
        for message in messages:
            if (message.datanode_id, message.storage_id) not in ((datanode_id, storage_id), (0, 0)):
                raise InvalidArgument("a block report is of one storage")
            slot.renew()
            if batch:
                odd += self._take_over(view, after, batch, lacking, last=False)
                after, total = batch[-1].block_id, total + len(batch)
            batch = [Reported(one.block_id, one.generation_stamp, one.length) for one in message.replicas]
        odd += self._take_over(view, after, batch, lacking, last=True)
        lost = self._drop_lost(view, lacking)
        log.info(
            "block report",
            datanode_id=datanode_id,
            storage_id=storage_id,
            replicas=total + len(batch),
            corrected=odd,
            lacking=len(lacking),
            lost=lost,
        )
        return pb.BlockReportResponse()

    def _take_over(
        self, view: StorageView, after: int, batch: list[Reported], lacking: set[int], last: bool
    ) -> int:
        """Compare one batch and correct what is odd; how many those were."""
        block_report.check_order(after, batch)
        found = self._store.read(lambda tx: block_report.compare(tx, view.storage_id, after, batch, last))
        lacking.update(found.lacking[: block_report.SUSPECTS_MAX - len(lacking)])
        self._in_batches(found.odd, lambda tx, context, one: block_report.correct(tx, context, view, one))
        return len(found.odd)

    def _drop_lost(self, view: StorageView, lacking: set[int]) -> int:
        """Drop what the last report lacked as well; have the datanode report again if there is more."""
        with self._lock:
            since, suspected = self._suspects.pop(view.storage_id, (0.0, set[int]()))
            # Others may have taken in reports meanwhile: what was lacking long ago proves nothing.
            recent = time.monotonic() - since < SUSPECTED_SECONDS
            lost = sorted(lacking & suspected) if recent else []
            rest = lacking.difference(lost)
            if rest:
                self._suspects[view.storage_id] = time.monotonic(), rest
                self._report_wanted.add(view.datanode_id)
        self._in_batches(
            lost, lambda tx, context, block_id: block_report.drop_missing(tx, context, view, block_id)
        )
        return len(lost)

    def _in_batches(self, items: list[T], change: Callable[[Transaction, Context, T], None]) -> None:
        for start in range(0, len(items), block_report.BATCH):
            batch = items[start : start + block_report.BATCH]

            def apply(tx: Transaction, context: Context, batch: list[T] = batch) -> None:
                for item in batch:
                    change(tx, context, item)

            self._write(apply)

    def _command(
        self, context: Context, block_id: int, kind: int, command: DatanodeCommand
    ) -> pb.Command | None:
        block = pb.BlockRef(
            block_id=block_id, generation_stamp=command.generation_stamp, length=command.length
        )
        if kind == commands.DELETE:
            return pb.Command(delete=pb.Delete(storage_id=command.storage_id, block=block))
        if kind == commands.RECOVER:
            return pb.Command(
                recover=pb.Recover(
                    storage_id=command.storage_id, block=block, new_generation_stamp=command.new_stamp
                )
            )
        views = self._store.read(
            lambda tx: [context.cluster.find(tx, context.now_ns, one) for one in command.targets]
        )
        targets = [_target(view) for view in views if view is not None and view.readable]
        if not targets:
            return None  # the replication job chooses others
        return pb.Command(copy=pb.Copy(storage_id=command.storage_id, block=block, targets=targets))

    def _context(self) -> Context:
        return self._namespace.context(SUPERUSER)

    def _read(self, operation: Callable[[Transaction, Context], T]) -> T:
        context = self._context()
        return self._store.read(lambda tx: operation(tx, context))

    def _write(self, operation: Callable[[Transaction, Context], T]) -> T:
        context = self._context()
        return self._store.write(lambda tx: operation(tx, context))


def _apply(
    tx: Transaction, context: Context, datanode_id: int, batch: list[tuple[str, pb.ReplicaReport]]
) -> None:
    for what, one in batch:
        view = _require_view(tx, context, datanode_id, one.storage_id)
        block_id, stamp, length = one.block_id, one.generation_stamp, one.length
        if what == "received":
            replicas.received(tx, context, view, block_id, stamp, length)
        elif what == "deleted":
            replicas.deleted(tx, context, view, block_id, stamp)
        elif what == "corrupt":
            replicas.mark_corrupt(tx, context, block_id, view.storage_id)
        elif what == "recovered":
            recover.settled(tx, context, block_id, view.storage_id, stamp, length)
        else:
            replicas.missing(tx, context, view, block_id)


def _require_view(tx: Transaction, context: Context, datanode_id: int, storage_id: int) -> StorageView:
    membership.require_datanode(tx, _positive(datanode_id, "datanode id"))
    view = context.cluster.find(tx, context.now_ns, _positive(storage_id, "storage id"))
    if view is None or view.datanode_id != datanode_id:
        raise InvalidArgument(f"storage {storage_id} is not of datanode {datanode_id}")
    return view


def _storages(reports: Iterable[pb.StorageReport]) -> list[membership.StorageReport]:
    return [
        membership.StorageReport(
            one.storage_uuid, one.storage_type, one.capacity, one.used, one.remaining, one.failed
        )
        for one in reports
    ]


def _target(view: StorageView) -> pb.Target:
    return pb.Target(
        datanode_id=view.datanode_id,
        storage_id=view.storage_id,
        storage_uuid=view.storage.uuid,
        host=view.datanode.host,
        data_port=view.datanode.data_port,
    )


def _check_replicas(reports: Iterable[pb.ReplicaReport]) -> None:
    for one in reports:
        if not one.block_id or max(one.block_id, one.generation_stamp, one.length) >> 63:
            raise InvalidArgument(f"not a replica: block {one.block_id}, stamp {one.generation_stamp}")


def _positive(number: int, what: str) -> int:
    if not number or number >> 63:
        raise InvalidArgument(f"not a {what}: {number}")
    return number


def _answer(rpc: grpc.ServicerContext, carry_out: Callable[[], T]) -> T:
    """The result, or the status that tells a datanode what to do."""
    try:
        return carry_out()
    except OastError as error:
        code = next((code for kind, code in _STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
        log.warning("datanode refused", peer=rpc.peer(), error=type(error).__name__, message=str(error))
        rpc.abort(code, str(error))
        raise  # never reached: abort raises
