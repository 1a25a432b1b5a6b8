"""listdir: pages in name order, with full attributes."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, NotFound, PermissionDenied
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import EVE, ROOT, names


def test_pages(namespace: Namespace) -> None:
    expected = sorted((f"f{number}" for number in range(25)), key=str.encode)
    for name in reversed(expected):
        namespace.write_file(ROOT, f"/tmp/{name}", b"")
    seen: list[str] = []
    while True:
        page = namespace.listdir(ROOT, "/tmp", seen[-1] if seen else "", 10)
        seen += [entry.name for entry in page.entries]
        assert page.more == (len(seen) < 25)
        if not page.more:
            break
    assert seen == expected


def test_order_is_of_utf8_bytes(namespace: Namespace) -> None:
    written = ["Z", "a", "é", "\uffff", "\U0001f600", "b"]
    for name in written:
        namespace.mkdirs(ROOT, f"/tmp/{name}")
    assert names(namespace, "/tmp") == sorted(written, key=str.encode)


def test_entries_are_as_stat_says(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/tmp/file", b"12")
    namespace.link(ROOT, "/tmp/file", "/tmp/second")
    namespace.symlink(ROOT, "/tmp/link", "file")
    namespace.mkdirs(ROOT, "/tmp/dir/sub")
    namespace.mkdirs(ROOT, "/tmp/dir2")
    entries = namespace.listdir(ROOT, "/tmp").entries
    assert entries == [namespace.stat(ROOT, f"/tmp/{entry.name}", False) for entry in entries]
    assert [entry.nlink for entry in entries] == [3, 2, 2, 1, 2]


def test_of_a_file_it_is_the_file(namespace: Namespace) -> None:
    status = namespace.write_file(ROOT, "/f", b"1")
    page = namespace.listdir(ROOT, "/f")
    assert page.entries == [status] and not page.more


def test_removed_entry_as_a_start(namespace: Namespace) -> None:
    for name in "abc":
        namespace.write_file(ROOT, f"/tmp/{name}", b"")
    namespace.delete(ROOT, "/tmp/b")
    assert [entry.name for entry in namespace.listdir(ROOT, "/tmp", "b").entries] == ["c"]


def test_errors(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/searchable", 0o711)
    with pytest.raises(NotFound):
        namespace.listdir(ROOT, "/missing")
    with pytest.raises(PermissionDenied):
        namespace.listdir(EVE, "/searchable")
    for limit in (0, -1, 10_001):
        with pytest.raises(InvalidArgument):
            namespace.listdir(ROOT, "/", "", limit)
