"""Waiting a moment for the rest of a small block: what comes whole never needs a file."""

from __future__ import annotations

from collections.abc import Sequence

from oastfs.core.errors import OastError
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.packet import Packet

GATHER_SECONDS = 0.002
"""How long the end of a small block is waited for before what has come of it is acknowledged."""


def gather(connection: TransferConnection, packets: Sequence[Packet], limit: int) -> list[Packet]:
    """``packets`` and what follows at once, up to the end of a block of at most ``limit`` bytes."""
    gathered = [_copied(packet) for packet in packets]
    buffer = connection.buffer
    while _may_be_whole_soon(gathered, limit) and connection.has_more(GATHER_SECONDS):
        try:
            connection.fill()
        except OastError:
            break  # what has come is written all the same; the next read tells
        while not gathered[-1].header.last and (packet := buffer.take_packet()) is not None:
            gathered.append(_copied(packet))
    return gathered


def _copied(packet: Packet) -> Packet:
    """A packet that outlives the next read of its connection."""
    raw = memoryview(bytes(packet.raw))
    data_at = len(raw) - len(packet.data)
    return Packet(packet.header, raw[data_at - len(packet.checksums) : data_at], raw[data_at:], raw)


def _may_be_whole_soon(packets: Sequence[Packet], limit: int) -> bool:
    """Whether the end of a small block may follow these packets at once."""
    if packets[-1].header.last or any(packet.header.sync for packet in packets):
        return False
    return 0 < sum(packet.header.data_bytes for packet in packets) <= limit
