"""Calls that nobody waits for: through real namenodes, and through some that misbehave."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from oastfs.client.connection import Connection
from oastfs.client.pipeline import TICK_SECONDS, Pipeline
from oastfs.client.remote import RemoteMetadata
from oastfs.client.url import Address
from oastfs.core.errors import DeadlineExceeded, NotFound, NotUtf8
from oastfs.core.types import SUPERUSER, FileStatus
from oastfs.namenode.server.process import Endpoints, namenode_thread
from tests.unit.client.test_remote import HOST, config, listen_only, server

ROOT = SUPERUSER
WAIT_SECONDS = 60.0


class Driver:
    """The thread that does not wait: it begins calls and polls until they are answered."""

    def __init__(self, remote: RemoteMetadata, elsewhere: ThreadPoolExecutor) -> None:
        self.remote = remote
        self.moved = 0

        def move(function: Callable[[], None]) -> None:
            self.moved += 1
            elsewhere.submit(function)

        self.pipeline = Pipeline(remote, move)
        self.answers: dict[Any, Any] = {}
        self.begun = 0

    def close(self) -> None:
        self.pipeline.close()
        self.remote.close()

    def connect(self, port: int) -> None:
        """Have the pipeline use a connection to this namenode."""
        self.remote._free.append(Connection.open(Address(HOST, port), self.remote._encoder, 5.0))

    def begin(self, name: Any, verb: str, *arguments: Any) -> None:
        def done(result: Any, error: BaseException | None) -> None:
            assert name not in self.answers, "a call was answered twice"
            self.answers[name] = result if error is None else error

        self.begun += 1
        self.pipeline.begin(verb, ROOT, arguments, done)

    def finish(self) -> dict[Any, Any]:
        """All answers and errors, by the names of the calls."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.answers) < self.begun:
            missing = self.begun - len(self.answers)
            assert time.monotonic() < deadline, f"{missing} of {self.begun} calls were not answered"
            self.pipeline.flush()
            connection = self.pipeline.connection
            if connection is None:
                time.sleep(0.005)
                continue
            writing = [connection] if self.pipeline.unsent else []
            readable, writable, _ = select.select([connection], writing, [], TICK_SECONDS)
            if readable:
                self.pipeline.receive()
            elif not writable:
                self.pipeline.tick()
        return self.answers


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    with namenode_thread(config(tmp_path)) as endpoints:
        yield endpoints


@pytest.fixture
def driver(endpoints: Endpoints, elsewhere: ThreadPoolExecutor) -> Iterator[Driver]:
    remote = RemoteMetadata([(HOST, endpoints.port)], timeout_seconds=20)
    driver = Driver(remote, elsewhere)
    yield driver
    driver.close()


def test_answers_go_to_whom_they_are_for(driver: Driver) -> None:
    for number in range(300):
        driver.begin(number, "write_file", f"/{number}", b"%d" % number)
    made = dict(driver.finish())
    for number in range(300):
        driver.begin(f"read {number}", "open", f"/{number}", 0, 1 << 30)
    driver.begin("none", "stat", "/none", True)
    answers = driver.finish()
    for number in range(300):
        assert answers[f"read {number}"].status == made[number]
        assert answers[f"read {number}"].data == b"%d" % number
    assert isinstance(answers["none"], NotFound)


def test_one_connection_once_there_is_one(driver: Driver) -> None:
    driver.begin("first", "stat", "/", True)
    driver.finish()
    assert driver.moved == 1, "there was no connection yet"
    for number in range(200):
        driver.begin(number, "stat", "/", True)
    assert all(isinstance(answer, FileStatus) for answer in driver.finish().values())
    assert driver.moved == 1


def test_arguments_that_cannot_be_sent(driver: Driver) -> None:
    driver.begin("bad", "stat", "/\udcff", True)
    assert isinstance(driver.finish()["bad"], NotUtf8)


def test_more_is_sent_and_answered_than_either_side_takes_at_once(driver: Driver) -> None:
    """Who sent all before it reads would wait for a namenode that waits for it."""
    content = bytes(60_000)
    driver.begin("made", "write_file", "/read", content)
    driver.finish()
    for number in range(400):
        driver.begin(f"write {number}", "write_file", f"/{number}", content)
        driver.begin(f"read {number}", "open", "/read", 0, 1 << 30)
    answers = driver.finish()
    assert all(answers[f"read {number}"].data == content for number in range(400))
    assert all(answers[f"write {number}"].length == 60_000 for number in range(400))


def test_a_namenode_that_stops_with_calls_under_way(tmp_path: Path, elsewhere: ThreadPoolExecutor) -> None:
    with ExitStack() as second, ExitStack() as first:
        ports = [stack.enter_context(namenode_thread(config(tmp_path))).port for stack in (first, second)]
        remote = RemoteMetadata([(HOST, port) for port in ports], timeout_seconds=30)
        driver = Driver(remote, elsewhere)
        driver.connect(ports[0])
        for number in range(300):
            driver.begin(number, "mknod", f"/{number}", 0o100644, 0, -1)
            if number == 150:
                driver.pipeline.flush()
                elsewhere.submit(first.close)
            if number % 10 == 0:
                time.sleep(0.002)
                driver.pipeline.flush()
        answers = driver.finish()
        assert all(isinstance(answer, FileStatus) for answer in answers.values()), answers
        assert len(remote.listdir(ROOT, "/").entries) == 300
        driver.close()


def test_calls_whose_answers_were_lost_are_carried_out_once(
    endpoints: Endpoints, elsewhere: ThreadPoolExecutor
) -> None:
    """Between client and namenode: calls get through, their answers do not."""

    def forward_and_drop(sock: socket.socket) -> None:
        with socket.create_connection((HOST, endpoints.port)) as upstream:
            while True:
                readable, _, _ = select.select([sock, upstream], [], [])
                if upstream in readable:
                    break
                upstream.sendall(sock.recv(65536))
        sock.close()

    with server(forward_and_drop) as port:
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)], timeout_seconds=20)
        remote._first = 1
        driver = Driver(remote, elsewhere)
        driver.connect(port)
        for number in range(20):
            driver.begin(number, "mknod", f"/{number}", 0o100644, 0, -1)
        answers = driver.finish()
        assert all(isinstance(answer, FileStatus) for answer in answers.values()), answers
        assert driver.moved == 20
        driver.close()


def test_one_that_hangs_is_left_for_another_soon(endpoints: Endpoints, elsewhere: ThreadPoolExecutor) -> None:
    with server(listen_only) as port:
        remote = RemoteMetadata([(HOST, port), (HOST, endpoints.port)])
        remote._first = 0
        driver = Driver(remote, elsewhere)
        driver.connect(port)
        started = time.monotonic()
        for number in range(5):
            driver.begin(number, "stat", "/", True)
        answers = driver.finish()
        assert all(isinstance(answer, FileStatus) for answer in answers.values()), answers
        assert time.monotonic() - started < 10, "its share of the time for a call was waited for"
        driver.close()


def test_the_only_one_hangs(elsewhere: ThreadPoolExecutor) -> None:
    with server(listen_only) as port:
        remote = RemoteMetadata([(HOST, port)], timeout_seconds=0.5)
        driver = Driver(remote, elsewhere)
        driver.connect(port)
        started = time.monotonic()
        driver.begin("stat", "stat", "/", True)
        assert isinstance(driver.finish()["stat"], DeadlineExceeded)
        assert 0.4 < time.monotonic() - started < 5
        driver.close()
