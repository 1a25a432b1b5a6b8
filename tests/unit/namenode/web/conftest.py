"""A namenode on a thread of the test, and its WebHDFS; every test ends with fsck."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.types import SUPERUSER
from oastfs.namenode.server.process import namenode_thread
from oastfs.store import open_store
from tests.unit.namenode.conftest import finish
from tests.unit.namenode.server.conftest import HOST, make_config


class Web:
    """Requests to a namenode, as the superuser unless told otherwise."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}/webhdfs/v1"

    def ask(self, method: str, path: str, op: str, user: str = "root", **values: object) -> tuple[int, Any]:
        """(status, JSON or None)."""
        names = {name.replace("__", "."): value for name, value in values.items()}
        query = urlencode({"op": op, "user.name": user, **names}, doseq=True)
        request = urllib.request.Request(f"{self.url}{quote(path)}?{query}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read()
        return status, json.loads(body) if body else None

    def ok(self, method: str, path: str, op: str, **values: Any) -> Any:
        """The JSON of a request that succeeds."""
        status, found = self.ask(method, path, op, **values)
        assert status == 200, found
        return found

    def refused(self, method: str, path: str, op: str, **values: Any) -> tuple[int, str, str]:
        """(status, exception, message) of one that does not."""
        status, found = self.ask(method, path, op, **values)
        error = found["RemoteException"]
        assert error["javaClassName"].rpartition(".")[2].endswith(error["exception"])
        return status, error["exception"], error["message"]


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """RPC and HTTP."""
    with namenode_thread(make_config(tmp_path)) as endpoints:
        yield endpoints.port, endpoints.http_port
    store = open_store(f"lmdb://{tmp_path}/store")
    finish(store)
    store.close()


@pytest.fixture
def web(ports: tuple[int, int]) -> Web:
    return Web(ports[1])


@pytest.fixture
def remote(ports: tuple[int, int]) -> Iterator[RemoteMetadata]:
    client = RemoteMetadata([(HOST, ports[0])], timeout_seconds=20)
    for path, data in (("/d/small", b"content"), ("/d/sub/other", b"")):
        client.write_file(SUPERUSER, path, data, parents=True)
    yield client
    client.close()
