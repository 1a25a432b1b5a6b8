"""A namenode's side of the control plane, for tests: a real gRPC server that records what it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures

import grpc

from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.proto.control_pb2_grpc import ControlServicer, add_ControlServicer_to_server


class RecordingNamenode(ControlServicer):
    """Accepts every datanode of its filesystem; hands out the commands it is given."""

    def __init__(self, filesystem_id: str = "fs-1") -> None:
        self.filesystem_id = filesystem_id
        self.registrations: list[pb.RegisterRequest] = []
        self.heartbeats: list[pb.HeartbeatRequest] = []
        self.changes: list[tuple[str, int, int, int]] = []
        """(what, block id, stamp, length)"""
        self.reports: list[list[pb.BlockReportRequest]] = []
        self.reports_to_put_off = 0
        self.commands: list[pb.Command] = []
        self.forgetful = False
        self.client_address = "namenode-1:8020"
        self.inline_limit = 0
        self.takes_inline = True
        self.answers_offers = True
        self.staged: dict[int, tuple[int, bytes]] = {}
        """Block id to stamp and bytes."""
        self.offered_again: list[int] = []
        self.inline: dict[int, bytes] = {}
        """Content that blocks stand for."""
        self.outcomes: dict[int, pb.SettleInlineResponse.Outcome.ValueType] = {}
        self.asked: list[int] = []
        self.synced: list[tuple[int, int]] = []
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; after ``stop``, again on the same port."""
        server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        add_ControlServicer_to_server(self, server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self._server = server

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def order(self, command: pb.Command) -> None:
        """Hand this out with the next heartbeat."""
        with self._lock:
            self.commands.append(command)

    def Register(self, request: pb.RegisterRequest, rpc: grpc.ServicerContext) -> pb.RegisterResponse:
        if request.filesystem_id not in ("", self.filesystem_id):
            rpc.abort(grpc.StatusCode.PERMISSION_DENIED, f"the datanode belongs to {request.filesystem_id}")
        self.registrations.append(request)
        self.forgetful = False
        return pb.RegisterResponse(
            filesystem_id=self.filesystem_id,
            datanode_id=7,
            storage_ids=range(101, 101 + len(request.storages)),
            heartbeat_interval_seconds=0.05,
            block_report_interval_seconds=3600,
            client_address=self.client_address,
            inline_limit=self.inline_limit,
        )

    def Heartbeat(self, request: pb.HeartbeatRequest, rpc: grpc.ServicerContext) -> pb.HeartbeatResponse:
        if self.forgetful:
            rpc.abort(grpc.StatusCode.NOT_FOUND, "register again")
        with self._lock:
            self.heartbeats.append(request)
            commands, self.commands = self.commands, []
        return pb.HeartbeatResponse(commands=commands, client_address=self.client_address)

    def BlocksChanged(
        self, request: pb.BlocksChangedRequest, rpc: grpc.ServicerContext
    ) -> pb.BlocksChangedResponse:
        for what in ("received", "deleted", "corrupt", "recovered", "missing"):
            for one in getattr(request, what):
                assert one.storage_id >= 101
                self.changes.append((what, one.block_id, one.generation_stamp, one.length))
        return pb.BlocksChangedResponse()

    def BlockReport(
        self, request_iterator: Iterator[pb.BlockReportRequest], rpc: grpc.ServicerContext
    ) -> pb.BlockReportResponse:
        with self._lock:
            self.reports_to_put_off -= 1
            if self.reports_to_put_off >= 0:
                rpc.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough for now")
        self.reports.append(list(request_iterator))
        return pb.BlockReportResponse()

    def StoreInline(
        self, request: pb.StoreInlineRequest, rpc: grpc.ServicerContext
    ) -> pb.StoreInlineResponse:
        assert request.datanode_id == 7
        if not self.answers_offers:
            rpc.abort(grpc.StatusCode.UNAVAILABLE, "the namenode is stopping")
        if request.again:
            self.offered_again.append(request.block_id)
        if self.takes_inline:
            self.staged[request.block_id] = (request.generation_stamp, request.data)
        return pb.StoreInlineResponse(accepted=self.takes_inline)

    def ReadInline(self, request: pb.ReadInlineRequest, rpc: grpc.ServicerContext) -> pb.ReadInlineResponse:
        assert request.datanode_id == 7
        data = self.inline.get(request.block_id)
        if data is None:
            return pb.ReadInlineResponse()
        return pb.ReadInlineResponse(found=True, data=data, storage_id=101)

    def SettleInline(
        self, request: pb.SettleInlineRequest, rpc: grpc.ServicerContext
    ) -> pb.SettleInlineResponse:
        assert request.datanode_id == 7
        self.asked.extend(one.block_id for one in request.blocks)
        self.synced.extend((one.block_id, one.generation_stamp) for one in request.synced)
        wait = pb.SettleInlineResponse.WAIT
        return pb.SettleInlineResponse(
            outcomes=[self.outcomes.get(one.block_id, wait) for one in request.blocks]
        )
