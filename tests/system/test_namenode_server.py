"""Namenode processes: started, killed, stopped and fed garbage while clients go on."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import NotFound, OastError
from oastfs.core.types import SUPERUSER, Caller
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder
from oastfs.wire.verbs import PROTOCOL, encode_arguments
from tests.harness.cluster import run_oastfs
from tests.harness.http import get
from tests.harness.logs import unexpected
from tests.harness.ports import free_port
from tests.harness.process import OASTFS, Server
from tests.harness.waiting import wait_until

ROOT = SUPERUSER
HOST = "127.0.0.1"


class Namenode(Server):
    """One namenode process on a store that it makes itself."""

    def __init__(self, directory: Path, name: str = "namenode", *options: str) -> None:
        self.port, self.http_port = free_port(), free_port()
        arguments = [OASTFS, "namenode", f"lmdb://{directory}/store", "--format", "--port", str(self.port)]
        arguments += ["--control-port", str(free_port()), "--http-port", str(self.http_port), *options]
        super().__init__(name, arguments, directory / f"{name}.log")

    def start(self) -> None:
        super().start()
        wait_until(self._ready, f"{self.name} to be ready", 60)

    def _ready(self) -> bool:
        self.check_alive()
        return get(self.http_port, "/readyz", timeout_seconds=5)[0] == 200

    def metrics(self) -> str:
        """What /metrics shows."""
        return get(self.http_port, "/metrics")[1]

    @property
    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def make_namenode(tmp_path: Path) -> Iterator[Callable[..., Namenode]]:
    started: list[Namenode] = []

    def make(name: str = "namenode", *options: str) -> Namenode:
        namenode = Namenode(tmp_path, name, *options)
        started.append(namenode)
        namenode.start()
        return namenode

    yield make
    for namenode in started:
        namenode.ensure_stopped()
        assert not unexpected(namenode.log), namenode.log.read_text()
    run_oastfs("fsck", f"lmdb://{tmp_path}/store")


def connect(*namenodes: Namenode, timeout_seconds: float = 60.0) -> RemoteMetadata:
    return RemoteMetadata([(HOST, one.port) for one in namenodes], timeout_seconds=timeout_seconds)


class Writers:
    """Threads that make and rename files, and remember what was acknowledged."""

    def __init__(self, remote: RemoteMetadata, count: int) -> None:
        self.remote = remote
        self.acknowledged: dict[str, bytes] = {}
        self.stop = threading.Event()
        self._threads = ThreadPoolExecutor(count)
        self._running = [self._threads.submit(self._work, number) for number in range(count)]

    def _work(self, worker: int) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            first, last = f"/d/.{worker}-{number}", f"/d/{worker}-{number}"
            content = last.encode()
            # Neither may be carried out twice: the second mknod or rename would fail.
            self.remote.mknod(ROOT, first, 0o100644)
            self.remote.write_file(ROOT, first, content)
            self.remote.rename(ROOT, first, last)
            self.acknowledged[last] = content

    def wait_for(self, count: int) -> None:
        """Until that many more files were acknowledged."""
        goal = len(self.acknowledged) + count

        def reached() -> bool:
            for running in self._running:
                if running.done():
                    running.result()
            return len(self.acknowledged) >= goal

        wait_until(reached, f"{count} more files", 60, tolerate=())

    def finish(self) -> None:
        """Stop them; errors of theirs are raised here."""
        self.stop.set()
        for running in self._running:
            running.result()
        self._threads.shutdown()

    def check(self) -> None:
        """Everything acknowledged is there, and nothing else but what was on its way."""
        for path, content in self.acknowledged.items():
            assert self.remote.open(ROOT, path).data == content
        names = {entry.name for entry in self.remote.listdir(ROOT, "/d", limit=10_000).entries}
        assert names == {path.rpartition("/")[2] for path in self.acknowledged}


def test_killed_and_started_again_nobody_notices(make_namenode: Callable[..., Namenode]) -> None:
    namenode = make_namenode()
    remote = connect(namenode)
    remote.mkdirs(ROOT, "/d")
    writers = Writers(remote, 4)
    for _ in range(4):
        writers.wait_for(50)
        namenode.kill()
        namenode.start()
    writers.wait_for(50)
    writers.finish()
    writers.check()
    remote.close()


def test_one_of_two_is_killed(make_namenode: Callable[..., Namenode]) -> None:
    one, two = make_namenode("one"), make_namenode("two")
    remote = connect(one, two)
    remote.mkdirs(ROOT, "/d")
    writers = Writers(remote, 4)
    for victim in (one, two, one):
        writers.wait_for(50)
        victim.kill()
        writers.wait_for(50)
        victim.start()
    writers.finish()
    writers.check()
    remote.close()


def test_a_namenode_that_stood_still_does_not_undo_what_came_after(
    make_namenode: Callable[..., Namenode],
) -> None:
    one, two = make_namenode("one"), make_namenode("two")
    slow, quick = connect(one, two, timeout_seconds=3), connect(two)
    # Until its connection is to the one that is going to stand still.
    while not slow._free or slow._free[0].address.port != one.port:
        slow.close()
        slow = connect(one, two, timeout_seconds=3)
        slow.stat(ROOT, "/")
    os.kill(one.pid, signal.SIGSTOP)
    try:
        # The first namenode has it in its socket; the second carries it out.
        slow.write_file(ROOT, "/f", b"old")
        quick.write_file(ROOT, "/f", b"new")
    finally:
        os.kill(one.pid, signal.SIGCONT)
    after = connect(one)
    calls = 'oastfs_rpc_seconds_count{verb="write_file"} 1.0'
    wait_until(lambda: calls in one.metrics(), "the call that lay in the socket")
    assert after.open(ROOT, "/f").data == b"new"
    for client in (slow, quick, after):
        client.close()


def test_a_graceful_stop_answers_what_is_in_flight(make_namenode: Callable[..., Namenode]) -> None:
    one, two = make_namenode("one"), make_namenode("two")
    remote = connect(one, two)
    remote.mkdirs(ROOT, "/d")
    writers = Writers(remote, 4)
    for leaving in (one, two):
        writers.wait_for(50)
        assert leaving.terminate() == 0
        writers.wait_for(50)
        leaving.start()
    writers.finish()
    writers.check()
    remote.close()
    assert "unanswered" not in one.log.read_text() + two.log.read_text()


def test_stops_with_connections_open_and_on_sigint(make_namenode: Callable[..., Namenode]) -> None:
    namenode = make_namenode()
    idle = [socket.create_connection((HOST, namenode.port)) for _ in range(20)]
    remote = connect(namenode)
    remote.stat(ROOT, "/")
    assert namenode.terminate(10) == 0
    for sock in idle:
        assert sock.recv(10) == b""
        sock.close()
    remote.close()


def test_garbage_from_many_connections(make_namenode: Callable[..., Namenode]) -> None:
    namenode = make_namenode()
    remote = connect(namenode)
    remote.stat(ROOT, "/")
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    randomness = random.Random(seed)
    encoder = RequestEncoder(bytes(16), PROTOCOL)
    good = encoder.preamble()
    for number in range(5):
        body = encode_arguments((ROOT, "/", True))
        good += encoder.encode(FIRST_CALL_ID + number, 0, "stat", body)
    before = namenode.resident_bytes
    for port in (namenode.port, namenode.http_port):
        for round_number in range(400):
            data = bytearray(good) if round_number % 2 else bytearray(randomness.randbytes(2000))
            for _ in range(randomness.randrange(6)):
                data[randomness.randrange(len(data))] = randomness.randrange(256)
            with socket.create_connection((HOST, port), 10) as sock:
                try:
                    sock.sendall(data[: randomness.randrange(1, len(data))])
                    if randomness.random() < 0.5:
                        sock.shutdown(socket.SHUT_WR)
                        sock.recv(1000)
                except OSError:
                    pass  # refused before all was sent
            if round_number % 50 == 0:
                assert remote.stat(ROOT, "/").is_directory
    namenode.check_alive()
    assert namenode.resident_bytes - before < 64 * 1024 * 1024
    assert remote.stat(ROOT, "/").is_directory
    remote.close()


def test_a_port_in_use_ends_the_second_with_one_line(
    make_namenode: Callable[..., Namenode], tmp_path: Path
) -> None:
    namenode = make_namenode()
    free = str(free_port())
    done = run_oastfs(
        "namenode", f"lmdb://{tmp_path}/other", "--format", "--port", str(namenode.port),
        "--control-port", free, "--http-port", str(free_port()), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert str(namenode.port) in done.stderr and "in use" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_store_that_is_none_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "not-a-store").mkdir()
    (tmp_path / "not-a-store" / "photo.jpg").write_bytes(b"\xff\xd8")
    ports = ["--port", str(free_port()), "--control-port", str(free_port()), "--http-port", str(free_port())]
    for url in (f"lmdb://{tmp_path}/missing", f"lmdb://{tmp_path}/not-a-store"):
        done = run_oastfs("namenode", url, *ports, check=False)
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_audit_log_and_metrics_of_a_process(make_namenode: Callable[..., Namenode], tmp_path: Path) -> None:
    audit = tmp_path / "audit.log"
    namenode = make_namenode("namenode", "--audit-log", str(audit))
    remote = connect(namenode)
    remote.write_file(ROOT, "/f", b"1")
    with pytest.raises(OastError):
        remote.delete(Caller("eve", 1003, (1003,)), "/f")
    with pytest.raises(NotFound):
        remote.stat(ROOT, "/none")
    text = namenode.metrics()
    assert 'oastfs_rpc_seconds_count{verb="write_file"} 1.0' in text
    assert 'oastfs_rpc_errors_total{error="NotFound",verb="stat"} 1.0' in text
    remote.close()
    assert namenode.terminate() == 0
    verbs = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["verb"], line["allowed"]) for line in verbs] == [("write_file", True), ("delete", False)]
