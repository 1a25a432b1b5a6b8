"""Sizes of the structures, as linux/fuse.h has them."""

from __future__ import annotations

import pytest

from oastfs.fuse.kernel import protocol as p

SIZES = {
    "IN_HEADER": 40,
    "OUT_HEADER": 16,
    "ATTR_OUT": 16 + 88,
    "ENTRY_OUT": 40 + 88,
    "OPEN_OUT": 16,
    "WRITE_OUT": 8,
    "STATFS_OUT": 80,
    "INIT_IN": 16,
    "INIT_OUT": 64,
    "BACKING_MAP": 16,
    "DIRECTORY_ENTRY": 24,
    "GETATTR_IN": 16,
    "SETATTR_IN": 88,
    "MKNOD_IN": 16,
    "RENAME2_IN": 16,
    "CREATE_IN": 16,
    "READ_IN": 40,
    "WRITE_IN": 40,
    "RELEASE_IN": 24,
    "FLUSH_IN": 24,
    "FSYNC_IN": 16,
    "FALLOCATE_IN": 32,
    "LSEEK_IN": 24,
    "NOTIFY_INODE": 24,
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    assert getattr(p, name).size == SIZES[name]
