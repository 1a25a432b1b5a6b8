"""Names through namenodes: how many calls they take, and what is remembered being out of date."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oastfs.client.filesystem import Filesystem
from oastfs.core.errors import NotFound, StaleHandle
from oastfs.core.metadata import Metadata
from oastfs.core.types import Caller, FileStatus
from oastfs.fuse.attributes import SetAttributes
from oastfs.fuse.effects import run
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel import protocol as p
from oastfs.fuse.kernel.requests import Requests
from oastfs.fuse.options import MountConfig
from tests.unit.fuse.conftest import ROOT, ROOT_ID

Do = Callable[[Any], Any]
WHO = (0, 0, 1)


class Counting(Metadata):
    """The namespace as a mount through namenodes has it: nothing but verbs."""

    def __init__(self, inner: Metadata) -> None:
        self._inner = inner
        self.calls: list[str] = []

    def call(self, verb: str, caller: Caller, *arguments: Any) -> Any:
        self.calls.append(verb)
        return self._inner.call(verb, caller, *arguments)

    def close(self) -> None:
        self._inner.close()

    def took(self) -> list[str]:
        """The calls since this was asked last."""
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def counting(filesystem: Filesystem) -> Counting:
    counting = Counting(filesystem.metadata)
    filesystem.session._metadata = counting
    return counting


@pytest.fixture
def remote(filesystem: Filesystem, counting: Counting, tmp_path: Path) -> InodeFilesystem:
    """A mount that has to make a call for whatever it asks."""
    mounted = InodeFilesystem(filesystem, MountConfig("oastfs://namenode", str(tmp_path / "mnt")))
    counting.took()
    return mounted


def settle(counting: Counting, operation: Any) -> Any:
    return run(counting, operation) if hasattr(operation, "send") else operation


def getattr_of(requests: Requests, inode_id: int) -> tuple[Any, ...]:
    answer = requests.getattr(inode_id, b"", WHO)
    assert isinstance(answer, bytes)
    return p.ATTR_OUT.unpack(answer)


def made(remote: InodeFilesystem, counting: Counting, name: str, parent_id: int = ROOT_ID) -> int:
    """A file that was created through the mount and closed."""
    operation = remote.files.create(parent_id, name, 0o644, 0, os.O_WRONLY, ROOT)
    status, _ = settle(counting, operation)
    settle(counting, remote.files.release(status.inode_id))
    return int(status.inode_id)


def test_a_change_of_a_name_is_one_call(remote: InodeFilesystem, counting: Counting) -> None:
    names = remote.names
    first = made(remote, counting, "first")
    assert counting.took() == ["create"]
    settle(counting, names.mkdir(ROOT_ID, "directory", 0o755, 0, ROOT))
    assert names.lookup(ROOT_ID, "moved") is None
    counting.took()
    settle(counting, names.rename(ROOT_ID, "first", ROOT_ID, "moved", 0, ROOT))
    assert counting.took() == ["rename"]
    made(remote, counting, "second")
    counting.took()
    settle(counting, names.rename(ROOT_ID, "second", ROOT_ID, "moved", 0, ROOT))
    assert counting.took() == ["rename"]
    with pytest.raises(StaleHandle):
        remote.metadata.stat(ROOT, f"/.reserved/.inodes/{first}")
    counting.took()
    settle(counting, names.unlink(ROOT_ID, "moved", ROOT))
    settle(counting, names.rmdir(ROOT_ID, "directory", ROOT))
    assert counting.took() == ["unlink", "rmdir"]


def test_what_was_never_looked_up_is_looked_for(
    filesystem: Filesystem, remote: InodeFilesystem, counting: Counting
) -> None:
    filesystem.write_bytes("/file", b"x")
    counting.took()
    settle(counting, remote.names.unlink(ROOT_ID, "file", ROOT))
    assert counting.took() == ["stat", "unlink"]
    with pytest.raises(NotFound):
        settle(counting, remote.names.unlink(ROOT_ID, "file", ROOT))


def test_an_open_file_that_took_a_remembered_name_is_kept(
    filesystem: Filesystem, remote: InodeFilesystem, counting: Counting
) -> None:
    """The name stands for another file by now, and that one is open here: it must not be lost."""
    made(remote, counting, "file")
    filesystem.write_bytes("/other", b"kept")
    filesystem.rename("/other", "/file")  # as another mount does it
    inode_id = filesystem.stat("/file").inode_id
    settle(counting, remote.files.open(inode_id, os.O_RDWR, False))
    counting.took()
    settle(counting, remote.names.unlink(ROOT_ID, "file", ROOT))
    assert counting.took() == ["unlink", "stat", "unlink"]
    assert remote.files.read(inode_id, 0, 10) == b"kept"
    assert remote.metadata.stat(ROOT, f"/.reserved/.inodes/{inode_id}").nlink == 0
    settle(counting, remote.files.release(inode_id))
    with pytest.raises(StaleHandle):
        remote.metadata.stat(ROOT, f"/.reserved/.inodes/{inode_id}")


def test_an_open_file_that_appeared_where_nothing_was_is_kept(
    filesystem: Filesystem, remote: InodeFilesystem, counting: Counting
) -> None:
    made(remote, counting, "source")
    assert remote.names.lookup(ROOT_ID, "target") is None
    inode_id = filesystem.write_bytes("/target", b"kept").inode_id
    settle(counting, remote.files.open(inode_id, os.O_RDWR, False))
    counting.took()
    settle(counting, remote.names.rename(ROOT_ID, "source", ROOT_ID, "target", 0, ROOT))
    assert counting.took() == ["rename", "stat", "rename"]
    assert remote.files.read(inode_id, 0, 10) == b"kept"
    settle(counting, remote.files.release(inode_id))
    assert filesystem.stat("/target").length == 0


def test_a_further_name_is_not_forgotten(remote: InodeFilesystem, counting: Counting) -> None:
    """The first name was remembered as the only one."""
    inode_id = made(remote, counting, "first")
    settle(counting, remote.names.link(inode_id, ROOT_ID, "second", ROOT))
    settle(counting, remote.names.unlink(ROOT_ID, "first", ROOT))
    assert not remote.handles.removed
    found = remote.names.lookup(ROOT_ID, "second")
    assert isinstance(found, FileStatus) and found.nlink == 1


def test_a_directory_is_asked_for_once_while_entries_come_and_go(
    remote: InodeFilesystem, counting: Counting
) -> None:
    requests = Requests(remote)
    directory = settle(counting, remote.names.mkdir(ROOT_ID, "directory", 0o755, 0, ROOT)).inode_id

    def agrees() -> None:
        told = getattr_of(requests, directory)
        asked = counting.took()
        assert "stat" not in asked
        status = remote.metadata.stat(ROOT, f"/.reserved/.inodes/{directory}")
        counting.took()
        assert (told[7] * 10**9 + told[10], told[13]) == (status.mtime_ns, status.nlink)

    getattr_of(requests, directory)
    assert counting.took() == ["mkdirs", "stat"]
    made(remote, counting, "file", directory)
    agrees()
    settle(counting, remote.names.mkdir(directory, "inner", 0o755, 0, ROOT))
    agrees()
    assert remote.names.lookup(directory, "moved") is None
    counting.took()
    settle(counting, remote.names.rename(directory, "file", directory, "moved", 0, ROOT))
    agrees()
    settle(counting, remote.names.unlink(directory, "moved", ROOT))
    agrees()
    settle(counting, remote.names.rmdir(directory, "inner", ROOT))
    counting.took()
    assert getattr_of(requests, directory)[13] == 2
    assert counting.took() == ["stat"]


def test_changes_of_a_directory_itself_show_at_once(remote: InodeFilesystem, counting: Counting) -> None:
    requests = Requests(remote)
    directory = settle(counting, remote.names.mkdir(ROOT_ID, "directory", 0o755, 0, ROOT)).inode_id
    assert getattr_of(requests, directory)[12] & 0o7777 == 0o755
    settle(counting, remote.attributes.setattr(directory, SetAttributes(mode=0o700), ROOT))
    assert getattr_of(requests, directory)[12] & 0o7777 == 0o700
