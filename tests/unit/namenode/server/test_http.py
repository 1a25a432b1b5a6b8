"""The HTTP port: figures that count what happened, health, status, and garbage."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import NotFound
from oastfs.core.types import SUPERUSER
from oastfs.namenode.server.metrics import Metrics, VerbMetrics
from oastfs.namenode.server.process import Endpoints, Namenode, namenode_thread
from oastfs.namenode.server.rpc import RpcServer
from tests.harness import http
from tests.harness.ports import free_port
from tests.unit.namenode.server.conftest import HOST, make_config

ROOT = SUPERUSER


def get(endpoints: Endpoints, path: str) -> tuple[int, str]:
    return http.get(endpoints.http_port, path)


def samples(endpoints: Endpoints) -> dict[tuple[str, str], float]:
    """Values by metric and verb (or '')."""
    code, text = get(endpoints, "/metrics")
    assert code == 200
    return {
        (sample.name, sample.labels.get("verb", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }


def test_it_is_ready_when_calls_are_accepted_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path, http_port=free_port())
    early = Endpoints(HOST, 0, 0, config.http_port)
    seen = []
    start = RpcServer.start

    async def asked_before(server: RpcServer, host: str, port: int) -> int:
        seen.append(await asyncio.to_thread(get, early, "/readyz"))
        return await start(server, host, port)

    monkeypatch.setattr(RpcServer, "start", asked_before)
    with namenode_thread(config) as endpoints:
        assert seen == [(503, "not serving\n")]
        assert get(endpoints, "/readyz") == (200, "ready\n")


def test_metrics_count_calls_and_errors(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    for _ in range(7):
        remote.stat(ROOT, "/")
    remote.mkdirs(ROOT, "/d")
    for _ in range(3):
        with pytest.raises(NotFound):
            remote.stat(ROOT, "/none")
    found = samples(endpoints)
    assert found["oastfs_rpc_seconds_count", "stat"] == 10
    assert found["oastfs_rpc_seconds_count", "mkdirs"] == 1
    assert found["oastfs_rpc_errors_total", "stat"] == 3
    assert 0 < found["oastfs_rpc_seconds_sum", "stat"] < 10
    assert found["oastfs_rpc_connections", ""] == 1
    assert found["oastfs_rpc_connections_accepted_total", ""] == 1
    assert found["oastfs_rpc_in_flight", ""] == 0
    assert found["oastfs_store_used_bytes", ""] > 0
    assert found["oastfs_store_trips", ""] == 0, "the embedded store is asked without trips"
    assert found["oastfs_store_free_bytes", ""] > 0
    assert found["process_resident_memory_bytes", ""] > 0


def test_buckets_are_cumulative_and_end_at_the_count() -> None:
    metrics = Metrics()
    verb = metrics.verb("stat")
    for elapsed_ns in (1, 20_000, 20_000, 3_000_000, 10**12):
        verb.observe(elapsed_ns)
    assert verb.count == 5
    [family] = [family for family in metrics.registry.collect() if family.name == "oastfs_rpc_seconds"]
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    values = list(buckets.values())
    assert values == sorted(values)
    assert buckets["+Inf"] == 5
    assert buckets[repr((1 << 14) / 1e9)] == 1
    assert buckets[repr((1 << 15) / 1e9)] == 3
    assert buckets[repr((1 << 22) / 1e9)] == 4


def test_errors_are_observed_by_class() -> None:
    verb = VerbMetrics()
    verb.observe_error(5, "NotFound")
    verb.observe_error(5, "NotFound")
    assert verb.errors == {"NotFound": 2}
    assert verb.count == 2


def test_health_readiness_and_status(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    assert get(endpoints, "/healthz") == (200, "ok\n")
    assert get(endpoints, "/readyz?verbose=1") == (200, "ready\n")
    code, text = get(endpoints, "/status")
    status = json.loads(text)
    assert code == 200
    assert status["filesystem_id"] == remote.filesystem_info(ROOT).filesystem_id
    assert status["stopping"] is False


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: here\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: here\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 400),
    ],
)
def test_garbage(endpoints: Endpoints, request_bytes: bytes, code: int) -> None:
    with socket.create_connection((HOST, endpoints.http_port), 20) as sock:
        try:
            sock.sendall(request_bytes)
            answer = sock.recv(65536)
        except ConnectionResetError:
            answer = b""
            assert len(request_bytes) > 16384  # refused before it was read to its end
    assert not answer or re.match(rb"HTTP/1.[01] %d " % code, answer)
    assert get(endpoints, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("127.0.0.1", 8020, "127.0.0.1:8020"),
        ("::1", 8020, "[::1]:8020"),
        ("0.0.0.0", 8020, f"{socket.gethostname()}:8020"),
        ("127.0.0.1", 0, ""),  # known once it listens
    ],
)
def test_how_a_namenode_names_itself_in_redirects(tmp_path: Path, host: str, port: int, address: str) -> None:
    assert Namenode(make_config(tmp_path, host=host, port=port)).client_address() == address
