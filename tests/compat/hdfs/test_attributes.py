"""Modes, owners, times and replication: set by HDFS clients, seen by all, and the other way round."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from oastfs.client import Filesystem
from tests.compat.hdfs import arrow_process
from tests.compat.hdfs.conftest import Faces, HdfsPlace
from tests.compat.hdfs.faces import BLOCK_BYTES, Arrow, GoHdfs, Mounted, Native, Rclone
from tests.harness.cluster import Cluster

pytestmark = pytest.mark.system

MOMENT = 1_600_000_000
"""In seconds since the epoch."""


@pytest.fixture
def fs(hdfs_cluster: Cluster) -> Filesystem:
    return hdfs_cluster.connect()


@pytest.fixture
def mounted(hdfs_mount: Path) -> Mounted:
    return Mounted(hdfs_mount)


def test_status(hdfs_native: Native, place: HdfsPlace, fs: Filesystem) -> None:
    before_ms = time.time_ns() // 1_000_000
    hdfs_native.write(place / "file", b"12345")
    found = hdfs_native.client.get_file_info(place / "file")
    assert (found.length, found.isdir, found.blocksize) == (5, False, BLOCK_BYTES)
    assert found.path.endswith("/file")
    assert found.replication == fs.info.replication
    assert before_ms <= found.modification_time <= time.time_ns() // 1_000_000
    directory = hdfs_native.client.get_file_info(place.path)
    assert (directory.isdir, directory.length) == (True, 0)


def test_modes(hdfs_native: Native, go: GoHdfs, place: HdfsPlace, mounted: Mounted, fs: Filesystem) -> None:
    hdfs_native.write(place / "file", b"x")
    assert hdfs_native.client.get_file_info(place / "file").permission == 0o644
    hdfs_native.client.set_permission(place / "file", 0o640)
    assert fs.stat(place / "file").mode & 0o7777 == 0o640
    go.run("chmod", "750", place / "file")
    assert mounted.at(place / "file").stat().st_mode & 0o7777 == 0o750
    assert go.run("ls", "-l", place.path).decode().startswith("-rwxr-x---")
    mounted.at(place.path).chmod(0o1777)
    assert hdfs_native.client.get_file_info(place.path).permission == 0o1777


def test_modes_at_creation(hdfs_native: Native, place: HdfsPlace, fs: Filesystem) -> None:
    from hdfs_native import WriteOptions

    with hdfs_native.client.create(place / "file", WriteOptions(permission=0o600)) as file:
        file.write(b"x")
    hdfs_native.client.mkdirs(place / "directory", permission=0o700)
    assert fs.stat(place / "file").mode & 0o777 == 0o600
    assert fs.stat(place / "directory").mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="owners are changed by the superuser")
def test_owners(hdfs_native: Native, go: GoHdfs, place: HdfsPlace, mounted: Mounted) -> None:
    hdfs_native.write(place / "file", b"x")
    hdfs_native.client.set_owner(place / "file", "daemon", "bin")
    path = mounted.at(place / "file")
    assert (path.owner(), path.group()) == ("daemon", "bin")
    go.run("chown", "sys:daemon", place / "file")
    found = hdfs_native.client.get_file_info(place / "file")
    assert (found.owner, found.group) == ("sys", "daemon")
    subprocess.run(["chown", "games:games", path], check=True)
    found = hdfs_native.client.get_file_info(place / "file")
    assert (found.owner, found.group) == ("games", "games")


def test_times(hdfs_native: Native, place: HdfsPlace, mounted: Mounted, faces: Faces) -> None:
    hdfs_native.write(place / "file", b"x")
    hdfs_native.client.set_times(place / "file", MOMENT * 1000 + 123, MOMENT * 1000 + 5456)
    found = mounted.at(place / "file").stat()
    assert found.st_mtime_ns == MOMENT * 10**9 + 123_000_000
    assert found.st_atime_ns == MOMENT * 10**9 + 5_456_000_000
    os.utime(mounted.at(place / "file"), ns=(MOMENT * 10**9, MOMENT * 10**9 + 7_000_000))
    assert hdfs_native.client.get_file_info(place / "file").modification_time == MOMENT * 1000 + 7
    arrow = faces("pyarrow")
    assert isinstance(arrow, Arrow)
    assert arrow.run(arrow_process.modified_ns, place / "file") // 10**9 == MOMENT


def test_rclone_keeps_times(rclone: Rclone, place: HdfsPlace, tmp_path: Path, fs: Filesystem) -> None:
    local = tmp_path / "file"
    local.write_bytes(b"x" * 100)
    os.utime(local, (MOMENT, MOMENT))
    rclone.run("copy", str(tmp_path), f":hdfs:{place.path}", "--include", "file")
    assert fs.stat(place / "file").mtime_ns == MOMENT * 10**9
    back = tmp_path / "back"
    rclone.run("copy", f":hdfs:{place.path}", str(back))
    assert (back / "file").stat().st_mtime == MOMENT


def test_replication(hdfs_native: Native, place: HdfsPlace, fs: Filesystem) -> None:
    from hdfs_native import WriteOptions

    with hdfs_native.client.create(place / "file", WriteOptions(replication=2)) as file:
        file.write(b"x" * 100_000)
    assert fs.stat(place / "file").replication == 2
    assert hdfs_native.client.set_replication(place / "file", 1)
    assert fs.stat(place / "file").replication == 1
    assert hdfs_native.client.get_file_info(place / "file").replication == 1


def test_block_size(hdfs_native: Native, place: HdfsPlace, fs: Filesystem) -> None:
    from hdfs_native import WriteOptions

    data = os.urandom(700_000)
    with hdfs_native.client.create(place / "file", WriteOptions(block_size=256 << 10)) as file:
        file.write(data)
    assert fs.stat(place / "file").block_size == 256 << 10
    assert hdfs_native.read(place / "file") == data


def test_content_summary(hdfs_native: Native, go: GoHdfs, place: HdfsPlace) -> None:
    hdfs_native.mkdir(place / "a/b")
    hdfs_native.write(place / "a/small", b"x" * 1000)
    hdfs_native.write(place / "a/b/large", b"x" * 2_000_000)
    found = hdfs_native.client.get_content_summary(place / "a")
    assert (found.length, found.file_count, found.directory_count) == (2_001_000, 2, 2)
    assert go.run("du", "-s", place / "a").split()[0] == b"2001000"


def test_space(go: GoHdfs, rclone: Rclone) -> None:
    size, _, available, _ = go.run("df").splitlines()[1].split()[1:]
    assert int(size) >= int(available) > 0
    assert b"Free:" in rclone.run("about", ":hdfs:")
