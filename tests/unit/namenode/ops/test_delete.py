"""delete: files, empty directories, trees."""

from __future__ import annotations

import pytest

from oastfs.core.errors import (
    InvalidArgument,
    NotEmpty,
    NotFound,
    NotPermitted,
    PermissionDenied,
    StaleHandle,
)
from oastfs.core.path import by_id
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, BOB, EVE, ROOT, names


def test_kinds(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/tmp/f", b"1")
    namespace.symlink(ROOT, "/tmp/l", "/tmp/f")
    namespace.mkdirs(ROOT, "/tmp/d")
    for name in "ldf":
        namespace.delete(ROOT, f"/tmp/{name}")
    assert names(namespace, "/tmp") == []


def test_a_link_goes_not_its_target(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d/sub")
    namespace.symlink(ROOT, "/l", "/d")
    namespace.delete(ROOT, "/l", True)
    assert namespace.stat(ROOT, "/d/sub").is_directory


def test_tree(namespace: Namespace) -> None:
    for number in range(50):
        namespace.write_file(ROOT, f"/tree/{number}/f", b"1", parents=True)
    with pytest.raises(NotEmpty):
        namespace.delete(ROOT, "/tree")
    links = namespace.stat(ROOT, "/").nlink
    namespace.delete(ROOT, "/tree", True)
    with pytest.raises(NotFound):
        namespace.stat(ROOT, "/tree/1/f")
    assert namespace.stat(ROOT, "/").nlink == links - 1
    namespace.mkdirs(ROOT, "/tree")
    assert names(namespace, "/tree") == []


def test_tree_needs_permission_on_all_of_it(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/home/alice/a/b")
    namespace.mkdirs(ROOT, "/home/alice/a/b/roots", 0o755)
    namespace.write_file(ROOT, "/home/alice/a/b/roots/f", b"")
    with pytest.raises(PermissionDenied, match="roots"):
        namespace.delete(ALICE, "/home/alice/a", True)
    namespace.delete(ROOT, "/home/alice/a/b/roots/f")
    namespace.delete(ALICE, "/home/alice/a", True)  # an empty directory needs none


def test_sticky(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/f", b"", 0o666)
    with pytest.raises(NotPermitted):
        namespace.delete(BOB, "/tmp/f")
    namespace.delete(ALICE, "/tmp/f")


def test_errors(namespace: Namespace) -> None:
    with pytest.raises(NotFound):
        namespace.delete(ROOT, "/none")
    with pytest.raises(InvalidArgument):
        namespace.delete(ROOT, "/", True)
    with pytest.raises(PermissionDenied):
        namespace.delete(EVE, "/home/alice")


def test_sticky_looks_at_the_owner_of_a_file_with_several_names(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/home/alice/d", 0o755)
    namespace.mkdirs(ROOT, "/home/alice/d/sticky", 0o1777)
    namespace.write_file(ALICE, "/home/alice/d/sticky/f", b"1")
    namespace.link(ALICE, "/home/alice/d/sticky/f", "/home/alice/other")
    namespace.delete(ALICE, "/home/alice/d/sticky", True)
    assert namespace.open(ALICE, "/home/alice/other").data == b"1"


def test_nothing_is_made_in_a_removed_directory(namespace: Namespace) -> None:
    top = namespace.mkdirs(ROOT, "/d")
    namespace.mkdirs(ROOT, "/d/sub")
    namespace.delete(ROOT, "/d", True)
    for call in (namespace.stat, namespace.mkdirs, namespace.listdir):
        with pytest.raises(StaleHandle):
            call(ROOT, by_id(top.inode_id))
    with pytest.raises(StaleHandle):
        namespace.write_file(ROOT, by_id(top.inode_id, "f"), b"lost")
