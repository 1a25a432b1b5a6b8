"""link: several names of one file."""

from __future__ import annotations

import pytest

from oastfs.core.errors import AlreadyExists, NotFound, NotPermitted, PermissionDenied, TooManyLinks
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops import link as link_module
from tests.unit.namenode.conftest import ALICE, EVE, ROOT


def test_names_share_everything(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/a", b"1")
    status = namespace.link(ROOT, "/a", "/tmp/b")
    assert status.nlink == 2 and (status.parent_id, status.name) != (1, "a")
    namespace.write_file(ROOT, "/tmp/b", b"22")
    namespace.chmod(ROOT, "/a", 0o600)
    first, second = namespace.stat(ROOT, "/a"), namespace.stat(ROOT, "/tmp/b")
    assert first.inode_id == second.inode_id
    assert (first.length, first.mode) == (second.length, second.mode) == (2, 0o100600)
    assert namespace.open(ROOT, "/a").data == b"22"


def test_last_name_frees(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/a", b"1")
    namespace.link(ROOT, "/a", "/b")
    namespace.link(ROOT, "/b", "/c")
    assert namespace.unlink(ROOT, "/a").nlink == 2
    assert namespace.unlink(ROOT, "/c").nlink == 1
    assert namespace.open(ROOT, "/b").data == b"1"
    assert namespace.unlink(ROOT, "/b").nlink == 0


def test_rename_of_one_name(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/a", b"1")
    namespace.link(ROOT, "/a", "/b")
    namespace.rename(ROOT, "/b", "/tmp/c")
    assert namespace.stat(ROOT, "/tmp/c").nlink == 2
    namespace.unlink(ROOT, "/a")
    assert namespace.open(ROOT, "/tmp/c").data == b"1"


def test_special_files_and_links(namespace: Namespace) -> None:
    namespace.symlink(ROOT, "/l", "target")
    namespace.link(ROOT, "/l", "/m")
    assert namespace.readlink(ROOT, "/m") == "target"


def test_errors(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace.write_file(ALICE, "/home/alice/a", b"")
    with pytest.raises(NotPermitted):
        namespace.link(ROOT, "/tmp", "/dir")
    with pytest.raises(AlreadyExists):
        namespace.link(ROOT, "/home/alice/a", "/tmp")
    with pytest.raises(NotFound):
        namespace.link(ROOT, "/none", "/x")
    with pytest.raises(PermissionDenied):
        namespace.link(EVE, "/home/alice/a", "/home/x")
    monkeypatch.setattr(link_module, "LINKS_MAX", 2)
    namespace.link(ROOT, "/home/alice/a", "/2")
    with pytest.raises(TooManyLinks):
        namespace.link(ROOT, "/2", "/3")
