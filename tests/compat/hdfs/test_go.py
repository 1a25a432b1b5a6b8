"""Debian's hdfs-cli and rclone: what people do with them beside single files."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from oastfs.client import Filesystem
from tests.compat.hdfs.conftest import Faces, HdfsPlace
from tests.compat.hdfs.faces import BLOCK_BYTES, GoHdfs, Mounted, Native, Rclone
from tests.compat.hdfs.test_files import content
from tests.harness.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

FILES = 300


@pytest.fixture
def fs(hdfs_cluster: Cluster) -> Filesystem:
    return hdfs_cluster.connect()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A local tree of small files, and some larger ones."""
    chance, root = random.Random(1), tmp_path / "tree"
    for number in range(FILES):
        directory = root / f"d{number % 10}" / f"e{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        length = chance.choice([0, 10, 5000, 5000, 65_000]) if number % 50 else BLOCK_BYTES + 9
        (directory / f"f{number}").write_bytes(chance.randbytes(length))
    return root


def digests(root: Path) -> dict[str, str]:
    """What is in a local tree."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_rclone_sync_there_and_back(
    rclone: Rclone, tree: Path, place: HdfsPlace, tmp_path: Path, hdfs_mount: Path
) -> None:
    remote = f":hdfs:{place / 'tree'}"
    rclone.run("sync", str(tree), remote)
    assert digests(Mounted(hdfs_mount).at(place / "tree")) == digests(tree)
    # What is removed and changed at the source is removed and changed at the target.
    victims = sorted(path for path in tree.rglob("f*") if path.is_file())[::10]
    for path in victims[::2]:
        path.unlink()
    for path in victims[1::2]:
        path.write_bytes(path.read_bytes() + b"more")
    rclone.run("sync", str(tree), remote)
    rclone.run("check", "--download", str(tree), remote)
    rclone.run("sync", remote, str(tmp_path / "back"))
    assert digests(tmp_path / "back") == digests(tree)


def test_rclone_transfers_nothing_twice(rclone: Rclone, tree: Path, place: HdfsPlace, fs: Filesystem) -> None:
    """Lengths and times tell it what is there already."""
    remote = f":hdfs:{place / 'tree'}"
    rclone.run("copy", str(tree), remote)
    ids = {name: fs.stat(place / f"tree/{name}").inode_id for name in digests(tree)}
    rclone.run("copy", str(tree), remote)
    assert {name: fs.stat(place / f"tree/{name}").inode_id for name in ids} == ids


def test_gohdfs_copies_trees(
    go: GoHdfs, tree: Path, place: HdfsPlace, tmp_path: Path, hdfs_mount: Path
) -> None:
    go.run("put", str(tree), place / "tree")
    assert digests(Mounted(hdfs_mount).at(place / "tree")) == digests(tree)
    go.run("get", place / "tree", str(tmp_path / "back"))
    assert digests(tmp_path / "back") == digests(tree)


def test_gohdfs_head_and_tail(go: GoHdfs, place: HdfsPlace) -> None:
    lines = [f"line {number}" for number in range(50_000)]
    go.write(place / "text", "\n".join(lines).encode() + b"\n")
    assert go.run("head", "-n", "3", place / "text").decode().split("\n")[:3] == lines[:3]
    assert go.run("tail", "-n", "2", place / "text").decode().split("\n")[:2] == lines[-2:]
    assert go.run("tail", "-c", "5", place / "text") == b"9999\n"


def test_gohdfs_getmerge(go: GoHdfs, place: HdfsPlace, tmp_path: Path) -> None:
    for number in range(3):
        go.write(place / f"part-{number}", f"part {number}\n".encode() * 1000)
    go.run("getmerge", place.path, str(tmp_path / "merged"))
    merged = (tmp_path / "merged").read_text()
    assert merged == "".join(f"part {number}\n" * 1000 for number in range(3))


def test_gohdfs_touch_and_globs(go: GoHdfs, place: HdfsPlace) -> None:
    go.run("touch", place / "a1", place / "a2", place / "b1")
    assert go.sizes(place.path) == {"a1": 0, "a2": 0, "b1": 0}
    go.run("rm", f"{place.path}/a*")
    assert go.sizes(place.path) == {"b1": 0}


def test_gohdfs_moves_into_directories(go: GoHdfs, place: HdfsPlace, hdfs_native: Native) -> None:
    go.run("mkdir", place / "directory")
    go.write(place / "file", b"x")
    go.run("mv", place / "file", place / "directory")
    assert hdfs_native.sizes(place / "directory") == {"file": 1}


@pytest.mark.parametrize("length", [3 * BLOCK_BYTES, 50_000])
def test_gohdfs_truncates(go: GoHdfs, place: HdfsPlace, faces: Faces, length: int) -> None:
    data = content(length)
    go.write(place / "file", data)
    for shorter in (length - 1, length // 2, 100, 0):
        go.run("truncate", str(shorter), place / "file")
        assert faces("mount").read(place / "file") == faces("hdfs-native").read(place / "file")
        assert go.read(place / "file") == data[:shorter]


def test_gohdfs_checksums(go: GoHdfs, place: HdfsPlace, hdfs_mount: Path) -> None:
    """Of the bytes, whoever wrote them: equal for equal files, and different otherwise."""
    data = content(2 * BLOCK_BYTES + 5)
    go.write(place / "one", data)
    Mounted(hdfs_mount).write(place / "two", data)
    go.write(place / "other", data[:-1] + b"?")
    sums = [go.run("checksum", place / name).split()[0] for name in ("one", "two", "other")]
    assert sums[0] == sums[1] != sums[2]


def test_as_another_user(place: HdfsPlace, hdfs_native: Native, fs: Filesystem) -> None:
    """The name that the client gives is who asks: permissions hold for it."""
    address = place.address
    other = GoHdfs(address)
    other.environment["HADOOP_USER_NAME"] = "daemon"
    hdfs_native.client.set_permission(place.path, 0o755)
    with pytest.raises(AssertionError, match=r"(?i)permission"):
        other.run("put", "-", place / "file", stdin=b"x")
    hdfs_native.client.set_permission(place.path, 0o777)
    other.run("put", "-", place / "file", stdin=b"x")
    assert hdfs_native.client.get_file_info(place / "file").owner == "daemon"
    assert fs.stat(place / "file").uid != fs.stat(place.path).uid
