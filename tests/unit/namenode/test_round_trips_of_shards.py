"""Which shards common operations ask, and how often. docs/performance.md has the same table.

The directories are placed by hand, so that it is certain which rows are where: ``/a`` on shard 0, ``/a/b`` on
shard 1, ``/a/b/c`` on shard 2; the root's own entry is on shard 0 and the entries in it are on shard 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.types import SUPERUSER
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.sql_driver.shards import recovery
from oastfs.store.sql_driver.shards.store import ShardedStore
from tests.unit.namenode.conftest import finish, have_ids_ready

ROOT = SUPERUSER

pytestmark = pytest.mark.usefixtures("nothing_beside")


@pytest.fixture
def namespace(shards: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Namespace]:
    # Nothing else is to happen on the servers meanwhile.
    monkeypatch.setattr(recovery, "PERIOD_SECONDS", 3600.0)
    store = open_store(shards)
    format_store(store, FormatOptions(block_size=4096, replication=1, inline_limit=1024))
    namespace = Namespace(store)
    for shard, path in enumerate(("/a", "/a/b", "/a/b/c")):
        make_on(namespace, path, shard)
    make_on(namespace, "/a/b/same", 1)
    for number in range(8):
        namespace.write_file(ROOT, f"/a/b/c/file{number}", b"content")
        namespace.write_file(ROOT, f"/a/b/file{number}", b"content")
    have_ids_ready(namespace, "/a/b")
    namespace.stat(ROOT, "/a/b/same")
    # What is made from now on is younger than what is known of each shard.
    namespace.stat(ROOT, "/a/b/c/file0")
    yield namespace
    finish(store)
    store.close()


def make_on(namespace: Namespace, path: str, shard: int) -> None:
    """A directory whose own rows are on this shard: made again and again until chance has it so."""
    while True:
        namespace.mkdirs(ROOT, path, 0o755)
        if (namespace.stat(ROOT, path).inode_id & 1023) % 3 == shard:
            return
        namespace.rmdir(ROOT, path)


def trips(namespace: Namespace, call: Callable[[], Any]) -> tuple[int, ...]:
    store = namespace.store
    assert isinstance(store, ShardedStore)
    before = [server.traffic.trips for server in store.servers]
    call()
    return tuple(server.traffic.trips - one for server, one in zip(store.servers, before, strict=True))


TRIPS = {
    "stat of /a": (1, 1, 0),
    "stat of /a/b/c/file": (1, 1, 1),
    "list /a/b/c": (3, 3, 1),
    "read /a/b/c/file": (1, 1, 1),
    "write /a/b/c/new": (2, 2, 2),
    "rename in /a/b/c": (2, 2, 2),
    "rename from /a/b/c to /a/b": (2, 4, 2),
    "delete /a/b/c/file": (2, 2, 2),
    "rmdir /a/b/same": (2, 3, 0),
}
"""Of each call, to each of the three shards.

Reads: one. Listings: two more but to the last, at the same time, to see whether all was so at a moment, and
not changed and changed back. What a change reads: one more but to the last.
Changes of one shard: one to commit. Of two: one to each, and one more to the first of them.
"""


def calls_of(fs: Namespace) -> dict[str, Callable[[], Any]]:
    return {
        "stat of /a": lambda: fs.stat(ROOT, "/a"),
        "stat of /a/b/c/file": lambda: fs.stat(ROOT, "/a/b/c/file1"),
        "list /a/b/c": lambda: fs.listdir(ROOT, "/a/b/c"),
        "read /a/b/c/file": lambda: fs.open(ROOT, "/a/b/c/file2"),
        "write /a/b/c/new": lambda: fs.write_file(ROOT, "/a/b/c/new", b"content"),
        "rename in /a/b/c": lambda: fs.rename(ROOT, "/a/b/c/file3", "/a/b/c/renamed"),
        "rename from /a/b/c to /a/b": lambda: fs.rename(ROOT, "/a/b/c/file4", "/a/b/moved"),
        "delete /a/b/c/file": lambda: fs.delete(ROOT, "/a/b/c/file5"),
        "rmdir /a/b/same": lambda: fs.rmdir(ROOT, "/a/b/same"),
    }


def test_trips_to_each_shard(namespace: Namespace) -> None:
    assert {name: trips(namespace, call) for name, call in calls_of(namespace).items()} == TRIPS


def test_the_table_in_the_documents() -> None:
    """docs/performance.md says the same."""
    text = (Path(__file__).parents[3] / "docs" / "performance.md").read_text()
    for name, counts in TRIPS.items():
        assert f"| {name} | {' | '.join(map(str, counts))} |" in text, name
