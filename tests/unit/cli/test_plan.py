"""What `oastfs up` works out before it starts anything."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from oastfs.cli.failure import Failure, UsageFailure
from oastfs.cli.hosts import check_host, is_loopback, public_name
from oastfs.cli.plan import SOCKET_PATH_BYTES_MAX, UpOptions, make_plan, socket_path, store_directory

OPTIONS = UpOptions(
    store="lmdb:///srv/oast",
    mount=None,
    host="127.0.0.1",
    port=0,
    http_port=0,
    datanode_port=0,
    metadata=(),
    namenodes=1,
    datanodes=1,
    replication=None,
    inline_limit=None,
    block_size=None,
    data=(),
    log_directory=None,
    insecure=False,
)


def test_store_is_a_url_or_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert store_directory("lmdb:///srv/oast") == Path("/srv/oast")
    assert store_directory("/srv/oast") == Path("/srv/oast")
    assert store_directory("oast") == tmp_path / "oast"
    assert store_directory("~/oast") == Path("/home/me/oast")


@pytest.mark.parametrize(
    "store", ["", "lmdb://", "lmdb://srv/oast", "postgresql+psycopg2://h/db", "oastfs://h"]
)
def test_other_stores_are_wrong_usage(store: str) -> None:
    with pytest.raises(UsageFailure):
        store_directory(store)


def test_everything_is_below_the_store() -> None:
    plan = make_plan(replace(OPTIONS, datanodes=2, mount=Path("/mnt/x")))
    assert plan.metadata == ("lmdb:///srv/oast",)
    assert plan.mount_url == "lmdb:///srv/oast"
    assert [d.volumes for d in plan.datanodes] == [
        (Path("/srv/oast/datanodes/1"),),
        (Path("/srv/oast/datanodes/2"),),
    ]
    assert plan.logs == Path("/srv/oast/logs")


def test_default_ports_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oastfs.cli.plan.check_port", lambda *unused: None)
    plan = make_plan(
        replace(OPTIONS, port=8020, http_port=9870, datanode_port=9866, namenodes=5, datanodes=5)
    )
    ports = [p for n in plan.namenodes for p in (n.port, n.control_port, n.http_port)]
    ports += [p for d in plan.datanodes for p in (d.port, d.http_port)]
    assert len(set(ports)) == len(ports) == 25
    assert plan.url == "oastfs://" + ",".join(f"localhost:{port}" for port in range(8020, 8025))
    assert (plan.datanodes[0].port, plan.datanodes[0].http_port) == (9866, 9864)


def test_volumes_of_ones_own() -> None:
    plan = make_plan(replace(OPTIONS, data=(Path("/d1"), Path("/d2"))))
    assert plan.datanodes[0].volumes == (Path("/d1"), Path("/d2"))
    plan = make_plan(replace(OPTIONS, data=(Path("/d1"),), datanodes=2))
    assert [d.volumes for d in plan.datanodes] == [(Path("/d1/datanode-1"),), (Path("/d1/datanode-2"),)]


def test_metadata_elsewhere_is_mounted_through_namenodes() -> None:
    shards = ("postgresql+psycopg2://a/db", "postgresql+psycopg2://b/db")
    plan = make_plan(replace(OPTIONS, metadata=shards))
    assert plan.metadata == shards
    assert plan.mount_url == plan.url


def test_a_port_in_use_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"port {port} on 127.0.0.1 is in use.*--port"):
            make_plan(replace(OPTIONS, port=port))
        with pytest.raises(Failure, match="--datanode-port"):
            make_plan(replace(OPTIONS, datanode_port=port))


@pytest.mark.parametrize("host", ["not a host", "203.0.113.7"])
def test_a_host_that_is_not_ours(host: str) -> None:
    with pytest.raises(Failure, match="cannot listen on"):
        make_plan(replace(OPTIONS, host=host, port=15_123))


def test_socket_paths_stay_short() -> None:
    short = socket_path(Path("/srv/oast"), "datanode-1")
    assert short == Path("/srv/oast/run/datanode-1.sock")
    long = [socket_path(Path("/srv") / (letter * 120), "datanode-1") for letter in "ab"]
    assert all(len(str(path)) <= SOCKET_PATH_BYTES_MAX for path in long)
    assert long[0] != long[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_loopback_needs_no_flag(host: str) -> None:
    assert is_loopback(host)
    assert check_host(host, insecure=False) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_open_addresses_need_a_flag(host: str) -> None:
    with pytest.raises(UsageFailure, match=r"no authentication.*--insecure"):
        check_host(host, insecure=False)
    assert "no authentication" in (check_host(host, insecure=True) or "")


def test_public_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert public_name("127.0.0.1") == "localhost"
    assert public_name("192.0.2.1") == "192.0.2.1"
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, port: [name])
    assert public_name("0.0.0.0") == "box"

    def unknown(name: str, port: object) -> None:
        raise socket.gaierror(f"{name} is not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert public_name("::") == "localhost"
