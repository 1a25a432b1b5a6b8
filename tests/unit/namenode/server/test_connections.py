"""Garbage, limits and back-pressure: one client's trouble is not another's."""

from __future__ import annotations

import os
import random
import resource
import socket
from pathlib import Path

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import AddressInUse, ConnectionLost
from oastfs.core.types import SUPERUSER, WriteRequest
from oastfs.namenode.server.process import Endpoints, namenode_thread
from oastfs.namenode.server.rpc import RpcLimits
from oastfs.wire.frames import pack_length
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID
from oastfs.wire.proto.rpc_pb2 import RpcResponseHeader
from oastfs.wire.varint import decode_delimited
from oastfs.wire.verbs import encode_arguments
from tests.harness.waiting import wait_until
from tests.unit.namenode.server.conftest import HOST, RawClient, make_config

ROOT = SUPERUSER
STAT = encode_arguments((ROOT, "/", True))


def read_all(sock: socket.socket) -> bytes:
    sock.settimeout(20)
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 64,
        b"hrpc\x09\x00\x00" + b"\xff" * 64,
        b"hrpc\x09\x00\x00" + pack_length(0),
        b"hrpc\x09\x00\x00" + pack_length(6) + b"\x05\x18\x07\x10\x00\x08",
        b"hrpc\x04\x00\x00",
    ],
)
def test_garbage_closes_that_connection_only(
    endpoints: Endpoints, remote: RemoteMetadata, data: bytes
) -> None:
    remote.stat(ROOT, "/")
    with socket.create_connection((HOST, endpoints.port)) as sock:
        sock.sendall(data)
        answer = read_all(sock)
    if data.startswith(b"hrpc"):
        header = RpcResponseHeader.FromString(decode_delimited(answer, 4)[0])
        assert header.status == RpcResponseHeader.FATAL
    else:
        assert answer == b""
    assert remote.stat(ROOT, "/").is_directory


def test_http_on_the_rpc_port_is_told(endpoints: Endpoints) -> None:
    with socket.create_connection((HOST, endpoints.port)) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"Hadoop RPC, not HTTP" in read_all(sock)


def test_random_streams_harm_nobody(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    randomness = random.Random(seed)
    raw = RawClient(endpoints.port)
    good = raw.encoder.preamble() + raw.encoder.encode(FIRST_CALL_ID, 0, "stat", STAT) * 3
    raw.close()
    before = resident_bytes()
    for _ in range(300):
        data = bytearray(good)
        for _ in range(randomness.randrange(1, 5)):
            data[randomness.randrange(len(data))] = randomness.randrange(256)
        with socket.create_connection((HOST, endpoints.port)) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # it was refused before all was sent
            read_all(sock)
        assert remote.stat(ROOT, "/").is_directory
    assert resident_bytes() - before < 64 * 1024 * 1024


def test_a_promised_frame_takes_no_memory(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    before = resident_bytes()
    socks = []
    for _ in range(50):
        raw = RawClient(endpoints.port).open()
        raw.sock.sendall(pack_length(120 * 1024 * 1024) + b"x" * 100)
        socks.append(raw)
    remote.stat(ROOT, "/")
    assert resident_bytes() - before < 32 * 1024 * 1024
    for raw in socks:
        raw.close()


def test_clients_that_vanish_leave_nothing(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    for number in range(50):
        raw = RawClient(endpoints.port).open()
        raw.send(FIRST_CALL_ID, "write_file", encode_arguments((ROOT, f"/{number}", b"x")))
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()  # with a reset
    wait_until(lambda: len(remote.listdir(ROOT, "/").entries) == 50, "writes of clients that vanished")


def test_a_client_that_does_not_read_is_not_read_further(tmp_path: Path) -> None:
    limits = RpcLimits(unsent_bytes_max=1024 * 1024)
    with namenode_thread(make_config(tmp_path, limits=limits)) as endpoints:
        remote = RemoteMetadata([(HOST, endpoints.port)])
        names = [f"/{number}" for number in range(64)]
        remote.write_many(ROOT, [WriteRequest(name, b"z" * 60_000) for name in names])
        before = resident_bytes()
        raw = RawClient(endpoints.port).open()
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        # 300 answers of 3.8 MB each, if they were all made.
        many = encode_arguments((ROOT, names))
        for number in range(300):
            raw.send(FIRST_CALL_ID + number, "read_many", many)
        for _ in range(20):
            assert remote.stat(ROOT, "/").is_directory
        assert resident_bytes() - before < 100 * 1024 * 1024
        # Once it reads, everything comes.
        for number in range(300):
            response = raw.receive()
            assert response is not None and response.succeeded
            assert response.call_id == FIRST_CALL_ID + number
        raw.close()
        remote.close()


def test_calls_in_flight_are_limited_and_all_answered(tmp_path: Path) -> None:
    with namenode_thread(make_config(tmp_path, limits=RpcLimits(in_flight_max=4))) as endpoints:
        raw = RawClient(endpoints.port).open()
        for number in range(200):
            raw.send(FIRST_CALL_ID + number, "write_file", encode_arguments((ROOT, f"/{number}", b"")))
        answers = [raw.receive() for _ in range(200)]
        assert all(answer is not None and answer.succeeded for answer in answers)
        raw.close()


def test_connections_over_the_limit_are_refused(tmp_path: Path) -> None:
    with namenode_thread(make_config(tmp_path, limits=RpcLimits(connections_max=2))) as endpoints:
        admitted = [RawClient(endpoints.port).open() for _ in range(2)]
        for raw in admitted:
            raw.send(FIRST_CALL_ID, "stat", STAT)
            assert raw.receive() is not None
        third = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=0.5)
        with pytest.raises(ConnectionLost):
            third.stat(ROOT, "/")
        admitted.pop().close()
        # There is room again.
        fourth = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=20)
        assert fourth.stat(ROOT, "/").is_directory
        third.close()
        fourth.close()
        admitted[0].close()


def test_idle_connections_are_closed_and_clients_do_not_notice(tmp_path: Path) -> None:
    with namenode_thread(make_config(tmp_path, limits=RpcLimits(idle_seconds=0.2))) as endpoints:
        remote = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=20)
        remote.stat(ROOT, "/")
        raw = RawClient(endpoints.port).open()
        half = RawClient(endpoints.port)
        half.sock.sendall(b"hr")
        assert read_all(raw.sock) == b""
        assert read_all(half.sock) == b""
        assert remote.stat(ROOT, "/").is_directory
        remote.close()
        raw.close()
        half.close()


def test_a_port_in_use_is_said_in_one_line(endpoints: Endpoints, tmp_path: Path) -> None:
    for what in ("port", "http_port"):
        config = make_config(tmp_path / what, **{what: endpoints.port})
        expected = rf"^port {endpoints.port} of 127.0.0.1, .* is in use"
        with pytest.raises(AddressInUse, match=expected), namenode_thread(config):
            pass
