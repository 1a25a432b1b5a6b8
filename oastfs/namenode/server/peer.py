"""What every connection to the namenode's port has in common, and how the first byte decides what it is.

``hrpc`` begins Hadoop RPC; two bytes of version, of which the first is zero, begin an operation of the data
transfer protocol.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

try:
    from oastfs.namenode.server import _sending
except ImportError:  # there was no C compiler
    _sending = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from oastfs.namenode.server.rpc import RpcServer


class Peer(asyncio.Protocol):
    """The server's end of one connection; lives on the event loop's thread only."""

    # Set in the class: many connections live for one short operation.
    _choked = False
    _refused = False
    lost = False
    in_flight = 0
    """Weight of what is under way and answered later."""
    _descriptor = -1
    """The socket's, until the transport is closing."""

    def __init__(self, server: RpcServer) -> None:
        self._server = server
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.heard_tick = server.tick

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._server.forget(self)

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self.heard_tick = self._server.tick

    def _use(self, transport: asyncio.Transport, unsent_bytes_max: int) -> None:
        """Speak over this connection."""
        self._transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()
        transport.set_write_buffer_limits(high=unsent_bytes_max)

    def _send(self, data: bytes) -> None:
        """Send what the socket takes at once, if nothing has to go first; the transport sends the rest."""
        transport = self._transport
        if _sending is not None and not (transport.get_write_buffer_size() or transport.is_closing()):
            sent = _sending.send_now(self._descriptor, data)
            if sent == len(data):
                return
            transport.write(memoryview(data)[sent:])
        else:
            transport.write(data)

    @property
    def idle(self) -> bool:
        """Nothing is under way, or cannot go on because the client does not read."""
        return not self.in_flight or self._choked

    @property
    def closing(self) -> bool:
        """Closed as soon as what was written is sent, if the client reads it at all."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close once everything written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def address_of(transport: asyncio.BaseTransport) -> str:
    """Host and port of a connected client."""
    peer = transport.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if peer else ""


class NewPeer(Peer):
    """A connection that has not said what it is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.admit(self):
            self._refused = True
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._server.greet(self, self._transport, data)
