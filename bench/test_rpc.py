"""The metadata wire: encoding, one caller's round trips, and many connections at once."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import rpc_load, transfer_load
from oastfs.client.remote import RemoteMetadata
from oastfs.core.types import SUPERUSER, FileStatus, WriteRequest
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_response
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder, decode_response
from oastfs.wire.verbs import PROTOCOL, VERBS, encode_arguments, encode_result
from tests.harness.ports import free_port
from tests.harness.process import OASTFS, Server

HOST = "127.0.0.1"
ROOT = SUPERUSER
PATH = "/a/b/c/file"
STATUS = FileStatus(
    123456, 0o100644, 1000, 1000, 1024, 1, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000,
    1_700_000_000_000_000_000, 128 << 20, 3, 0, 12345, "file",
)  # fmt: skip


class Namenode(Server):
    """A namenode process on a store of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        ports = [
            "--port",
            str(self.port),
            "--control-port",
            str(free_port()),
            "--http-port",
            str(free_port()),
        ]
        arguments = [OASTFS, "namenode", f"lmdb://{directory}/store", "--format", *ports]
        super().__init__("namenode", arguments, directory / "log")


@pytest.fixture(scope="module")
def namenode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namenode]:
    namenode = Namenode(tmp_path_factory.mktemp("namenode"))
    namenode.start()
    namenode.wait_for_line("ready")
    yield namenode
    namenode.ensure_stopped()


@pytest.fixture(scope="module")
def remote(namenode: Namenode) -> Iterator[RemoteMetadata]:
    client = RemoteMetadata([(HOST, namenode.port)])
    client.mkdirs(ROOT, "/a/b/c")
    client.write_file(ROOT, PATH, b"x" * 1024)
    yield client
    client.close()


# --- encoding -------------------------------------------------------------------------------------


def test_encode_a_call(benchmark: BenchmarkFixture) -> None:
    encoder = RequestEncoder(uuid.uuid4().bytes, PROTOCOL)
    benchmark(lambda: encoder.encode(FIRST_CALL_ID, 0, "stat", encode_arguments((ROOT, PATH, True))))


def test_decode_a_call(benchmark: BenchmarkFixture) -> None:
    encoder = RequestEncoder(uuid.uuid4().bytes, PROTOCOL)
    session = ServerSession()
    session.feed(encoder.preamble())
    call = encoder.encode(FIRST_CALL_ID, 0, "stat", encode_arguments((ROOT, PATH, True)))

    def decode() -> None:
        session.feed(call)
        request = session.next_request()
        assert request is not None
        VERBS["stat"].decode_arguments(request.body)

    benchmark(decode)


def test_encode_an_answer(benchmark: BenchmarkFixture) -> None:
    request = Request(FIRST_CALL_ID, bytes(16), 0, PROTOCOL, "stat", b"")
    benchmark(lambda: encode_response(request, encode_result(STATUS)))


def test_decode_an_answer(benchmark: BenchmarkFixture) -> None:
    request = Request(FIRST_CALL_ID, bytes(16), 0, PROTOCOL, "stat", b"")
    frame = encode_response(request, encode_result(STATUS))[4:]
    benchmark(lambda: VERBS["stat"].decode_result(decode_response(frame).body))


# --- one caller -----------------------------------------------------------------------------------


@pytest.mark.bound_by("wakeup")
def test_stat(benchmark: BenchmarkFixture, remote: RemoteMetadata) -> None:
    benchmark(lambda: remote.stat(ROOT, PATH))


@pytest.mark.bound_by("wakeup")
def test_open_with_content(benchmark: BenchmarkFixture, remote: RemoteMetadata) -> None:
    benchmark(lambda: remote.open(ROOT, PATH))


@pytest.mark.bound_by("sync")
def test_write_a_small_file(benchmark: BenchmarkFixture, remote: RemoteMetadata) -> None:
    benchmark(lambda: remote.write_file(ROOT, PATH, b"x" * 1024))


def test_call_many_64_stats(benchmark: BenchmarkFixture, remote: RemoteMetadata) -> None:
    benchmark(lambda: remote.call_many("stat", ROOT, [(PATH, True)] * 64))


def test_read_many_1000(benchmark: BenchmarkFixture, remote: RemoteMetadata) -> None:
    names = [f"/a/many-{number}" for number in range(1000)]
    remote.write_many(ROOT, [WriteRequest(name, b"x" * 1024) for name in names])
    benchmark(lambda: remote.read_many(ROOT, names))


# --- many connections -----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", rpc_load.VERBS)
def test_64_connections(benchmark: BenchmarkFixture, namenode: Namenode, verb: str) -> None:
    result = benchmark.pedantic(
        lambda: rpc_load.run(HOST, namenode.port, verb, 64, 3.0, namenode.pid), rounds=1, iterations=1
    )
    benchmark.extra_info.update(result._asdict())
    print(f"{verb}: {result}", file=sys.stderr)


@pytest.mark.parametrize("keep", [False, True], ids=["new-connections", "kept-connections"])
def test_16_readers_of_inline_blocks(benchmark: BenchmarkFixture, namenode: Namenode, keep: bool) -> None:
    def measure() -> rpc_load.Result:
        return transfer_load.run(
            HOST, namenode.port, size=1024, readers=16, keep=keep, seconds=3.0, pid=namenode.pid
        )

    result = benchmark.pedantic(measure, rounds=1, iterations=1)
    benchmark.extra_info.update(result._asdict())
    print(f"1 KiB blocks, {'kept' if keep else 'new'} connections: {result}", file=sys.stderr)
