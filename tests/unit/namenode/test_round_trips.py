"""How many trips to the database common operations take. docs/performance.md has the same table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oastfs.core.errors import NotFound
from oastfs.core.types import SUPERUSER
from oastfs.fuse.reads import VerbReads
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from tests.unit.namenode.conftest import finish, have_ids_ready

ROOT = SUPERUSER
DEEP = "/a/b/c/d"


@pytest.fixture
def namespace(database: str) -> Iterator[Namespace]:
    store = open_store(database)
    format_store(store, FormatOptions(block_size=4096, replication=1, inline_limit=1024))
    namespace = Namespace(store)
    namespace.mkdirs(ROOT, DEEP, 0o755, True, True)
    namespace.mkdirs(ROOT, "/a/b/other", 0o755, True, True)
    for number in range(40):
        namespace.write_file(ROOT, f"{DEEP}/file{number}", b"content")
    have_ids_ready(namespace, DEEP)
    yield namespace
    finish(store)
    store.close()


def trips(namespace: Namespace, call: Callable[[], Any]) -> int:
    store = namespace.store
    before = store.trips()
    call()
    return store.trips() - before


def test_a_mount_finds_an_entry_with_one_trip(namespace: Namespace) -> None:
    directory = namespace.stat(ROOT, DEEP).inode_id
    file = namespace.stat(ROOT, f"{DEEP}/file1")
    reads = VerbReads(Namespace(namespace.store))
    assert trips(namespace, lambda: reads.lookup(directory, "missing")) == 1
    assert trips(namespace, lambda: reads.lookup(directory, "file1")) == 1
    # Where the entry is was seen: its inode is found with it, or its content.
    assert trips(namespace, lambda: reads.stat(file.inode_id)) == 1
    assert trips(namespace, lambda: reads.open(file.inode_id)) == 1
    assert reads.lookup(directory, "file1") == reads.stat(file.inode_id) == file
    above = namespace.stat(ROOT, "/a/b/c").inode_id
    assert trips(namespace, lambda: reads.lookup(above, "d")) == 2
    assert trips(namespace, lambda: reads.lookup(above, "d")) == 1, "which directory it was is known"
    assert reads.lookup(above, "d") == namespace.stat(ROOT, DEEP)


TRIPS = {
    "stat of a file": (1, 5),
    "stat of a directory": (1, 5),
    "access": (1, 5),
    "list": (2, 5),
    "read a small file": (1, 6),
    "write a small file": (2, 7),
    "write a small file again": (2, 6),
    "create": (2, 7),
    "mkdir": (2, 7),
    "chmod": (2, 6),
    "rename in a directory": (2, 7),
    "rename of a directory": (2, 12),
    "delete a file": (2, 6),
    "rmdir": (3, 6),
}
"""Of each call, with a path of four directories: when the namenode has seen the path before, and when not."""


def calls_of(fs: Namespace) -> dict[str, Callable[[], Any]]:
    return {
        "stat of a file": lambda: fs.stat(ROOT, f"{DEEP}/file1"),
        "stat of a directory": lambda: fs.stat(ROOT, DEEP),
        "access": lambda: fs.access(ROOT, f"{DEEP}/file1", 4),
        "list": lambda: fs.listdir(ROOT, DEEP),
        "read a small file": lambda: fs.open(ROOT, f"{DEEP}/file2"),
        "write a small file": lambda: fs.write_file(ROOT, f"{DEEP}/new", b"content"),
        "write a small file again": lambda: fs.write_file(ROOT, f"{DEEP}/new", b"other"),
        "create": lambda: fs.create(ROOT, f"{DEEP}/created"),
        "mkdir": lambda: fs.mkdirs(ROOT, f"{DEEP}/made", 0o755),
        "chmod": lambda: fs.chmod(ROOT, f"{DEEP}/file3", 0o600),
        "rename in a directory": lambda: fs.rename(ROOT, f"{DEEP}/file4", f"{DEEP}/renamed"),
        "rename of a directory": lambda: fs.rename(ROOT, f"{DEEP}/made", "/a/b/other/made"),
        "delete a file": lambda: fs.delete(ROOT, f"{DEEP}/file5"),
        "rmdir": lambda: fs.rmdir(ROOT, "/a/b/other/made"),
    }


def test_trips_along_known_paths(namespace: Namespace) -> None:
    found = {name: trips(namespace, call) for name, call in calls_of(namespace).items()}
    assert found == {name: known for name, (known, _) in TRIPS.items()}


def test_trips_along_new_paths(namespace: Namespace) -> None:
    """A namenode that has just been started: each directory on the way is a trip."""
    found = {}
    for name in TRIPS:
        fresh = Namespace(namespace.store)
        found[name] = trips(fresh, calls_of(fresh)[name])
    assert found == {name: new for name, (_, new) in TRIPS.items()}, repr(found)


def test_the_table_in_the_documents() -> None:
    """docs/performance.md says the same."""
    text = (Path(__file__).parents[3] / "docs" / "performance.md").read_text()
    for name, (known, new) in TRIPS.items():
        assert f"| {name} | {known} | {new} |" in text, name


def test_what_was_seen_before_is_not_believed(namespace: Namespace, database: str) -> None:
    """Another namenode moves and replaces what this one knows."""
    store = open_store(database)
    other = Namespace(store)
    assert namespace.stat(ROOT, f"{DEEP}/file1").length == 7
    assert namespace.open(ROOT, f"{DEEP}/file1").data == b"content"
    other.rename(ROOT, "/a/b", "/a/moved")
    with pytest.raises(NotFound):
        namespace.stat(ROOT, f"{DEEP}/file1")
    assert namespace.open(ROOT, "/a/moved/c/d/file1").data == b"content"
    other.write_file(ROOT, f"{DEEP}/file1", b"another file", parents=True)
    assert namespace.open(ROOT, f"{DEEP}/file1").data == b"another file"
    assert namespace.stat(ROOT, f"{DEEP}/file1").length == 12
    namespace.write_file(ROOT, f"{DEEP}/file1", b"again")
    other.delete(ROOT, DEEP, True)
    with pytest.raises(NotFound):
        namespace.create(ROOT, f"{DEEP}/file1")
    store.close()
