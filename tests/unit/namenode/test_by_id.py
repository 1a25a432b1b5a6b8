"""Reads by inode id answer what the verbs answer for the same inode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oastfs.core.errors import InvalidArgument, IsADirectory, NameTooLong, NotADirectory, StaleHandle
from oastfs.core.path import by_id
from oastfs.fuse.reads import Reads, VerbReads
from oastfs.namenode.by_id import InodeReads
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ROOT


@pytest.fixture(params=[InodeReads, VerbReads])
def reads(request: pytest.FixtureRequest, namespace: Namespace) -> Reads:
    made: Reads = request.param(namespace)
    return made


def test_they_agree_with_the_verbs(namespace: Namespace, reads: Reads) -> None:
    namespace.mkdirs(ROOT, "/dir/below", 0o750, True, False)
    namespace.write_file(ROOT, "/dir/file", b"content")
    namespace.write_file(ROOT, "/dir/linked", b"twice")
    namespace.link(ROOT, "/dir/linked", "/dir/other")
    namespace.symlink(ROOT, "/dir/symlink", "file", False)
    directory = namespace.stat(ROOT, "/dir").inode_id
    assert reads.stat(1) == namespace.stat(ROOT, "/")
    for name in ("below", "file", "linked", "other", "symlink"):
        status = namespace.stat(ROOT, f"/dir/{name}", False)
        assert reads.lookup(directory, name) == status
        assert reads.stat(status.inode_id) == namespace.stat(ROOT, by_id(status.inode_id), False)
    assert reads.lookup(directory, "missing") is None
    for name in ("file", "linked"):
        inode_id = namespace.stat(ROOT, f"/dir/{name}").inode_id
        assert reads.open(inode_id) == namespace.open(ROOT, by_id(inode_id))


def test_what_they_refuse(namespace: Namespace, reads: Reads) -> None:
    file = namespace.write_file(ROOT, "/file", b"content")
    fifo = namespace.mknod(ROOT, "/fifo", 0o010644, 0)
    with pytest.raises(NotADirectory):
        reads.lookup(file.inode_id, "name")
    for name in ("n" * 256, "ü" * 128):
        with pytest.raises(NameTooLong):
            reads.lookup(1, name)
    assert reads.lookup(1, "ü" * 127) is None
    with pytest.raises(IsADirectory):
        reads.open(1)
    with pytest.raises(InvalidArgument):
        reads.open(fifo.inode_id)


def test_what_is_gone_or_waits_to_be_reclaimed_is_stale(namespace: Namespace, reads: Reads) -> None:
    directory = namespace.mkdirs(ROOT, "/dir", 0o755, False, False).inode_id
    file = namespace.write_file(ROOT, "/dir/file", b"content").inode_id
    namespace.delete(ROOT, "/dir", True)
    acts: list[Callable[[int], object]] = [
        reads.stat,
        reads.open,
        lambda inode_id: reads.lookup(inode_id, "file"),
    ]
    for act in acts:
        with pytest.raises(StaleHandle):
            act(directory)
        with pytest.raises(StaleHandle):
            act(12_345_678)
    assert reads.stat(file).inode_id == file  # until the job comes to it
