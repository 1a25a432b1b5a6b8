"""What Java writes, flushes, appends and reads: contents and their checksums, small files inline."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compat.hdfs.java_filesystem import KIB, MIB, Java, put
from tests.harness.cluster import Cluster
from tests.harness.java import Jvm, client_jars
from tests.harness.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not client_jars(), reason="needs Java and PySpark's jars"),
]

_numbers = itertools.count()


@pytest.fixture(scope="module")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jvm]:
    with Jvm("contents", client_jars(), tmp_path_factory.mktemp("jvm")) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("contents"), datanodes=3) as running:
        yield running


@pytest.fixture
def path() -> str:
    """A file of this test alone."""
    return f"/f{next(_numbers)}"


@pytest.fixture
def java(jvm: Jvm, cluster: Cluster) -> Iterator[Callable[..., Java]]:
    made: list[Java] = []

    def new(**settings: str) -> Java:
        made.append(Java(jvm, cluster, **settings))
        return made[-1]

    yield new
    for one in made:
        one.fs.close()


# --- readers of what is written -----------------------------------------------------------------------


def test_readers_see_what_is_flushed(java: Callable[..., Java], cluster: Cluster, path: str) -> None:
    writer, reader = java(), java()
    written = b""
    stream = writer.create(path)
    for size, sync in ((700, False), (300, True), (5000, False), (0, False), (100_000, True), (1, False)):
        piece = random.Random(size).randbytes(size)
        put(stream, piece)
        written += piece
        stream.hsync() if sync else stream.hflush()
        assert reader.read(path) == written
    put(stream, b"not flushed")
    assert reader.read(path)[: len(written)] == written
    stream.close()
    assert reader.read(path) == written + b"not flushed"


def test_readers_see_what_is_appended_and_flushed(
    java: Callable[..., Java], cluster: Cluster, path: str
) -> None:
    writer, reader = java(), java()
    with cluster.connect(keep=False) as fs:
        fs.write_bytes(path, b"inline")
    written = b"inline"
    stream = writer.append(path)
    assert reader.read(path) == written, "before the pipeline is there"
    for number in range(3):
        put(stream, b"more%d" % number)
        written += b"more%d" % number
        stream.hflush()
        assert reader.read(path) == written
    stream.close()
    assert reader.read(path) == written
    with cluster.connect(keep=False) as fs:
        assert fs.read_bytes(path) == written


def test_readers_do_not_see_what_was_cut_off(java: Callable[..., Java], cluster: Cluster, path: str) -> None:
    writer, reader = java(), java()
    data = random.Random(3).randbytes(300_000)
    stream = writer.create(path)
    put(stream, data)
    stream.close()
    writer.truncate(path, 100_001)
    stream = writer.append(path)
    assert reader.read(path) == data[:100_001]
    put(stream, b"more")
    stream.hflush()
    assert reader.read(path) == data[:100_001] + b"more"
    stream.close()
    assert reader.read(path) == data[:100_001] + b"more"


# --- small files --------------------------------------------------------------------------------------


def replica_files(cluster: Cluster) -> set[str]:
    return {str(file) for node in cluster.datanodes for file in node.volumes[0].rglob("blk_*")}


@pytest.mark.parametrize("size", [1, 511, 512, 513, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1])
def test_small_files_end_inline(java: Callable[..., Java], cluster: Cluster, path: str, size: int) -> None:
    fs, data, before = java(), random.Random(size).randbytes(size), replica_files(cluster)
    stream = fs.create(path)
    put(stream, data)
    stream.close()
    assert fs.read(path) == data and fs.length(path) == size
    with cluster.connect(keep=False) as native:
        assert native.metadata.open(native.caller, path, 0, size).data == (data if size <= 64 * KIB else None)
    stream = fs.append(path)
    put(stream, b"and more")
    stream.close()
    assert fs.read(path) == data + b"and more"
    if size + 8 <= 64 * KIB:
        wait_until(lambda: replica_files(cluster) <= before, "the replicas to be removed")


def test_appending_grows_a_file_out_of_the_metadata(
    java: Callable[..., Java], cluster: Cluster, path: str
) -> None:
    fs, written = java(), b""
    fs.create(path).close()
    for number in range(12):
        piece = random.Random(number).randbytes(number * 2001)
        stream = fs.append(path)
        put(stream, piece)
        stream.close()
        written += piece
        assert fs.read(path) == written
    assert len(written) > 64 * KIB


def test_a_new_block_behind_inline_content(java: Callable[..., Java], cluster: Cluster, path: str) -> None:
    """CreateFlag.NEW_BLOCK: the content has to become a block, and datanodes fetch it."""
    fs = java()
    with cluster.connect(keep=False) as native:
        native.write_bytes(path, b"inline")
    stream = fs.append_in_new_block(path)
    put(stream, b"behind")
    stream.hflush()
    assert fs.read(path) == b"inlinebehind"
    stream.close()
    assert fs.read(path) == b"inlinebehind" and fs.replicas(path) == [1, 1]
    with cluster.connect(keep=False) as native:
        assert native.read_bytes(path) == b"inlinebehind"
    wait_until(lambda: _replicas_with(cluster, b"inline"), "its datanode to have fetched the content")


def _replicas_with(cluster: Cluster, data: bytes) -> list[str]:
    found = [file for file in replica_files(cluster) if not file.endswith((".meta", ".open"))]
    return [file for file in found if Path(file).read_bytes() == data]


@pytest.mark.parametrize("kind", ["CRC32", "CRC32C", "NULL"])
@pytest.mark.parametrize("chunk", [512, 777, 4096])
def test_checksums_of_any_kind(
    java: Callable[..., Java], cluster: Cluster, path: str, kind: str, chunk: int
) -> None:
    settings = {"dfs.checksum.type": kind, "dfs.bytes-per-checksum": str(chunk)}
    fs = java(**settings, **{"dfs.namenode.fs-limits.min-block-size": "1"})
    data = random.Random(chunk).randbytes(100_001)
    stream = fs.create(path, block_size=chunk * 1024)
    put(stream, data)
    stream.hflush()
    assert fs.read(path) == data
    put(stream, data)
    stream.close()
    stream = fs.append(path)
    put(stream, data)
    stream.close()
    assert fs.read(path) == data * 3


def test_checksums_of_files_are_those_of_hdfs(java: Callable[..., Java]) -> None:
    """A real HDFS 3.3.6 gave these for the same bytes."""
    data = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(98_304))
    assert len(data) == 3 * MIB
    md5, crc = java(), java(**{"dfs.checksum.combine.mode": "COMPOSITE_CRC"})
    found = {}
    for name, size, block_size in (
        ("small", 1000, 128 * MIB),
        ("one", 3 * MIB, 128 * MIB),
        ("three", 3 * MIB - 5, MIB),
    ):
        stream = md5.create(f"/{name}", block_size=block_size)
        put(stream, data[:size])
        stream.close()
        found[name] = (md5.checksum(f"/{name}"), crc.checksum(f"/{name}"))
    assert found == {
        "small": ("MD5-of-0MD5-of-512CRC32C:b1f4a472e29689a2dd75ced2738a7c24", "COMPOSITE-CRC32C:0x7bea16ed"),
        "one": ("MD5-of-0MD5-of-512CRC32C:e906b2a44cb0991af9465c99e4c8a01b", "COMPOSITE-CRC32C:0xad6eec5d"),
        "three": (
            "MD5-of-2048MD5-of-512CRC32C:43a931c7dcb352878b3b24039b3ca9cc",
            "COMPOSITE-CRC32C:0xaa21d36e",
        ),
    }
