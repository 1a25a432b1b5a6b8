"""Finding a target's servers among all processes, and what they use."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.bench.processes import Usage, cpu_seconds, find_servers, memory_bytes, part_of, tree_bytes
from oastfs.bench.targets.base import Servers, database_address, local_ports
from oastfs.client.url import metadata_urls

BUSY = """
import socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
child = subprocess.Popen([sys.executable, "-c", "while True: pass", "marked-" + "for-the-test"])
print(listener.getsockname()[1], child.pid, flush=True)
try:
    sys.stdin.read()
finally:
    child.kill()
    child.wait()
"""


@pytest.fixture
def server() -> Iterator[tuple[int, int, int]]:
    """(port, pid, pid of its child) of a process that listens and has a busy child."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    port, child = map(int, process.stdout.readline().split())
    yield port, process.pid, child
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


def test_who_listens_and_its_children(server: tuple[int, int, int]) -> None:
    port, pid, child = server
    assert find_servers(Servers(frozenset([port]))).keys() == {pid, child}
    assert find_servers(Servers()) == {}
    assert find_servers(Servers(), ["marked-for-the-test"]) == {child: "marked-for-the-test"}


def test_what_a_process_uses(server: tuple[int, int, int]) -> None:
    _, _, child = server
    deadline = time.monotonic() + 30
    while cpu_seconds(child) < 0.05:
        assert time.monotonic() < deadline, "a busy process did not use 0.05 s in 30 s"
        time.sleep(0.01)
    assert memory_bytes(child) > 1 << 20
    assert (cpu_seconds(2**22 + 1), memory_bytes(2**22 + 1)) == (0.0, 0), "of none: nothing"


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("/usr/bin/python /srv/bin/oastfs namenode lmdb:///srv/store", "namenode"),
        ("python -m oastfs.cli datanode /srv/1", "datanode"),
        ("python /srv/bin/oastfs bench stat", None),
        ("java -Xmx1g org.apache.hadoop.hdfs.server.namenode.NameNode", "hdfs-namenode"),
        ("postgres: checkpointer", "postgresql"),
        ("/usr/lib/postgresql/15/bin/postgres -D /srv/data", "postgresql"),
        ("/opt/juicefs mount redis://x /mnt", "juicefs"),
        ("bash", None),
    ],
)
def test_what_a_command_line_is(command: str, part: str | None) -> None:
    assert part_of(command.split(" ") if not command.startswith("postgres:") else [command]) == part


def test_addresses_of_other_machines_are_not_looked_for() -> None:
    name = socket.gethostname()
    places = [("127.0.0.1", 1), ("192.0.2.7", 2), ("localhost", 3), (name, 4), ("no-such-host.invalid", 5)]
    assert {1, 3} <= local_ports(places) <= {1, 3, 4}


def test_addresses_of_databases() -> None:
    assert database_address("postgresql+psycopg2://me@db.example:5433/x") == ("db.example", 5433)
    assert database_address("postgresql+psycopg2://db.example/x") == ("db.example", 5432)
    assert database_address("postgresql+psycopg2:///x?host=/run/postgresql") == ("localhost", 5432)
    assert database_address("postgresql+psycopg2:///x?host=other") == ("other", 5432)


def test_several_metadata_urls_are_one_target() -> None:
    assert metadata_urls("lmdb:///srv/a") == ["lmdb:///srv/a"]
    shards = "postgresql://a/x,postgresql://b/x"
    assert metadata_urls(shards) == shards.split(",")
    assert metadata_urls("oastfs://a:1,b:2") == []
    assert metadata_urls("/srv/dir") == []


def test_space_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x" * 100_000)
    assert 100_000 <= tree_bytes(str(tmp_path)) < 200_000


def test_usage_by_part() -> None:
    usage = Usage()
    usage.add_callers(0.5, 100)
    assert usage.cpu_seconds() == {"callers": 0.5}
