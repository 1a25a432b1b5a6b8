"""What every HDFS client does with files: the same for each of them."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.compat.hdfs.conftest import CLIENTS, OWN, Faces, HdfsPlace
from tests.compat.hdfs.faces import BLOCK_BYTES, CommandFace, Face, Native
from tests.harness.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ENTRIES = 3000
SIZES = {
    "empty": 0,
    "one byte": 1,
    "less than a chunk": 511,
    "inline": 5_000,
    "largest inline": 64 << 10,
    "smallest in blocks": (64 << 10) + 1,
    "one block": BLOCK_BYTES,
    "a byte in a second block": BLOCK_BYTES + 1,
    "several blocks": 4 * BLOCK_BYTES + 4321,
}


def content(length: int, seed: int = 0) -> bytes:
    """Bytes that differ everywhere."""
    return random.Random(length + seed).randbytes(length)


@pytest.mark.parametrize("length", SIZES.values(), ids=SIZES.keys())
def test_written_bytes_are_read(client: Face, place: HdfsPlace, length: int) -> None:
    path = place / "file name ä"
    client.write(path, content(length))
    assert client.read(path) == content(length)
    assert client.sizes(place.path) == {"file name ä": length}


def test_small_files_are_inline_and_large_ones_are_not(
    client: Face, place: HdfsPlace, hdfs_cluster: Cluster
) -> None:
    client.write(place / "small", content(60_000))
    client.write(place / "large", content(70_000))
    fs = hdfs_cluster.connect()
    assert fs.stat(place / "small").is_inline
    assert not fs.stat(place / "large").is_inline


def test_replaced(client: Face, place: HdfsPlace) -> None:
    for length in (2 * BLOCK_BYTES, 10, BLOCK_BYTES, 0):
        client.write(place / "file", content(length))
        assert client.read(place / "file") == content(length)


def test_seek(client: Face, place: HdfsPlace) -> None:
    """Ranges within and across blocks, in no order."""
    data = content(3 * BLOCK_BYTES + 100)
    client.write(place / "file", data)
    offsets = [2 * BLOCK_BYTES - 10, 0, 511, BLOCK_BYTES, 3 * BLOCK_BYTES + 90, 12_345]
    for offset in offsets:
        expected = data[offset : offset + 20]
        assert client.read_range(place / "file", offset, 20)[: len(expected)] == expected
    client.write(place / "small", data[:3000])
    assert client.read_range(place / "small", 1000, 24) == data[1000:1024]


@pytest.mark.parametrize("start", [0, 1, 1000, 64 << 10, BLOCK_BYTES - 5, BLOCK_BYTES, BLOCK_BYTES + 700])
def test_append(appending_client: Face, place: HdfsPlace, start: int) -> None:
    """Onto empty, inline and block files; within a chunk, over the inline limit and over a block's end."""
    client = appending_client
    expected = content(start)
    client.write(place / "file", expected)
    for length in (1, 300, 70_000, BLOCK_BYTES):
        added = content(length, start)
        client.append(place / "file", added)
        expected += added
        assert client.read(place / "file") == expected


def test_rename(client: Face, place: HdfsPlace) -> None:
    client.mkdir(place / "a/b")
    client.write(place / "a/b/small", b"small")
    client.write(place / "a/large", content(2 * BLOCK_BYTES))
    client.rename(place / "a/b/small", place / "a/moved")
    client.rename(place / "a", place / "c")
    assert client.sizes(place.path) == {"c": -1}
    assert client.read(place / "c/moved") == b"small"
    assert client.read(place / "c/large") == content(2 * BLOCK_BYTES)


def test_delete(client: Face, place: HdfsPlace) -> None:
    client.mkdir(place / "tree/below")
    client.write(place / "tree/below/file", content(100_000))
    client.write(place / "tree/file", b"x")
    client.remove(place / "tree/file")
    assert client.sizes(place / "tree") == {"below": -1}
    client.remove_tree(place / "tree")
    assert client.sizes(place.path) == {}


def test_list_thousands(client: Face, place: HdfsPlace, hdfs_cluster: Cluster) -> None:
    """More than fit into one answer of a listing."""
    fs = hdfs_cluster.connect()
    expected = {f"{number:05}.jpg": number % 7 for number in range(ENTRIES)}
    fs.write_many((place / name, b"x" * length) for name, length in expected.items())
    assert client.sizes(place.path) == expected


def test_missing(client: Face, place: HdfsPlace) -> None:
    for action in (lambda: client.read(place / "none"), lambda: client.rename(place / "none", place / "x")):
        with pytest.raises((OSError, AssertionError)):
            action()
    assert client.sizes(place.path) == {}


def test_concurrently(client: Face, place: HdfsPlace) -> None:
    """Several threads, each with files of its own in one directory."""

    def work(number: int) -> None:
        for turn in range(3):
            path = place / f"{number}-{turn}"
            data = content(random.Random(number).choice([100, 50_000, BLOCK_BYTES + 1]), turn)
            client.write(path, data)
            assert client.read(path) == data
            client.rename(path, f"{path}.done")
        client.remove(place / f"{number}-0.done")

    workers = 3 if isinstance(client, CommandFace) else 8
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(work, range(workers)))
    assert sorted(client.sizes(place.path)) == sorted(f"{n}-{t}.done" for n in range(workers) for t in (1, 2))


WRITE_MANY = """
import sys
from hdfs_native import Client
url, directory, number = sys.argv[1:]
client = Client(url)
for turn in range(100):
    path = f"{directory}/{number}-{turn}"
    with client.create(path) as file:
        file.write(path.encode() * (1 + turn % 10 * 1000))
    client.rename(path, f"{path}.done")
    assert client.read(f"{path}.done").read(len(path)) == path.encode()
"""


def test_several_processes(hdfs_address: str, hdfs_native: Native, place: HdfsPlace, faces: Faces) -> None:
    """Processes of HDFS clients in one directory, while the mount lists it."""
    command = [sys.executable, "-c", WRITE_MANY, f"hdfs://{hdfs_address}", place.path]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    seen = 0
    while any(process.poll() is None for process in processes):
        sizes = faces("mount").sizes(place.path)
        assert len(sizes) >= seen, "what was there is there"
        seen = len(sizes)
    assert [process.returncode for process in processes] == [0] * 4
    found = hdfs_native.sizes(place.path)
    assert sorted(found) == sorted(f"{number}-{turn}.done" for number in range(4) for turn in range(100))
    for name, length in found.items():
        path = place / name.removesuffix(".done")
        assert length == len(path) * (1 + int(path.rpartition("-")[2]) % 10 * 1000), name


def test_many_readers_of_one_file(client: Face, place: HdfsPlace) -> None:
    data = content(2 * BLOCK_BYTES)
    client.write(place / "file", data)
    with ThreadPoolExecutor(6) as threads:
        assert all(read == data for read in threads.map(client.read, [place / "file"] * 12))


def test_clients_at_once(hdfs_native: Native, faces: Faces, place: HdfsPlace) -> None:
    """Different clients work in one directory at the same time."""

    made = {name: faces(name) for name in CLIENTS + OWN}

    def work(name: str) -> None:
        for turn in range(2):
            data = content(200_000, turn)
            face = made[name]
            face.write(place / f"{name}-{turn}", data)
            assert face.read(place / f"{name}-{turn}") == data

    with ThreadPoolExecutor(len(made)) as threads:
        list(threads.map(work, made))
    assert len(hdfs_native.sizes(place.path)) == 2 * len(made)
