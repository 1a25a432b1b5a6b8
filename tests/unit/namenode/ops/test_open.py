"""open: inline content in one read."""

from __future__ import annotations

import pytest

from oastfs.core.errors import InvalidArgument, IsADirectory, NotFound, PermissionDenied, StaleHandle
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, EVE, ROOT


def test_content(namespace: Namespace) -> None:
    status = namespace.write_file(ALICE, "/tmp/f", b"content")
    opened = namespace.open(EVE, "/tmp/f")
    assert opened.status == status and opened.data == b"content" and opened.blocks == ()


def test_empty(namespace: Namespace) -> None:
    namespace.create(ROOT, "/f")
    assert namespace.open(ROOT, "/f").data == b""


def test_implied_zeros(namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/f", b"ab")
    namespace.truncate(ROOT, "/f", 6)
    assert namespace.open(ROOT, "/f").data == b"ab\0\0\0\0"
    namespace.truncate(ROOT, "/f", 1)
    namespace.truncate(ROOT, "/f", 3)
    assert namespace.open(ROOT, "/f").data == b"a\0\0"


def test_errors(namespace: Namespace) -> None:
    namespace.write_file(ALICE, "/tmp/secret", b"x", 0o600)
    namespace.mknod(ROOT, "/tmp/fifo", 0o010644)
    with pytest.raises(PermissionDenied):
        namespace.open(EVE, "/tmp/secret")
    with pytest.raises(IsADirectory):
        namespace.open(ROOT, "/tmp")
    with pytest.raises(NotFound):
        namespace.open(ROOT, "/tmp/none")
    with pytest.raises(InvalidArgument):
        namespace.open(ROOT, "/tmp/fifo")
    with pytest.raises(InvalidArgument):
        namespace.open(ROOT, "/tmp/secret", -1)


def test_by_an_id_whose_name_was_taken_away(namespace: Namespace) -> None:
    """It may wait to be reclaimed: whoever still knows the id must not take it for the file."""
    status = namespace.write_file(ROOT, "/f", b"x")
    by_id = f"/.reserved/.inodes/{status.inode_id}"
    namespace.append(ROOT, "/f", "writer")
    namespace.unlink(ROOT, "/f")
    for verb, arguments in {"open": (0, 1), "stat": (), "chmod": (0o600,), "truncate": (0,)}.items():
        with pytest.raises(StaleHandle):
            getattr(namespace, verb)(ROOT, by_id, *arguments)
