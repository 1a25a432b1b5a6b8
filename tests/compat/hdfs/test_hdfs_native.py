"""hdfs-native: what its client has beside whole files. It is what deltalake and polars-hdfs stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.compat.hdfs.conftest import Faces, HdfsPlace
from tests.compat.hdfs.faces import BLOCK_BYTES, Native
from tests.compat.hdfs.test_files import content
from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_until

hdfs_native_module = pytest.importorskip("hdfs_native")

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture
def client(hdfs_native: Native) -> Any:
    """The client itself."""
    return hdfs_native.client


def test_create_does_not_replace_unless_told(client: Any, place: HdfsPlace) -> None:
    client.create(place / "file").close()
    with pytest.raises(FileExistsError):
        client.create(place / "file")
    with client.create(place / "file", hdfs_native_module.WriteOptions(overwrite=True)) as file:
        file.write(b"new")
    assert client.get_file_info(place / "file").length == 3


def test_rename_replaces_only_when_told(client: Any, hdfs_native: Native, place: HdfsPlace) -> None:
    hdfs_native.write(place / "a", b"a")
    hdfs_native.write(place / "b", b"bb")
    with pytest.raises((OSError, RuntimeError)):
        client.rename(place / "a", place / "b")
    client.rename(place / "a", place / "b", overwrite=True)
    assert hdfs_native.sizes(place.path) == {"b": 1}


def test_directory_errors(client: Any, hdfs_native: Native, place: HdfsPlace) -> None:
    hdfs_native.write(place / "d/file", b"x")
    with pytest.raises((OSError, RuntimeError)):
        client.delete(place / "d")
    with pytest.raises((OSError, RuntimeError)):
        client.mkdirs(place / "d/file/below", create_parent=True)
    with pytest.raises(FileNotFoundError):
        client.get_file_info(place / "none")
    assert not client.delete(place / "none")
    assert hdfs_native.sizes(place / "d") == {"file": 1}


@pytest.mark.parametrize("length", [1000, 100_000, BLOCK_BYTES + 1000])
def test_synced_bytes_are_seen_before_the_end(
    client: Any, place: HdfsPlace, faces: Faces, length: int
) -> None:
    """By those that look at files which are being written; hdfs-native itself reads blocks that are ended."""
    data = content(length)
    with client.create(place / "file") as file:
        file.write(data)
        file.hsync()
        assert faces("mount").read(place / "file") == data
        assert faces("pyarrow").read(place / "file") == data
        assert client.read(place / "file").read() == data[: length // BLOCK_BYTES * BLOCK_BYTES]
        file.write(b"more")
    assert client.read(place / "file").read() == data + b"more"


ABANDON = """
import sys, time
from hdfs_native import Client
file = Client(sys.argv[1]).create(sys.argv[2])
file.write(b"x" * 100_000)
file.hsync()
print("synced", flush=True)
time.sleep(600)
"""


def test_leases(client: Any, place: HdfsPlace, hdfs_address: str, faces: Faces) -> None:
    """One writer; when it has died another takes over what it left, as far as it was synced."""
    arguments = [sys.executable, "-c", ABANDON, f"hdfs://{hdfs_address}", place / "file"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"synced\n"
        with pytest.raises(FileExistsError):
            client.append(place / "file")
        writer.kill()
    wait_until(lambda: client.recover_lease(place / "file"), "the lease to be recovered", 60)
    with client.append(place / "file") as file:
        file.write(b"after")
    assert client.read(place / "file").read() == b"x" * 100_000 + b"after"
    assert faces("mount").read(place / "file") == b"x" * 100_000 + b"after"


@pytest.mark.parametrize("before", [0, 1000, 100_000])
def test_a_lease_is_recovered_from_a_writer_that_lives(client: Any, place: HdfsPlace, before: int) -> None:
    """What it synced stays, and whatever it does then fails."""
    with client.create(place / "file") as file:
        file.write(content(before))
    writer = client.append(place / "file")
    writer.write(b"synced")
    writer.hsync()
    other = hdfs_native_module.Client(place.url)
    wait_until(lambda: other.recover_lease(place / "file"), "the lease to be recovered", 60)
    with pytest.raises((OSError, RuntimeError)):
        writer.write(b"late")
        writer.hsync()
    with pytest.raises((OSError, RuntimeError)):
        writer.close()
    with other.append(place / "file") as file:
        file.write(b" after")
    assert client.read(place / "file").read() == content(before) + b"synced after"


@pytest.mark.parametrize("length", [1000, 100_000])
def test_a_lease_is_recovered_from_a_program_on_the_mount(
    client: Any, place: HdfsPlace, hdfs_mount: Path, length: int
) -> None:
    """It may go on where others have ended."""
    path = hdfs_mount / (place / "file")[1:]
    with path.open("ab", buffering=0) as file:
        file.write(content(length))
        os.fsync(file.fileno())
        wait_until(lambda: client.recover_lease(place / "file"), "the lease to be recovered", 60)
        with client.append(place / "file") as other:
            other.write(b" appended")
        wait_until(lambda: path.stat().st_size == length + 9, "the mount to see what was appended", 10)
        file.write(b" after")
    assert client.read(place / "file").read() == content(length) + b" appended after"


def test_globs_and_recursive_listing(client: Any, hdfs_native: Native, place: HdfsPlace) -> None:
    for name in ("a/1.csv", "a/2.csv", "b/3.csv", "b/4.txt"):
        hdfs_native.write(place / name, name.encode())
    found = [status.path.rpartition("/")[2] for status in client.glob_status(f"{place.path}/*/*.csv")]
    assert sorted(found) == ["1.csv", "2.csv", "3.csv"]
    everything = [status.path for status in client.list_status(place.path, recursive=True)]
    assert len(everything) == 6 and any(path.endswith("/b/4.txt") for path in everything)


def test_ranges_and_streams(client: Any, place: HdfsPlace) -> None:
    data = content(3 * BLOCK_BYTES)
    with client.create(place / "file") as file:
        for start in range(0, len(data), 77_777):
            file.write(data[start : start + 77_777])
    reader = client.read(place / "file")
    assert len(reader) == len(data)
    assert reader.read_range(BLOCK_BYTES - 5, 10) == data[BLOCK_BYTES - 5 : BLOCK_BYTES + 5]
    assert b"".join(reader.read_range_stream(1000, 2 * BLOCK_BYTES)) == data[1000 : 1000 + 2 * BLOCK_BYTES]
    assert reader.tell() == 0
    reader.seek(-100, os.SEEK_END)
    assert reader.read() == data[-100:]


def test_many_small_files_from_many_threads(client: Any, place: HdfsPlace, hdfs_cluster: Cluster) -> None:
    """Thousands of images: written by threads, read back by OastFS's batch."""

    def write(number: int) -> None:
        with client.create(place / f"{number:04}.jpg") as file:
            file.write(number.to_bytes(4, "big") * 300)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(write, range(1000)))
        read = threads.map(lambda n: client.read(place / f"{n:04}.jpg").read(), range(1000))
        assert all(data == number.to_bytes(4, "big") * 300 for number, data in enumerate(read))
    fs = hdfs_cluster.connect()
    paths = [place / f"{number:04}.jpg" for number in range(1000)]
    assert all(data == number.to_bytes(4, "big") * 300 for number, data in enumerate(fs.read_many(paths)))
    assert all(fs.stat(path).is_inline for path in paths[::100])


ASYNCHRONOUS = """
import asyncio, sys
import hdfs_native

async def work(url, directory):
    client = hdfs_native.AsyncClient(url)

    async def one(number):
        path = f"{directory}/{number}"
        async with await client.create(path, hdfs_native.WriteOptions(overwrite=True)) as file:
            await file.write(b"%d" % number * 1000)
        return await (await client.read(path)).read()

    return await asyncio.gather(*(one(number) for number in range(50)))

assert asyncio.run(work(*sys.argv[1:])) == [b"%d" % number * 1000 for number in range(50)]
"""


def test_asynchronous_client(hdfs_address: str, place: HdfsPlace) -> None:
    """Once in twenty times or so this client waits for itself for ever, its thread for the event loop and the
    loop for its thread, on Apache HDFS as well. So it has a process of its own, and some tries.
    """
    command = [sys.executable, "-c", ASYNCHRONOUS, f"hdfs://{hdfs_address}", place.path]
    for _ in range(10):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        except subprocess.TimeoutExpired:
            continue
        assert done.returncode == 0, done.stderr
        return
    pytest.fail("ten times in a row the client did not come back")
