"""Damaged streams for servers' ports: what is sent, and how, follows from a seed and a number.

``Fuzzer`` makes cases from recordings of real clients; ``deliver`` sends one as a good, a slow or a rude
client would.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from oastfs.core.errors import ProtocolError
from oastfs.wire.hadoop_rpc import ServerSession
from oastfs.wire.transfer.packet import PACKET_BYTES_MAX
from oastfs.wire.varint import encode_varint
from tests.harness.recording import HOST, Recording

CLIENT_ID_BYTES: Final = 16
QUIET_SECONDS: Final = 0.02
"""A server that says nothing for so long is waiting for us."""
ANSWER_BYTES_MAX: Final = 1 << 20
HELD_MAX: Final = 40

_LENGTHS: Final = (0, 1, 3, 127, 128, 255, 65535, PACKET_BYTES_MAX, PACKET_BYTES_MAX + 5, 1 << 27, 2**31 - 1)


@dataclass(frozen=True)
class Case:
    """One connection: the bytes, and the manner of sending them."""

    name: str
    server: str
    data: bytes
    manner: str
    damaged: bool


def client_ids(recording: Recording) -> set[bytes]:
    """The ids by which the clients of a recorded RPC stream are known."""
    session, found = ServerSession(), set()
    try:
        session.feed(recording.data)
        while (request := session.next_request()) is not None:
            found.add(bytes(request.client_id))
    except ProtocolError:
        pass  # not RPC, or the end
    return {one for one in found if len(one) == CLIENT_ID_BYTES}


_WRITE_BLOCK: Final = b"\x00\x1c\x50"
_BLOCK_ID_TAG: Final = b"\x10"


class Fuzzer:
    """Cases by number: the same seed gives the same ones.

    ``spared`` is a block that no case writes: a datanode would do it, as it believes whoever names a block.
    """

    def __init__(self, seed: int, recordings: Sequence[Recording], spared: int) -> None:
        self.seed = seed
        self._spared = _BLOCK_ID_TAG + encode_varint(spared)
        self._recordings = list(recordings)
        self._ids = [client_ids(recording) for recording in recordings]
        self._servers = sorted({recording.server for recording in recordings})

    def case(self, number: int) -> Case:
        """The case of this number."""
        chance = random.Random(f"{self.seed}/{number}")
        index = chance.randrange(len(self._recordings))
        recording, data = self._recordings[index], self._recordings[index].data
        for one in self._ids[index]:
            # Else the server would answer from memory what this client has asked before.
            data = data.replace(one, chance.randbytes(CLIENT_ID_BYTES))
        damaged = chance.random() < 0.9
        if damaged:
            for _ in range(chance.choice((1, 1, 2, 5))):
                data = chance.choice(_DAMAGES)(chance, data, self._other(chance))
        if _WRITE_BLOCK in data and self._spared in data:
            data = data.replace(_WRITE_BLOCK, b"")
        # Now and then at the wrong door.
        server = recording.server if chance.random() < 0.9 else chance.choice(self._servers)
        manner = chance.choices(
            ("whole", "pieces", "slowly", "hold", "reset", "half-closed"), (8, 3, 1, 2, 2, 4)
        )[0]
        return Case(f"{self.seed}/{number} {recording.client}", server, data, manner, damaged)

    def _other(self, chance: random.Random) -> bytes:
        return chance.choice(self._recordings).data


# --- damages ----------------------------------------------------------------------------------------


def _flip(chance: random.Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    # Mostly near the beginning: there is the structure; the rest is content.
    reach = len(data) if chance.random() < 0.3 else min(len(data), 600)
    for _ in range(chance.randrange(1, 9)):
        if reach:
            changed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(chance: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _length(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    value = chance.choice((*_LENGTHS, chance.randrange(1 << 32)))
    packed = struct.pack(">I", value) if chance.random() < 0.7 else struct.pack(">H", value & 0xFFFF)
    return data[:at] + packed + data[at + len(packed) :]


def _varint(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    if chance.random() < 0.3:
        packed = b"\xff" * chance.choice((4, 9, 10, 11, 300))
    else:
        packed = encode_varint(chance.choice((*_LENGTHS, (1 << 63) - 1, (1 << 64) - 1)))
    return data[:at] + packed + data[at + chance.randrange(3) :]


def _splice(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at, begin = chance.randrange(len(data) + 1), chance.randrange(len(other) + 1)
    piece = other[begin : begin + chance.choice((1, 7, 100, 5000, len(other)))]
    return data[:at] + piece + data[at + chance.choice((0, len(piece))) :]


def _cut_out(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.choice((1, 4, 50, 1000)) :]


def _repeat(chance: random.Random, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    size = chance.choice((1, 16, 500, 5000))
    return data[: at + size] + data[at:]


def _noise(chance: random.Random, data: bytes, other: bytes) -> bytes:
    kept = data[: chance.choice((0, 1, 2, 3, 7, 11, 40))]
    return kept + chance.randbytes(chance.choice((1, 20, 3000)))


_DAMAGES: Final[tuple[Callable[[random.Random, bytes, bytes], bytes], ...]] = (
    _flip, _flip, _truncate, _length, _length, _varint, _varint, _splice, _cut_out, _repeat, _noise,
)  # fmt: skip


# --- sending ----------------------------------------------------------------------------------------


class Deliverer:
    """Sends cases to ports, one after the other; keeps some connections open on the way."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._held: list[socket.socket] = []
        self.answered = 0
        """Undamaged cases that the server had something to say about."""

    def deliver(self, case: Case) -> None:
        """Send one case and read what comes back, for a moment."""
        sock = socket.create_connection((HOST, self._ports[case.server]), 10)
        sock.settimeout(5)
        try:
            self._send(sock, case)
            if case.manner == "hold":
                self._held.append(sock)
                if len(self._held) > HELD_MAX:
                    self._held.pop(0).close()
                return
            if case.manner == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif case.manner == "half-closed":
                sock.shutdown(socket.SHUT_WR)
            if case.manner != "reset" and _read(sock) and not case.damaged:
                self.answered += 1
        except OSError:
            pass  # the server hung up while we sent, as it may
        if case.manner != "hold":
            sock.close()

    def close(self) -> None:
        """Let go of what was kept open."""
        for sock in self._held:
            sock.close()
        self._held.clear()

    def _send(self, sock: socket.socket, case: Case) -> None:
        data = case.data
        if case.manner == "pieces":
            step = max(1, len(data) // 20)
            for at in range(0, len(data), step):
                sock.sendall(data[at : at + step])
        elif case.manner == "slowly":
            for at in range(min(len(data), 100)):
                sock.sendall(data[at : at + 1])
                time.sleep(0.0005)
            sock.sendall(data[100:])
        else:
            sock.sendall(data)


def _read(sock: socket.socket) -> int:
    """Read until the server is done or quiet; how many bytes came."""
    received = 0
    sock.settimeout(QUIET_SECONDS)
    try:
        while received < ANSWER_BYTES_MAX and (data := sock.recv(1 << 18)):
            received += len(data)
    except TimeoutError:
        pass  # it waits for more
    return received
