"""The connection to each namenode: registration, heartbeats, and the commands they bring.

One thread per namenode. A namenode that does not answer is tried again for ever, with growing pauses; the
datanode serves meanwhile. Only a namenode that disowns this datanode ends it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable

import grpc
import structlog

from oastfs.core.errors import ForeignDatanode
from oastfs.core.version import VERSION
from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.commands import Commands
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.reporter import Registered, Reporter
from oastfs.datanode.volume import Volume
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.proto.control_pb2_grpc import ControlStub

log = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 5.0
HEARTBEAT_SECONDS_DEFAULT = 3.0
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
)


class Identity:
    """How this datanode presents itself."""

    def __init__(self, config: DatanodeConfig, data_port: int, local_socket: str, http_port: int) -> None:
        self.host = config.advertised_host or config.host
        self.data_port = data_port
        self.local_socket = local_socket
        self.http_port = http_port
        self.storage_type = config.storage_type


class NamenodeLink:
    """Registration and heartbeats with one namenode."""

    def __init__(
        self,
        address: str,
        identity: Identity,
        store: BlockStore,
        reporter: Reporter,
        commands: Commands,
        active_transfers: Callable[[], int],
        config: DatanodeConfig,
        on_foreign: Callable[[ForeignDatanode], None],
        on_namenodes: Callable[[Iterable[pb.NamenodeAddress]], None],
    ) -> None:
        self.address = address
        self._identity = identity
        self._store = store
        self._reporter = reporter
        self._commands = commands
        self._active_transfers = active_transfers
        self._config = config
        self._on_foreign = on_foreign
        self._on_namenodes = on_namenodes
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = ControlStub(self._channel)
        self._datanode_id: int | None = None
        self._client_address = ""
        self._inline_limit = 0
        self._heartbeat_seconds = HEARTBEAT_SECONDS_DEFAULT
        self._unreachable = False
        self._forgotten = False
        """It asked to register again: what it knew of this datanode's replicas may have been given up."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"namenode {address}", daemon=True)

    def start(self) -> None:
        """Begin to register and to send heartbeats."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more heartbeats."""
        self.retire()
        self._thread.join()

    def retire(self) -> None:
        """As ``stop``, without waiting for what is under way."""
        self._stopping.set()

    @property
    def client_address(self) -> str:
        """How the namenode names itself; '' if it has not told yet."""
        return self._client_address

    @property
    def registered(self) -> Registered | None:
        """How to reach the namenode, while registered with it and it answers."""
        datanode_id = self._datanode_id
        if datanode_id is None or self._unreachable:
            return None
        rpc_address = self.reach(self._client_address) or ""
        return Registered(self._stub, datanode_id, self.address, self._inline_limit, rpc_address)

    def reach(self, client_address: str) -> str | None:
        """Where clients reach the namenode that names itself so, if it is this one.

        The port is the one that it told, the host the one by which this datanode was told to find it.
        """
        known = self._client_address
        if not known or known != client_address:
            return None
        return f"{self.address.rpartition(':')[0]}:{known.rpartition(':')[2]}"

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._channel.close()

    def _serve(self) -> None:
        backoff_seconds = BACKOFF_SECONDS_MIN
        while not self._stopping.is_set():
            try:
                self._beat(self._register() if self._datanode_id is None else self._datanode_id)
                backoff_seconds = BACKOFF_SECONDS_MIN
                self._stopping.wait(self._heartbeat_seconds)
            except ForeignDatanode as error:
                self._on_foreign(error)
                return
            except OSError as error:
                log.error("registration failed here", namenode=self.address, error=str(error))
                self._stopping.wait(BACKOFF_SECONDS_MAX)
            except grpc.RpcError as error:
                self._stopping.wait(self._note_failure(error, backoff_seconds))
                backoff_seconds = min(2 * backoff_seconds, BACKOFF_SECONDS_MAX)

    def _note_failure(self, error: grpc.RpcError, backoff_seconds: float) -> float:
        """Seconds to wait before the next attempt."""
        assert isinstance(error, grpc.Call)
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            self._on_foreign(ForeignDatanode(error.details() or ""))
            self._stopping.set()
            return 0.0
        if error.code() is grpc.StatusCode.NOT_FOUND and self._datanode_id is not None:
            log.info("a namenode asks to register again", namenode=self.address)
            self._datanode_id = None
            self._forgotten = True
            return 0.0
        if not self._unreachable:
            self._unreachable = True
            log.warning(
                "a namenode does not answer",
                namenode=self.address,
                code=error.code().name,
                error=error.details(),
            )
        return backoff_seconds * random.uniform(0.5, 1.0)

    def _register(self) -> int:
        identity, volumes = self._identity, self._store.volumes
        request = pb.RegisterRequest(
            filesystem_id=volumes[0].filesystem_id,
            datanode_uuid=volumes[0].datanode_uuid,
            host=identity.host,
            data_port=identity.data_port,
            control_port=identity.data_port,
            local_socket=identity.local_socket,
            storages=storage_reports(volumes, identity.storage_type),
            version=VERSION,
            http_port=identity.http_port,
            rack=self._config.rack,
        )
        response = self._stub.Register(request, timeout=CALL_SECONDS)
        for volume, storage_id in zip(volumes, response.storage_ids, strict=True):
            if not volume.failed:
                volume.adopt(response.filesystem_id)
            volume.storage_id = storage_id
        config = self._config
        self._heartbeat_seconds = (
            config.heartbeat_seconds or response.heartbeat_interval_seconds or HEARTBEAT_SECONDS_DEFAULT
        )
        interval = config.block_report_seconds or response.block_report_interval_seconds
        if interval > 0:
            self._reporter.report_interval_seconds = interval
        self._client_address = response.client_address
        self._inline_limit = response.inline_limit
        self._datanode_id = response.datanode_id
        self._unreachable = False
        log.info("registered", namenode=self.address, datanode_id=response.datanode_id)
        self._reporter.joined(again=self._forgotten)
        self._forgotten = False
        return int(response.datanode_id)

    def _beat(self, datanode_id: int) -> None:
        volumes = self._store.volumes
        response = self._stub.Heartbeat(
            pb.HeartbeatRequest(
                datanode_id=datanode_id,
                datanode_uuid=volumes[0].datanode_uuid,
                storages=storage_reports(volumes, self._identity.storage_type),
                active_transfers=self._active_transfers(),
            ),
            timeout=CALL_SECONDS,
        )
        self._client_address = response.client_address
        self._on_namenodes(response.namenodes)
        if self._unreachable:
            self._unreachable = False
            log.info("a namenode answers again", namenode=self.address)
            self._reporter.retry()
        for command in response.commands:
            if command.WhichOneof("kind") == "report_blocks":
                self._reporter.report_soon(self.address)  # it has a doubt that others know nothing of
            else:
                self._commands.accept(command)


def storage_reports(volumes: list[Volume], storage_type: str) -> list[pb.StorageReport]:
    """Space and state of every volume."""
    reports = []
    for volume in volumes:
        capacity, remaining = volume.space()
        reports.append(
            pb.StorageReport(
                storage_uuid=volume.storage_uuid,
                storage_type=storage_type,
                capacity=capacity,
                used=volume.used_bytes,
                remaining=remaining,
                failed=volume.failed,
            )
        )
    return reports
