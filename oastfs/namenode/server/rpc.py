"""The namenode's port: listens, counts its connections, closes idle ones, stops gracefully.

It serves Hadoop RPC, and data transfer of what the namenode holds itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.data_connection import DataConnection
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.inline_blocks import InlineBlocks
from oastfs.namenode.server.listening import listen_error
from oastfs.namenode.server.metrics import Metrics
from oastfs.namenode.server.peer import NewPeer, Peer
from oastfs.wire.frames import FRAME_BYTES_MAX

log = structlog.get_logger(__name__)

_TICKS_PER_IDLE_LIMIT = 4
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class RpcLimits:
    """How much one client, and all of them, may ask of the server.

    ``in_flight_max``: calls of one connection that wait for the store. ``unsent_bytes_max``: answers of one
    connection that wait for the network before it is read no further.
    """

    connections_max: int = 20_000
    in_flight_max: int = 256
    unsent_bytes_max: int = 4 * 1024 * 1024
    frame_bytes_max: int = FRAME_BYTES_MAX
    idle_seconds: float = 600.0
    backlog: int = 1024


class RpcServer:
    """Hadoop RPC for any number of protocols, by their names, and reads of inline blocks.

    Not for several threads.
    """

    def __init__(
        self,
        handlers: dict[str, Handler],
        blocks: InlineBlocks,
        metrics: Metrics,
        limits: RpcLimits | None = None,
    ) -> None:
        self.handlers = handlers
        self.blocks = blocks
        self.metrics = metrics
        self.limits = limits or RpcLimits()
        self.connections: set[Peer] = set()
        self.stopping = False
        self.tick = 0
        """Counts quarters of the idle limit; cheaper than asking for the time at each request."""
        self.loop: asyncio.AbstractEventLoop
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port (a free one for 0). Raises AddressInUse."""
        self.loop = asyncio.get_running_loop()
        try:
            self._listener = await self.loop.create_server(
                lambda: NewPeer(self), host, port, backlog=self.limits.backlog
            )
        except OSError as error:
            raise listen_error("RPC", host, port, error) from None
        self._sweep_later()
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self, deadline_seconds: float) -> None:
        """Accept nobody, answer what is in flight, then close; after the deadline close anyway."""
        self.stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._listener is not None:
            self._listener.close()
        deadline = time.monotonic() + deadline_seconds
        closed: set[Peer] = set()
        while self.connections and time.monotonic() < deadline:
            for connection in self.connections - closed:
                if not connection.in_flight:
                    connection.close()
                    closed.add(connection)
            await asyncio.sleep(_POLL_SECONDS)
        if self.connections:
            log.warning("connections closed with calls unanswered", connections=len(self.connections))
        for connection in list(self.connections):
            connection.abort()

    @property
    def serving(self) -> bool:
        """Whether it accepts connections: after ``start`` and before ``stop``."""
        return self._listener is not None and not self.stopping

    def in_flight(self) -> int:
        """Weight of all calls that wait for the store."""
        return sum(connection.in_flight for connection in list(self.connections))

    # --- called by connections --------------------------------------------------------------------

    def admit(self, connection: Peer) -> bool:
        """Whether a new connection may stay."""
        if self.stopping or len(self.connections) >= self.limits.connections_max:
            self.metrics.connections_refused += 1
            return False
        self.connections.add(connection)
        self.metrics.connections_accepted += 1
        return True

    def forget(self, connection: Peer) -> None:
        """A connection is gone."""
        self.connections.discard(connection)

    def greet(self, new: Peer, transport: asyncio.Transport, data: bytes) -> None:
        """A new connection's first bytes are here: have it served by what speaks their protocol."""
        kind = DataConnection if data[0] == 0 else RpcConnection
        connection = kind(self, transport)
        self.connections.discard(new)
        self.connections.add(connection)
        transport.set_protocol(connection)
        connection.data_received(data)

    # --- idle connections -------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        self._sweeper = self.loop.call_later(self.limits.idle_seconds / _TICKS_PER_IDLE_LIMIT, self._sweep)

    def _sweep(self) -> None:
        self.tick += 1
        oldest = self.tick - _TICKS_PER_IDLE_LIMIT
        for connection in list(self.connections):
            if connection.heard_tick > oldest:
                continue
            if connection.closing:
                connection.abort()
            elif connection.idle:
                connection.close()
        self._sweep_later()
