"""Hints to the disk, which change nothing that can be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from oastfs.store.lmdb_driver.syncer import ThreadSyncer, make_syncer
from oastfs.store.lmdb_driver.writeout import begin_write_out, write_back


def test_it_changes_nothing_that_is_read(tmp_path: Path) -> None:
    content = os.urandom(50_000)
    with (tmp_path / "file").open("wb+") as file:
        file.write(content)
        file.flush()
        begin_write_out(file.fileno(), 100, 40_000)
        begin_write_out(file.fileno(), 10_000_000, 1)
        assert os.pread(file.fileno(), 60_000, 0) == content


def test_what_is_no_file_is_passed_over() -> None:
    begin_write_out(-1, 0, 1)


def test_writing_back_leaves_what_is_read(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    with (tmp_path / "file").open("wb+") as file:
        write_back(file.fileno())
        file.write(content)
        file.flush()
        write_back(file.fileno())
        assert os.pread(file.fileno(), 4 << 20, 0) == content


@pytest.mark.skipif(make_syncer is ThreadSyncer, reason="without a C compiler nothing is written back")
def test_what_cannot_be_written_back_is_told() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        write_back(-1)
