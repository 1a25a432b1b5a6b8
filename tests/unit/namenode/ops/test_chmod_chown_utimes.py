"""chmod, chown, utimes: attributes and who may change them."""

from __future__ import annotations

import stat as _stat

import pytest

from oastfs.core.errors import InvalidArgument, NotPermitted, PermissionDenied
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, BOB, EVE, ROOT, Clock


@pytest.fixture
def files(namespace: Namespace) -> Namespace:
    namespace.write_file(ALICE, "/tmp/f", b"1", 0o644)
    namespace.mkdirs(ALICE, "/tmp/d")
    namespace.symlink(ALICE, "/tmp/l", "f")
    return namespace


@pytest.mark.parametrize("path", ["/tmp/f", "/tmp/d", "/"])
def test_chmod(files: Namespace, path: str) -> None:
    before = files.stat(ROOT, path)
    status = files.chmod(ROOT, path, 0o4711)
    assert status.mode == _stat.S_IFMT(before.mode) | 0o4711
    assert status.ctime_ns > before.ctime_ns and status.mtime_ns == before.mtime_ns
    assert files.stat(ROOT, path) == status


def test_chmod_follows_links(files: Namespace) -> None:
    files.chmod(ALICE, "/tmp/l", 0o600)
    assert _stat.S_IMODE(files.stat(ROOT, "/tmp/f").mode) == 0o600
    assert _stat.S_IMODE(files.stat(ROOT, "/tmp/l", False).mode) == 0o777


def test_chmod_errors(files: Namespace) -> None:
    with pytest.raises(NotPermitted, match="eve"):
        files.chmod(EVE, "/tmp/f", 0o777)
    for mode in (-1, 0o10000):
        with pytest.raises(InvalidArgument):
            files.chmod(ROOT, "/tmp/f", mode)


def test_set_group_id_needs_membership(files: Namespace) -> None:
    files.chown(ROOT, "/tmp/f", -1, 4242)
    assert files.chmod(ALICE, "/tmp/f", 0o2755).mode & 0o7777 == 0o755
    assert files.chmod(ROOT, "/tmp/f", 0o2755).mode & 0o7777 == 0o2755


def test_chown(files: Namespace) -> None:
    status = files.chown(ROOT, "/tmp/f", 7, 8)
    assert (status.uid, status.gid) == (7, 8)
    assert files.chown(ROOT, "/tmp/f", -1, 9).uid == 7
    assert files.chown(ROOT, "/tmp/l", 5, -1, False).uid == 5
    assert files.stat(ROOT, "/tmp/f").uid == 7


def test_owner_may_choose_among_own_groups(files: Namespace) -> None:
    assert files.chown(ALICE, "/tmp/f", ALICE.uid, 2000).gid == 2000
    with pytest.raises(NotPermitted):
        files.chown(ALICE, "/tmp/f", -1, 31337)
    with pytest.raises(NotPermitted):
        files.chown(ALICE, "/tmp/f", BOB.uid, -1)
    with pytest.raises(NotPermitted):
        files.chown(BOB, "/tmp/f", -1, 2000)


def test_chown_clears_set_id_bits(files: Namespace) -> None:
    files.chmod(ROOT, "/tmp/f", 0o6755)
    assert files.chown(ROOT, "/tmp/f", 5, 5).mode & 0o7777 == 0o755
    files.chmod(ROOT, "/tmp/f", 0o2644)  # without group execution it is not set-group-id
    assert files.chown(ROOT, "/tmp/f", 6, -1).mode & 0o7777 == 0o2644


def test_chown_range(files: Namespace) -> None:
    for uid in (-2, 0xFFFFFFFF, 1 << 40):
        with pytest.raises(InvalidArgument):
            files.chown(ROOT, "/tmp/f", uid, -1)


@pytest.mark.parametrize("path", ["/tmp/f", "/tmp/d"])
def test_utimes(files: Namespace, path: str) -> None:
    status = files.utimes(ALICE, path, 123, 456)
    assert (status.atime_ns, status.mtime_ns) == (123, 456)
    assert files.utimes(ALICE, path, -1, 789).atime_ns == 123
    status = files.utimes(ALICE, path, 5, -1)
    assert (status.atime_ns, status.mtime_ns) == (5, 789)
    assert files.stat(ROOT, path) == status and status.ctime_ns > 10**18


def test_directory_time_moves_on_after_utimes(files: Namespace, clock: Clock) -> None:
    files.utimes(ALICE, "/tmp/d", 1, 1)
    files.write_file(ALICE, "/tmp/d/new", b"")
    assert files.stat(ROOT, "/tmp/d").mtime_ns == clock.now_ns - 1


def test_utimes_permissions(files: Namespace) -> None:
    files.chmod(ALICE, "/tmp/f", 0o666)
    now = files.utimes(EVE, "/tmp/f", now=True)  # who may write may touch
    assert now.atime_ns == now.mtime_ns > 10**18
    with pytest.raises(NotPermitted):
        files.utimes(EVE, "/tmp/f", 1, 1)
    files.chmod(ALICE, "/tmp/f", 0o644)
    with pytest.raises((NotPermitted, PermissionDenied)):
        files.utimes(EVE, "/tmp/f", now=True)


def test_utimes_range(files: Namespace) -> None:
    with pytest.raises(InvalidArgument):
        files.utimes(ROOT, "/tmp/f", 1 << 63, 0)
