"""Connections to datanodes and open files of local replicas, shared by all files of a session."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque

from oastfs.client.blocks.short_circuit import LocalReplica, LocalReplicas
from oastfs.core.errors import OastError
from oastfs.core.types import LocatedBlock, Location
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, TransferConnection, read_request

IDLE_PER_DATANODE = 4
IDLE_SECONDS = 60.0
"""Connections that were not used for this long are closed; datanodes allow more."""
SUSPECT_SECONDS = 10.0
"""For this long a datanode that failed is asked after the others."""
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 2.0
BUFFER_BYTES = 512 * 1024


class Datanodes:
    """Safe to use from many threads. ``timeout_seconds`` bounds each wait for a datanode."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self.local = LocalReplicas(timeout_seconds)
        self.local_host = ""
        """Host of a datanode on this machine, once one is known: new blocks are best placed there."""
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, int], deque[tuple[float, TransferConnection]]] = {}
        self._suspects: dict[int, float] = {}
        self._is_local: dict[str, bool] = {}

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for _, connection in connections:
                connection.close()
        self.local.close()

    # --- connections ----------------------------------------------------------------------------

    def take_idle(self, location: Location) -> TransferConnection | None:
        """A connection that was used before and may have been closed by the datanode meanwhile."""
        now = time.monotonic()
        with self._lock:
            connections = self._idle.get((location.host, location.data_port))
            while connections:
                since, connection = connections.pop()
                if now - since < IDLE_SECONDS:
                    return connection
                connection.close()
        return None

    def connect(self, location: Location) -> TransferConnection:
        """A new connection: by Unix socket on this machine, else by TCP. Raises Unreachable."""
        seconds = min(CONNECT_SECONDS, self.timeout_seconds)
        connection: TransferConnection | None = None
        if self.is_local(location):
            try:
                connection = TransferConnection.open_local(location.local_socket, seconds)
            except OastError:
                pass  # TCP may still do
        if connection is None:
            connection = TransferConnection.open(location.host, location.data_port, seconds, BUFFER_BYTES)
        connection.sock.settimeout(self.timeout_seconds)
        return connection

    def give_back(self, location: Location, connection: TransferConnection) -> None:
        """The connection is between two operations and may serve again."""
        with self._lock:
            connections = self._idle.setdefault((location.host, location.data_port), deque())
            connections.append((time.monotonic(), connection))
            surplus = connections.popleft()[1] if len(connections) > IDLE_PER_DATANODE else None
        if surplus is not None:
            surplus.close()

    # --- which datanode -------------------------------------------------------------------------

    def is_local(self, location: Location) -> bool:
        """Whether the datanode is on this machine and has a Unix socket."""
        if not location.local_socket:
            return False
        known = self._is_local.get(location.host)
        if known is None:
            known = self._is_local[location.host] = _is_own_address(location.host)
            if known:
                self.local_host = location.host
        return known

    def local_replica(self, block: LocatedBlock) -> LocalReplica | None:
        """The open files of a block's replica on this machine, if it has one and they can be had."""
        for location in block.locations:
            if self.is_local(location):
                return self.local.find(block, location)
        return None

    def suspect(self, location: Location) -> None:
        """The datanode failed: prefer others for a while."""
        self._suspects[location.datanode_id] = time.monotonic() + SUSPECT_SECONDS

    def is_suspect(self, datanode_id: int) -> bool:
        """Whether the datanode failed lately."""
        return self._suspects.get(datanode_id, 0.0) > time.monotonic()

    def suspects(self) -> set[int]:
        """Ids of datanodes that failed lately."""
        return {datanode_id for datanode_id in list(self._suspects) if self.is_suspect(datanode_id)}

    def answers(self, location: Location) -> bool:
        """Whether the datanode answers a request at all within a moment."""
        try:
            with self.connect(location) as connection:
                connection.sock.settimeout(PROBE_SECONDS)
                connection.send(read_request(BlockId(0, 0), 0, 0))
                connection.receive_message(pb.BlockOpResponse)
        except OastError:
            return False
        return True

    def ordered(self, locations: tuple[Location, ...]) -> list[Location]:
        """Replicas in the order to ask: on this machine first, those that failed lately last."""
        if len(locations) < 2:
            return list(locations)

        def rank(location: Location) -> tuple[bool, bool]:
            return self.is_suspect(location.datanode_id), not self.is_local(location)

        return sorted(locations, key=rank)


def _is_own_address(host: str) -> bool:
    """Whether an address of this machine: only such can be bound."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
