"""Calls of HDFS's clients in this process, with what is compiled and with the Python that does the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from google.protobuf.message import Message
from pytest_benchmark.fixture import BenchmarkFixture

from oastfs.core.types import SUPERUSER
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.hdfs import pages, small_files, status
from oastfs.namenode.hdfs.call import Address, Call
from oastfs.namenode.hdfs.handler import PROTOCOL, carry_out, decode
from oastfs.namenode.hdfs.methods import METHODS
from oastfs.namenode.hdfs.names import Names
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.wire import hadoop_rpc
from oastfs.wire.hadoop_rpc import ServerSession, encode_response
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder
from oastfs.wire.proto import client_namenode_pb2 as pb

CLIENT = bytes(16)
ENTRIES = 1000


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    store = open_store(f"lmdb://{tmp_path_factory.mktemp('hdfs')}/store", create=True)
    format_store(store, FormatOptions())
    namespace = Namespace(store)
    for number in range(ENTRIES):
        namespace.write_file(SUPERUSER, f"/a/b/directory/file{number:06}", b"content", parents=True)
    yield namespace
    store.close()


def _is_missing(module: ModuleType, compiled: str) -> bool:
    return getattr(module, compiled) is None


@pytest.fixture(params=["compiled", "python"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "compiled":
        if _is_missing(pages, "_pages") or _is_missing(hadoop_rpc, "_calls"):
            pytest.skip("nothing is compiled here")
        return
    monkeypatch.setattr(pages, "_pages", None)
    monkeypatch.setattr(status, "_encode", status._put_together)
    monkeypatch.setattr(small_files, "_encode", small_files._put_together)
    monkeypatch.setattr(hadoop_rpc, "_calls", None)


def _answering(namespace: Namespace, method: str, request: Message) -> Callable[[], bytes]:
    """From the bytes of a call to those of its answer, as a connection and the handler go about it."""
    encoder = RequestEncoder(CLIENT, PROTOCOL, "root")
    session, names = ServerSession(), Names()
    session.feed(encoder.preamble())
    assert session.next_request() is None
    frame = encoder.encode(FIRST_CALL_ID, 0, method, request.SerializeToString())
    server = Address("127.0.0.1", 8020)

    def answer() -> bytes:
        call = session.lone_call(frame)
        if call is None:
            session.feed(frame)
            call = session.next_request()
        assert call is not None
        declared = METHODS[call.method]
        message = decode(declared, call.body)
        context = Call(namespace.context(SUPERUSER), names, "127.0.0.1", server)
        return encode_response(
            call, namespace.store.read(lambda tx: carry_out(declared, tx, context, message))
        )

    return answer


@pytest.mark.usefixtures("twin")
def test_list_1000_entries(benchmark: BenchmarkFixture, namespace: Namespace) -> None:
    request = pb.GetListingRequest(src="/a/b/directory", startAfter=b"", needLocation=False)
    assert len(benchmark(_answering(namespace, "getListing", request))) > 50 * ENTRIES


@pytest.mark.usefixtures("twin")
def test_stat(benchmark: BenchmarkFixture, namespace: Namespace) -> None:
    request = pb.GetFileInfoRequest(src="/a/b/directory/file000007")
    assert len(benchmark(_answering(namespace, "getFileInfo", request))) > 50


@pytest.mark.usefixtures("twin")
def test_open(benchmark: BenchmarkFixture, namespace: Namespace) -> None:
    request = pb.GetBlockLocationsRequest(src="/a/b/directory/file000007", offset=0, length=1 << 40)
    assert len(benchmark(_answering(namespace, "getBlockLocations", request))) > 50
