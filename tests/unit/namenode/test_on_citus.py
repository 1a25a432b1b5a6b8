"""The namespace on a real Citus: trips, and workers that are added while it is in use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oastfs.core.types import SUPERUSER
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from tests.harness.citus import HOST, MISSING, CitusCluster, is_installed
from tests.harness.waiting import wait_until
from tests.unit.namenode.conftest import finish, have_ids_ready

pytestmark = pytest.mark.long

ROOT = SUPERUSER
DEEP = "/a/b/c/d"


def namespace_on(url: str) -> Namespace:
    store = open_store(url, create=True)
    format_store(store, FormatOptions(block_size=4096, replication=1, inline_limit=1024))
    namespace = Namespace(store)
    namespace.mkdirs(ROOT, DEEP, 0o755, True, True)
    return namespace


@pytest.fixture
def on_citus(citus_database: str) -> Iterator[Namespace]:
    namespace = namespace_on(citus_database)
    for number in range(40):
        namespace.write_file(ROOT, f"{DEEP}/file{number}", b"content")
    have_ids_ready(namespace, DEEP)
    yield namespace
    finish(namespace.store)
    namespace.store.close()


@pytest.mark.parametrize(
    ("call", "trips"),
    [
        (lambda fs: fs.stat(ROOT, f"{DEEP}/file1"), 2),
        (lambda fs: fs.create(ROOT, f"{DEEP}/new"), 3),
        (lambda fs: fs.write_file(ROOT, f"{DEEP}/written", b"x"), 3),
        (lambda fs: fs.rename(ROOT, f"{DEEP}/file2", f"{DEEP}/moved"), 3),
        (lambda fs: fs.rename(ROOT, f"{DEEP}/file3", "/a/moved"), 3),
        (lambda fs: fs.chmod(ROOT, f"{DEEP}/file4", 0o600), 3),
    ],
    ids=["stat", "create", "write", "rename", "rename to elsewhere", "chmod"],
)
def test_calls_look_twice(on_citus: Namespace, call: Callable[[Namespace], Any], trips: int) -> None:
    """Those whose path is known: one trip more than on one server."""
    on_citus.stat(ROOT, f"{DEEP}/file1")
    on_citus.stat(ROOT, "/a")
    before = on_citus.store.trips()
    call(on_citus)
    assert on_citus.store.trips() - before == trips


@pytest.fixture
def growing() -> Iterator[CitusCluster]:
    """A cluster of the test's own."""
    if not is_installed():
        pytest.skip(MISSING)
    cluster = CitusCluster(3)
    yield cluster
    cluster.remove()


@pytest.mark.timeout(600)
def test_a_worker_is_added_and_shards_move_while_files_are_made(growing: CitusCluster) -> None:
    added = growing.workers.pop()
    name = growing.create_database()
    namespace = namespace_on(growing.url(name))
    stop = threading.Event()
    made: list[str] = []
    errors: list[BaseException] = []

    def make() -> None:
        try:
            while not stop.is_set():
                path = f"{DEEP}/file{len(made)}"
                namespace.write_file(ROOT, path, b"content")
                namespace.rename(ROOT, path, f"/a/moved{len(made)}")
                made.append(f"moved{len(made)}")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    try:
        growing.workers.append(added)
        added.execute(f"CREATE DATABASE {name}")
        added.execute("CREATE EXTENSION citus", name)
        growing.coordinator.execute(f"SELECT citus_add_node('{HOST}', {added.port})", name)
        growing.coordinator.execute(
            "SELECT rebalance_table_shards(shard_transfer_mode => 'block_writes')", name
        )
        moved_by_then = len(made)
        wait_until(lambda: errors or len(made) > moved_by_then + 10, "files that are made afterwards", 60)
    finally:
        stop.set()
        thread.join(60)
    assert errors == []
    nodes = growing.coordinator.execute("SELECT count(DISTINCT nodeport) FROM citus_shards", name)
    assert nodes[0][0] == 3
    names = [entry.name for entry in namespace.listdir(ROOT, "/a", "", len(made) + 10).entries]
    assert sorted(names) == sorted([*made, "b"])
    finish(namespace.store)
    namespace.store.close()
