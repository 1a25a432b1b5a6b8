"""Many clients of WebHDFS at once do what they please; each knows what its files must hold."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.harness.cluster import HOST, Cluster
from tests.harness.waiting import wait_until

SIZES = (0, 100, 60_000, 70_000, 1 << 20, 3 << 20)
PIECE_BYTES = 50_000


class Client(threading.Thread):
    """Works in a directory of its own, by any namenode. With ``tolerant`` requests may fail.

    What a failed request may have done to a file is not known, so the file is left alone afterwards.
    """

    def __init__(self, cluster: Cluster, number: int, seed: int, operations: int, tolerant: bool) -> None:
        super().__init__()
        self._bases = [f"http://{HOST}:{one.http_port}/webhdfs/v1" for one in cluster.namenodes]
        self._random = random.Random(seed * 1000 + number)
        self._session = requests.Session()
        self._directory = f"/client-{number}"
        self._operations = operations
        self._tolerant = tolerant
        self._files = 0
        self.content: dict[str, bytes] = {}
        self.failure: BaseException | None = None
        self.failed = 0

    def run(self) -> None:
        try:
            for _ in range(self._operations):
                self._step()
        except BaseException as error:
            self.failure = error

    def _step(self) -> None:
        path = self._random.choice([*self.content, ""]) or self._new_path()
        known = self.content.get(path)
        actions: list[Callable[[str, bytes], None]] = [self._create]
        if known is not None:
            actions += [self._append, self._read, self._read, self._truncate, self._remove]
        try:
            self._random.choice(actions)(path, known or b"")
        except (requests.RequestException, AssertionError):
            if not self._tolerant:
                raise
            self.failed += 1
            self.content.pop(path, None)

    def _new_path(self) -> str:
        self._files += 1
        return f"{self._directory}/file-{self._files}"

    def _ask(self, method: str, path: str, op: str, data: Any = None, **values: object) -> bytes:
        params: dict[str, Any] = {"op": op, "user.name": "root", **values}
        base = self._random.choice(self._bases)
        answer = self._session.request(method, base + path, params=params, allow_redirects=False, timeout=60)
        if answer.status_code == 307:
            where = answer.headers["Location"]
            answer = self._session.request(method, where, data=data, timeout=120)
        assert answer.ok, f"{op} {path}: {answer.status_code} {answer.text}"
        return answer.content

    def _body(self, content: bytes) -> bytes | Iterator[bytes]:
        if self._random.random() < 0.5:
            return content
        return (content[at : at + PIECE_BYTES] for at in range(0, len(content), PIECE_BYTES))

    def _create(self, path: str, known: bytes) -> None:
        content = self._random.randbytes(self._random.choice(SIZES))
        self._ask("PUT", path, "CREATE", self._body(content), overwrite="true")
        self.content[path] = content

    def _append(self, path: str, known: bytes) -> None:
        more = self._random.randbytes(self._random.choice(SIZES))
        self._ask("POST", path, "APPEND", self._body(more))
        self.content[path] = known + more

    def _read(self, path: str, known: bytes) -> None:
        offset = self._random.randrange(len(known)) if known else 0
        assert self._ask("GET", path, "OPEN", offset=offset) == known[offset:], path

    def _truncate(self, path: str, known: bytes) -> None:
        length = self._random.randrange(len(known) + 1)
        self._ask("POST", path, "TRUNCATE", newlength=length)
        self.content[path] = known[:length]

    def _remove(self, path: str, known: bytes) -> None:
        assert self._ask("DELETE", path, "DELETE") == b'{"boolean":true}'
        del self.content[path]


def check(cluster: Cluster, clients: list[Client]) -> None:
    """Nobody failed, and every file holds what its client knows."""
    for client in clients:
        if client.failure is not None:
            raise client.failure
    fs = cluster.connect()
    for client in clients:
        for path, content in client.content.items():
            assert fs.read_bytes(path) == content, path


@pytest.mark.parametrize("seed", [1, 2])
def test_many_clients_at_once(make_cluster: Callable[..., Cluster], seed: int) -> None:
    print(f"seed {seed}")
    cluster = make_cluster(namenodes=2, datanodes=2, replication=2)
    clients = [Client(cluster, number, seed, operations=40, tolerant=False) for number in range(12)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    check(cluster, clients)
    assert all(client.content for client in clients)


def test_a_datanode_that_is_killed_loses_nothing_that_was_acknowledged(
    make_cluster: Callable[..., Cluster],
) -> None:
    cluster = make_cluster(datanodes=3, replication=2, namenode_options=("--dead-after", "3"))
    clients = [Client(cluster, number, 3, operations=60, tolerant=True) for number in range(8)]
    for client in clients:
        client.start()
    victim = cluster.datanodes[0]
    for _ in range(2):
        wait_until(lambda: any(client.content for client in clients), "files")
        time.sleep(1)
        victim.kill()
        time.sleep(1)
        victim.start()
    for client in clients:
        client.join()
    cluster.wait_for_datanodes(3)
    assert sum(client.failed for client in clients) < 8 * 60 / 2
    check(cluster, clients)
