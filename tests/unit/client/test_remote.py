"""The client through real namenodes: reuse, threads, fork, pickle, deadlines and failover."""

from __future__ import annotations

import os
import pickle
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from oastfs.client.connection import Connection
from oastfs.client.remote import RemoteMetadata
from oastfs.client.url import Address
from oastfs.core.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    NotUtf8,
    OastError,
    OutcomeUnknown,
    ProtocolError,
    StoreUnavailable,
    Unreachable,
)
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.namenode.filesystem import FormatOptions
from oastfs.namenode.server.changes import Changes
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.process import Endpoints, NamenodeConfig, namenode_thread
from oastfs.namenode.server.turns import Done, Operation
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_error, encode_response
from oastfs.wire.hadoop_rpc_client import RequestEncoder
from oastfs.wire.verbs import PROTOCOL, encode_result
from tests.harness.ports import free_port

ROOT = SUPERUSER
HOST = "127.0.0.1"


def config(directory: Path, port: int = 0) -> NamenodeConfig:
    return NamenodeConfig(
        metadata=(f"lmdb://{directory}/store",),
        port=port,
        control_port=0,
        http_port=0,
        format_options=FormatOptions(),
        log_level="error",
    )


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    with namenode_thread(config(tmp_path)) as endpoints:
        yield endpoints


@pytest.fixture
def remote(endpoints: Endpoints) -> Iterator[RemoteMetadata]:
    client = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=20)
    yield client
    client.close()


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener whose connections are given to ``serve``, for namenodes that misbehave; its port."""
    with socket.create_server((HOST, 0)) as listener, ExitStack() as opened:

        def accept() -> None:
            while True:
                try:
                    sock = opened.enter_context(listener.accept()[0])
                except OSError:
                    return
                try:
                    serve(sock)
                except OSError:
                    pass  # the client has gone

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def requests(sock: socket.socket) -> Iterator[Request]:
    """The calls that arrive on a connection."""
    session = ServerSession()
    while data := sock.recv(65536):
        session.feed(data)
        while (request := session.next_request()) is not None:
            yield request


def listen_only(sock: socket.socket) -> None:
    """A namenode that hangs."""
    for _ in requests(sock):
        pass


# --- ordinary use ---------------------------------------------------------------------------------


def test_connections_are_reused(remote: RemoteMetadata) -> None:
    for _ in range(50):
        remote.stat(ROOT, "/")
    assert len(remote._free) == 1
    with pytest.raises(NotFound):
        remote.stat(ROOT, "/none")
    assert len(remote._free) == 1


def test_many_threads_at_once(remote: RemoteMetadata) -> None:
    remote.mkdirs(ROOT, "/d")

    def work(number: int) -> None:
        for item in range(30):
            path = f"/d/{number}-{item}"
            status = remote.write_file(ROOT, path, path.encode())
            assert remote.stat(ROOT, path) == status
            assert remote.open(ROOT, path).data == path.encode()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(remote.listdir(ROOT, "/d").entries) == 240
    assert 1 <= len(remote._free) <= 8


def test_call_many(remote: RemoteMetadata) -> None:
    names = [f"/{number}" for number in range(300)]
    made = remote.call_many("write_file", ROOT, [(name, b"x") for name in names])
    assert all(isinstance(item, FileStatus) for item in made)
    mixed = remote.call_many("stat", ROOT, [("/0",), ("/none",), ("/1", True), ("relative",)])
    assert [type(item).__name__ for item in mixed] == [
        "FileStatus",
        "NotFound",
        "FileStatus",
        "InvalidPath",
    ]
    assert remote.call_many("stat", ROOT, []) == []


def test_arguments_that_cannot_be_sent(remote: RemoteMetadata) -> None:
    with pytest.raises(NotUtf8):
        remote.stat(ROOT, "/\udcff")
    with pytest.raises(InvalidArgument):
        remote.stat(ROOT, object())  # type: ignore[arg-type]  # no path
    assert remote.stat(ROOT, "/").is_directory


def test_pickled_it_connects_anew(remote: RemoteMetadata) -> None:
    remote.stat(ROOT, "/")
    copy = pickle.loads(pickle.dumps(remote))
    assert copy.addresses == remote.addresses
    assert copy.timeout_seconds == remote.timeout_seconds
    assert copy._encoder.client_id != remote._encoder.client_id
    assert copy.stat(ROOT, "/").is_directory
    copy.close()


def test_a_forked_child_has_connections_of_its_own(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    remote.write_file(ROOT, "/f", b"")
    mine = remote._encoder.client_id
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = [remote.stat(ROOT, "/f").name for _ in range(20)]
            fresh = remote._encoder.client_id != mine
            os.write(write_end, b"ok" if found == ["f"] * 20 and fresh else b"no")
        finally:
            os._exit(0)
    os.close(write_end)
    for _ in range(100):
        assert remote.stat(ROOT, "/f").name == "f"
    os.waitpid(pid, 0)
    assert os.read(read_end, 10) == b"ok"
    os.close(read_end)
    assert remote._encoder.client_id == mine
    assert remote.stat(ROOT, "/f").name == "f"


def test_closed_it_refuses_calls(remote: RemoteMetadata) -> None:
    remote.stat(ROOT, "/")
    remote.close()
    with pytest.raises(OastError, match="closed"):
        remote.stat(ROOT, "/")


# --- namenodes that are gone, slow or wrong -------------------------------------------------------


def test_the_first_of_several_that_answers(endpoints: Endpoints) -> None:
    for _ in range(5):
        remote = RemoteMetadata([(HOST, free_port()), (HOST, endpoints.port)])
        assert remote.stat(ROOT, "/").is_directory
        remote.close()


def test_a_namenode_that_was_started_anew(tmp_path: Path) -> None:
    port = free_port()
    with namenode_thread(config(tmp_path, port)):
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=20)
        remote.write_file(ROOT, "/f", b"")
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: remote.stat(ROOT, "/"), range(50)))
    with namenode_thread(config(tmp_path, port)):
        for _ in range(20):
            assert remote.stat(ROOT, "/f").is_file
        remote.close()


def test_a_call_waits_for_a_namenode_that_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with namenode_thread(config(tmp_path, port)):
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=30)
        remote.stat(ROOT, "/")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(remote.stat, ROOT, "/")
        assert not waiting.done()
        with namenode_thread(config(tmp_path, port)):
            assert waiting.result(30).is_directory
    remote.close()


def test_two_namenodes_of_one_store_and_one_stops(tmp_path: Path) -> None:
    with ExitStack() as second, ExitStack() as first:
        ports = [stack.enter_context(namenode_thread(config(tmp_path))).port for stack in (first, second)]
        remote = RemoteMetadata([(HOST, port) for port in ports], timeout_seconds=30)
        done: list[str] = []

        def work() -> None:
            for number in range(400):
                remote.mknod(ROOT, f"/{number}", 0o100644)
                done.append(f"/{number}")

        with ThreadPoolExecutor(1) as threads:
            working = threads.submit(work)
            while len(done) < 100:
                assert not working.done() or not working.exception(), working.exception()
            first.close()
            working.result(60)
        assert len(remote.listdir(ROOT, "/").entries) == 400
        remote.close()


def test_an_answer_that_was_lost_is_given_again(endpoints: Endpoints) -> None:
    """Between client and namenode: the call gets through, its answer does not."""
    swallowed: list[bytes] = []

    def forward_and_drop(sock: socket.socket) -> None:
        with socket.create_connection((HOST, endpoints.port)) as upstream:
            while not swallowed:
                readable, _, _ = select.select([sock, upstream], [], [])
                if upstream in readable:
                    swallowed.append(upstream.recv(65536))
                else:
                    upstream.sendall(sock.recv(65536))
        sock.close()

    with server(forward_and_drop) as port:
        # Whichever is first: the call goes to the lossy one, and then to the other.
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)], timeout_seconds=20)
        remote._first = 0
        status = remote.mknod(ROOT, "/once", 0o100644)
        assert swallowed, "the call did not go through the lossy connection"
        assert remote.stat(ROOT, "/once") == status
        with pytest.raises(AlreadyExists):
            remote.mknod(ROOT, "/once", 0o100644)
        remote.close()


def test_deadline_of_a_namenode_that_is_silent() -> None:
    with server(listen_only) as port:
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=0.3)
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(DeadlineExceeded, match=rf"127.0.0.1:{port} did not answer in 0\.(3|2\d*) s"):
                remote.stat(ROOT, "/")
            assert 0.2 < time.monotonic() - started < 5
        assert not remote._free
        remote.close()


def test_the_deadline_holds_for_all_namenodes_together() -> None:
    with server(listen_only) as one, server(listen_only) as two:
        remote = RemoteMetadata([(HOST, one), (HOST, two)], timeout_seconds=0.6)
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                remote.stat(ROOT, "/")
            assert 0.5 < time.monotonic() - started < 3
        remote.close()


def test_a_silent_namenode_and_one_that_answers(endpoints: Endpoints) -> None:
    with server(listen_only) as port:
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)], timeout_seconds=2)
        remote._first = 0
        assert remote.stat(ROOT, "/").is_directory
        remote.close()


def test_one_that_hangs_is_left_for_another_soon(endpoints: Endpoints) -> None:
    """A process that accepts and says nothing, as one that is stopped; not after its share of a minute."""
    with server(listen_only) as port:
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)])
        for call in (lambda: remote.stat(ROOT, "/"), lambda: remote.call_many("stat", ROOT, [["/"]])):
            remote._fail_over(remote.addresses[1])
            remote._first = 0
            started = time.monotonic()
            assert call()
            assert time.monotonic() - started < 10
        remote.close()


def test_one_that_takes_its_time_is_waited_for(endpoints: Endpoints) -> None:
    """It answers others meanwhile: the call is not made anywhere else."""
    asked: list[socket.socket] = []

    def pass_on(sock: socket.socket, seconds: float) -> None:
        request = b""
        with socket.create_connection((HOST, endpoints.port)) as behind:
            while data := sock.recv(65536):
                request += data
                if len(request) > 100:  # what opens the connection comes before the call
                    time.sleep(seconds)
                    behind.sendall(request)
                    sock.sendall(behind.recv(65536))
                    return

    def slow(sock: socket.socket) -> None:
        """Answers the first connection after a while, others at once."""
        asked.append(sock)
        seconds = 3.5 if len(asked) == 1 else 0.0
        threading.Thread(target=pass_on, args=(sock, seconds), daemon=True).start()

    with server(slow) as port, server(listen_only) as never:
        remote = RemoteMetadata([(HOST, port), (HOST, never)])
        remote._first = 0
        started = time.monotonic()
        assert remote.stat(ROOT, "/").is_directory
        assert remote._first == 0, "it did not turn to another"
        seconds = time.monotonic() - started
        assert 2 <= len(asked) <= 1 + seconds, "a question whether it is there, every second"
        remote.close()


def test_bytes_that_trickle_do_not_outlive_the_deadline() -> None:
    def trickle(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(b"\0\0\x10\0")
        for _ in range(100):
            sock.sendall(b"x")
            time.sleep(0.05)

    with server(trickle) as port:
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=0.4)
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            remote.stat(ROOT, "/")
        assert time.monotonic() - started < 3
        remote.close()


@pytest.mark.parametrize("answer", [b"\0\0\0\x03abc", b"\xff" * 100, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_speaks_something_else(answer: bytes) -> None:
    def serve(sock: socket.socket) -> None:
        next(requests(sock))
        sock.sendall(answer)

    with server(serve) as port:
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=5)
        with pytest.raises(ProtocolError):
            remote.stat(ROOT, "/")
        assert not remote._free
        remote.close()


def test_an_answer_of_another_call_is_not_taken() -> None:
    def serve(sock: socket.socket) -> None:
        for request in requests(sock):
            request.call_id += 1
            sock.sendall(encode_response(request, encode_result(None)))

    with server(serve) as port:
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=5)
        with pytest.raises(ProtocolError, match="answered another call"):
            remote.stat(ROOT, "/")
        remote.close()


def test_a_stopping_namenode_sends_calls_to_another(endpoints: Endpoints) -> None:
    asked = []

    def stopping(sock: socket.socket) -> None:
        for request in requests(sock):
            asked.append(request.method)
            identity = (request.call_id, request.client_id, request.retry_count)
            sock.sendall(encode_error(*identity, "oastfs.ServerStopping", "going down"))

    with server(stopping) as port:
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)], timeout_seconds=20)
        remote._first = 0
        assert remote.stat(ROOT, "/").is_directory
        assert asked == ["stat"]
        remote._first = 0
        remote._drop_free()
        found = remote.call_many("stat", ROOT, [("/",)] * 3)
        assert all(isinstance(item, FileStatus) for item in found)
        remote.close()


@pytest.mark.parametrize("kind", [StoreUnavailable, OutcomeUnknown])
def test_what_the_store_left_undone_is_asked_for_again(
    kind: type[OastError], endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the same call id, so that one that was carried out after all is answered, not repeated."""
    submit = Changes.submit_brief
    refused: list[object] = []

    def lose(self: Changes, caller: RpcConnection, operation: Operation, done: Done) -> None:
        """The first change is made, and the answer lost."""

        def tell(result: object, error: BaseException | None) -> None:
            if not refused:
                refused.append(result)
                error = kind("the store is away")
            done(result, error)

        submit(self, caller, operation, tell)

    monkeypatch.setattr(Changes, "submit_brief", lose)
    remote = RemoteMetadata([(HOST, endpoints.port)])
    path = f"/once-{kind.__name__}"
    remote.create(ROOT, path)  # a second time it would be there already
    assert refused and remote.stat(ROOT, path).length == 0
    remote.close()


def test_a_store_that_stays_away_is_what_the_error_tells_of(endpoints: Endpoints) -> None:
    def refuse(self: Changes, *arguments: object) -> None:
        raise StoreUnavailable("the store is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Changes, "submit_brief", refuse)
        remote = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=1.0)
        with pytest.raises(StoreUnavailable, match="the store is away"):
            remote.create(ROOT, "/never")
        remote.close()


def test_a_call_many_that_is_cut_off_goes_on_elsewhere(endpoints: Endpoints) -> None:
    direct = RemoteMetadata([(HOST, endpoints.port)])
    root = direct.stat(ROOT, "/")
    direct.close()

    def answer_two(sock: socket.socket) -> None:
        for number, request in enumerate(requests(sock)):
            if number == 2:
                return sock.close()
            sock.sendall(encode_response(request, encode_result(root)))
        return None

    with server(answer_two) as port:
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)], timeout_seconds=20)
        remote._first = 0
        found = remote.call_many("stat", ROOT, [("/",)] * 10)
        assert all(isinstance(item, FileStatus) for item in found), found
        remote.close()


def test_a_connection_names_its_address() -> None:
    encoder = RequestEncoder(bytes(16), PROTOCOL)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 "):
        Connection.open(Address(HOST, 1), encoder, 2.0)
