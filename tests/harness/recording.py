"""What clients send, recorded by a proxy before a server's port, and kept in files to be replayed.

A proxy also tells its clients of other proxies in place of the servers behind them: in what a namenode
answers, the port numbers of data transfer are rewritten.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from oastfs.wire.varint import encode_varint

HOST = "127.0.0.1"
_PORT_FIELDS = (b"\x20", b"\x30")
"""Tags of xferPort and ipcPort in a DatanodeID, which are followed by the port's varint."""


@dataclass(frozen=True)
class Recording:
    """The bytes that one client sent over one connection to the port of a ``server`` of this kind."""

    client: str
    server: str
    data: bytes


@dataclass
class Proxy:
    """Passes connections on to a server's port and keeps what the clients sent. A context."""

    server: str
    target_port: int
    rewritten: Mapping[int, int] = field(default_factory=dict)
    """Ports that clients are told in place of others."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._streams: list[bytearray] = []

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def take(self, client: str) -> list[Recording]:
        """What was sent since this was last called, a recording for each connection."""
        streams, self._streams = self._streams, []
        return [Recording(client, self.server, bytes(stream)) for stream in streams if stream]

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            onward = socket.create_connection((HOST, self.target_port), 20)
            stream = bytearray()
            self._streams.append(stream)
            for source, sink, kept in ((accepted, onward, stream), (onward, accepted, None)):
                thread = threading.Thread(target=self._pump, args=(source, sink, kept), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        try:
            while data := source.recv(1 << 20):
                if kept is not None:
                    kept += data
                else:
                    data = self._rewrite(data)
                sink.sendall(data)
        except OSError:
            pass  # one side is gone, and soon the other
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _rewrite(self, data: bytes) -> bytes:
        for real, told in self.rewritten.items():
            for tag in _PORT_FIELDS:
                data = data.replace(tag + encode_varint(real), tag + encode_varint(told))
        return data


def save(path: Path, recordings: Iterable[Recording]) -> None:
    """Write them, a line each: client, server, and the bytes compressed, in base 85."""
    lines = []
    for one in recordings:
        packed = base64.b85encode(zlib.compress(one.data, 9)).decode()
        lines.append(json.dumps([one.client, one.server, packed]))
    path.write_text("\n".join(lines) + "\n")


def load(path: Path) -> list[Recording]:
    """What ``save`` wrote."""
    found = []
    for line in path.read_text().splitlines():
        client, server, packed = json.loads(line)
        found.append(Recording(client, server, zlib.decompress(base64.b85decode(packed))))
    return found
