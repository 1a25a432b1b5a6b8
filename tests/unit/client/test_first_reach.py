"""A client that has not reached a namenode yet: it waits a little for one, then says who does not answer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oastfs.client import remote as remote_module
from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import ConnectionLost, Unreachable
from oastfs.core.types import SUPERUSER
from oastfs.namenode.server.process import namenode_thread
from tests.harness.ports import free_port
from tests.unit.client.test_remote import config

ROOT = SUPERUSER
HOST = "127.0.0.1"


def test_nobody_listens() -> None:
    port = free_port()
    remote = RemoteMetadata([(HOST, port)])
    started = time.monotonic()
    with pytest.raises(Unreachable, match=rf"no namenode answers at 127.0.0.1:{port} \(connection refused\)"):
        remote.stat(ROOT, "/")
    assert time.monotonic() - started < 10
    assert isinstance(ConnectionLost(), ConnectionError)


def test_an_unknown_host() -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid:8020"):
        RemoteMetadata([("no-such-host.invalid", 8020)]).stat(ROOT, "/")


@pytest.mark.parametrize("addresses", [1, 2])
def test_a_first_call_waits_for_a_namenode_that_is_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    monkeypatch.setattr(remote_module, "FIRST_REACH_SECONDS", 25.0)  # it may take long to start
    port = free_port()
    others = [(HOST, free_port()) for _ in range(addresses - 1)]
    remote = RemoteMetadata([(HOST, port), *others], timeout_seconds=30)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(remote.stat, ROOT, "/")
        time.sleep(2)
        assert not waiting.done()
        with namenode_thread(config(tmp_path, port)):
            assert waiting.result(30).is_directory
    remote.close()
