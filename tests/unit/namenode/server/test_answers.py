"""Answers come whole and in order, whoever reads slowly, goes away, or asks for many at once."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.types import SUPERUSER, WriteRequest
from oastfs.namenode.server import peer
from oastfs.namenode.server.process import Endpoints, namenode_thread
from oastfs.namenode.server.rpc import RpcLimits
from oastfs.wire import hadoop_rpc
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID
from oastfs.wire.verbs import VERBS, encode_arguments
from tests.harness.http import get
from tests.harness.waiting import wait_until
from tests.unit.namenode.server.conftest import HOST, RawClient, make_config

ROOT = SUPERUSER
STAT = encode_arguments((ROOT, "/", True))
SIZES = (0, 10, 5_000, 60_000, 20, 64_000)
"""Answers of the longest are written in two pieces."""
_READ = VERBS["open"]


@pytest.fixture(params=["compiled", "python"], autouse=True)
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(hadoop_rpc, "_calls", None)
        monkeypatch.setattr(peer, "_sending", None)
    else:
        for module in ("oastfs.wire._calls", "oastfs.namenode.server._sending"):
            pytest.importorskip(module, reason="nothing is compiled here")


@pytest.fixture(autouse=True)
def nothing_logged(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """The server logs errors only, and so does its event loop of what a connection lets through."""
    yield
    assert capfd.readouterr().err == ""


@pytest.fixture(autouse=True)
def files(request: pytest.FixtureRequest) -> None:
    if "remote" in request.fixturenames:
        make_files(request.getfixturevalue("remote"))


def content_of(number: int) -> bytes:
    return random.Random(number).randbytes(SIZES[number % len(SIZES)])


def make_files(remote: RemoteMetadata) -> None:
    remote.write_many(ROOT, [WriteRequest(f"/{number}", content_of(number)) for number in range(len(SIZES))])


def call_of(raw: RawClient, number: int) -> bytes:
    """The bytes of the call that asks for a file, by a call id that tells which."""
    arguments = encode_arguments((ROOT, f"/{number % len(SIZES)}", 0, 1 << 30))
    return raw.encoder.encode(FIRST_CALL_ID + number, 0, "open", arguments)


def expect(raw: RawClient, number: int) -> None:
    """The next answer is that to this call."""
    response = raw.receive()
    assert response is not None and response.succeeded
    assert response.call_id == FIRST_CALL_ID + number
    assert _READ.decode_result(response.body).data == content_of(number % len(SIZES))


def answered(endpoints: Endpoints) -> int:
    """How many files were asked for, and the answers made."""
    figures = get(endpoints.http_port, "/metrics")[1].splitlines()
    counts = [
        line.rpartition(" ")[2] for line in figures if line.startswith('oastfs_rpc_seconds_count{verb="open"')
    ]
    return int(float(counts[0])) if counts else 0


def test_to_a_client_that_reads_late(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    raw = RawClient(endpoints.port, receive_bytes=4096).open()
    for number in range(400):  # 8 MB: more than the kernel keeps, and more than the server does
        raw.sock.sendall(call_of(raw, number))
        remote.stat(ROOT, "/")  # meanwhile the call is heard, most of them alone
    assert answered(endpoints) < 400
    for number in range(400):
        expect(raw, number)
    raw.sock.sendall(call_of(raw, 400))
    expect(raw, 400)
    raw.close()


def test_to_a_client_that_reads_slowly(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    """Whenever a little has been read, a little is sent, and new calls come in between."""
    raw = RawClient(endpoints.port, receive_bytes=4096).open()
    asked = 0
    for number in range(300):
        while asked < number + random.Random(number).choice((1, 40, 80)):
            raw.sock.sendall(call_of(raw, asked))
            asked += 1
        remote.stat(ROOT, "/")
        expect(raw, number)
    for number in range(300, asked):
        expect(raw, number)
    raw.close()


def test_to_calls_cut_and_joined_anywhere(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    randomness = random.Random(seed)
    raw = RawClient(endpoints.port).open()
    raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = b"".join(call_of(raw, number) for number in range(200))

    def send() -> None:
        at = 0
        while at < len(stream):
            count = randomness.choice((1, 40, len(stream) // 200, 1000))
            raw.sock.sendall(stream[at : at + count])
            at += count
            remote.stat(ROOT, "/")

    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(send)
        for number in range(200):
            expect(raw, number)
        sending.result()
    raw.close()


def test_to_reads_beside_changes(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    """What is answered later, and errors, come between answers at once; each call has its own."""
    raw = RawClient(endpoints.port).open()
    for number in range(200):
        raw.sock.sendall(call_of(raw, 3 * number))
        raw.send(
            FIRST_CALL_ID + 3 * number + 1, "write_file", encode_arguments((ROOT, f"/new{number}", b"x"))
        )
        raw.send(FIRST_CALL_ID + 3 * number + 2, "stat", encode_arguments((ROOT, "/absent", True)))
    answers = [raw.receive() for _ in range(600)]
    outcomes = {answer.call_id - FIRST_CALL_ID: answer.succeeded for answer in answers if answer is not None}
    assert outcomes == {number: number % 3 != 2 for number in range(600)}
    raw.close()


@pytest.mark.parametrize("with_reset", [True, False])
def test_to_clients_that_go_in_the_middle(
    endpoints: Endpoints, remote: RemoteMetadata, with_reset: bool
) -> None:
    for count in range(40):
        raw = RawClient(endpoints.port, receive_bytes=4096).open()
        for number in range(5 * count):
            raw.sock.sendall(call_of(raw, number))
        if count % 2:
            raw.receive()
        if with_reset:
            raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            raw.sock.shutdown(socket.SHUT_WR)
        raw.close()
    assert remote.stat(ROOT, "/").is_directory
    wait_until(
        lambda: "\noastfs_rpc_connections 1.0\n" in get(endpoints.http_port, "/metrics")[1],
        "the connections of clients that went to be forgotten",
    )


def test_to_many_clients_at_once(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    clients = [RawClient(endpoints.port).open() for _ in range(300)]
    for number in range(len(SIZES)):
        for raw in clients:
            raw.sock.sendall(call_of(raw, number))
        for raw in reversed(clients):
            expect(raw, number)
    for raw in clients:
        raw.close()


def test_sent_before_the_server_stops(tmp_path: Path) -> None:
    """It stops while a client has not read what it asked for: that still comes, and then the end."""
    limits = RpcLimits(unsent_bytes_max=64 * 1024 * 1024)
    stopping = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        with namenode_thread(make_config(tmp_path, limits=limits)) as endpoints:
            remote = RemoteMetadata([(HOST, endpoints.port)])
            make_files(remote)
            remote.close()
            raw = RawClient(endpoints.port, receive_bytes=4096).open()
            raw.sock.sendall(b"".join(call_of(raw, number) for number in range(400)))
            wait_until(lambda: answered(endpoints) == 400, "all calls to be answered")

            def read() -> None:
                assert stopping.wait(20), "the server was not stopped"
                for number in range(400):
                    expect(raw, number)
                assert raw.receive() is None

            reading = threads.submit(read)
            stopping.set()
        reading.result()
    raw.close()
