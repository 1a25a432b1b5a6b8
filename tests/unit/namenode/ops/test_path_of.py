"""path_of: the present path of an inode."""

from __future__ import annotations

import pytest

from oastfs.core.errors import StaleHandle
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, EVE, ROOT


def test_follows_renames(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/a/b")
    status = namespace.write_file(ROOT, "/a/b/f", b"")
    assert namespace.path_of(ROOT, status.inode_id) == "/a/b/f"
    namespace.rename(ROOT, "/a", "/tmp/z")
    assert namespace.path_of(ROOT, status.inode_id) == "/tmp/z/b/f"
    assert namespace.path_of(ROOT, 1) == "/"


def test_one_name_of_several(namespace: Namespace) -> None:
    status = namespace.write_file(ROOT, "/a", b"")
    namespace.link(ROOT, "/a", "/tmp/b")
    namespace.unlink(ROOT, "/a")
    assert namespace.path_of(ROOT, status.inode_id) == "/tmp/b"


def test_gone_or_hidden(namespace: Namespace) -> None:
    namespace.mkdirs(ALICE, "/home/alice/p", 0o700)
    status = namespace.write_file(ALICE, "/home/alice/p/f", b"")
    with pytest.raises(StaleHandle):
        namespace.path_of(EVE, status.inode_id)
    namespace.delete(ALICE, "/home/alice/p", True)
    for gone in (status.inode_id, status.parent_id, 12345678):
        with pytest.raises(StaleHandle):
            namespace.path_of(ROOT, gone)
