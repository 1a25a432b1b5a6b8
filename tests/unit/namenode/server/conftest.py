"""A namenode on a thread of the test, on a real store, and clients of it."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.namenode.filesystem import FormatOptions
from oastfs.namenode.server.process import Endpoints, NamenodeConfig, namenode_thread
from oastfs.wire.frames import FrameBuffer
from oastfs.wire.hadoop_rpc_client import RequestEncoder, Response, decode_response
from oastfs.wire.verbs import PROTOCOL

HOST = "127.0.0.1"


def make_config(directory: Path, **options: Any) -> NamenodeConfig:
    """A new filesystem below ``directory`` on free ports."""
    values: dict[str, Any] = {
        "metadata": (f"lmdb://{directory}/store",),
        "port": 0,
        "control_port": 0,
        "http_port": 0,
        "format_options": FormatOptions(inline_limit=64 * 1024),
        "log_level": "error",
        **options,
    }
    return NamenodeConfig(**values)


class RawClient:
    """A socket that speaks frames, for sending what no client would."""

    def __init__(self, port: int, protocol: str = PROTOCOL, receive_bytes: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_bytes is not None:  # before it connects: then the server is told no more
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(20)
        self.sock.connect((HOST, port))
        self.encoder = RequestEncoder(uuid.uuid4().bytes, protocol)
        self._buffer = FrameBuffer()

    def open(self) -> RawClient:
        """Say who we are."""
        self.sock.sendall(self.encoder.preamble())
        return self

    def send(self, call_id: int, verb: str, body: bytes, retry: int = 0) -> None:
        """Send one call."""
        self.sock.sendall(self.encoder.encode(call_id, retry, verb, body))

    def receive(self) -> Response | None:
        """The next answer; None at the end of the stream."""
        while (frame := self._buffer.next_frame()) is None:
            try:
                data = self.sock.recv(1 << 20)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer.feed(data)
        return decode_response(frame)

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    with namenode_thread(make_config(tmp_path)) as endpoints:
        yield endpoints


@pytest.fixture
def remote(endpoints: Endpoints) -> Iterator[RemoteMetadata]:
    client = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=20)
    yield client
    client.close()


@pytest.fixture
def raw(endpoints: Endpoints) -> Iterator[RawClient]:
    client = RawClient(endpoints.port)
    yield client
    client.close()
