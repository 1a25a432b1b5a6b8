"""mknod: special files."""

from __future__ import annotations

import stat as _stat

import pytest

from oastfs.core.errors import AlreadyExists, InvalidArgument, NotPermitted
from oastfs.namenode.namespace import Namespace
from tests.unit.namenode.conftest import ALICE, ROOT


@pytest.mark.parametrize("kind", [_stat.S_IFREG, _stat.S_IFIFO, _stat.S_IFSOCK])
def test_kinds(namespace: Namespace, kind: int) -> None:
    status = namespace.mknod(ALICE, "/tmp/x", kind | 0o600)
    assert status.mode == kind | 0o600 and status.rdev == 0 and status.length == 0
    with pytest.raises(AlreadyExists):
        namespace.mknod(ALICE, "/tmp/x", kind | 0o600)


def test_devices(namespace: Namespace) -> None:
    assert namespace.mknod(ROOT, "/tmp/null", _stat.S_IFCHR | 0o666, 259).rdev == 259
    with pytest.raises(NotPermitted):
        namespace.mknod(ALICE, "/tmp/mine", _stat.S_IFBLK | 0o666, 1)


@pytest.mark.parametrize("mode", [_stat.S_IFDIR | 0o755, _stat.S_IFLNK | 0o777, 1 << 20])
def test_bad_modes(namespace: Namespace, mode: int) -> None:
    with pytest.raises(InvalidArgument):
        namespace.mknod(ROOT, "/tmp/x", mode)


def test_no_kind_means_a_file(namespace: Namespace) -> None:
    assert namespace.mknod(ROOT, "/tmp/x", 0o644).is_file
