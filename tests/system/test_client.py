"""The client with real datanodes: large files, failures, several writers, processes."""

from __future__ import annotations

import io
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from oastfs.client import Filesystem, connect
from oastfs.client.block_content import BlockContent
from oastfs.client.stream import FileStream
from oastfs.core.errors import BlockNotFound, CorruptBlock, NoDatanodes
from oastfs.core.types import FileStatus, Location
from tests.harness.cluster import Cluster
from tests.harness.waiting import wait_until

BLOCK_BYTES = 1024 * 1024
INLINE_BYTES = 64 * 1024
OPTIONS = ["--block-size", str(BLOCK_BYTES)]


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two datanodes and two replicas; nothing is broken here."""
    with Cluster(
        tmp_path_factory.mktemp("cluster"), datanodes=2, replication=2, format_options=OPTIONS
    ) as cluster:
        yield cluster


@pytest.fixture
def fs(shared: Cluster) -> Iterator[Filesystem]:
    with connect(shared.url) as filesystem:
        yield filesystem


@pytest.fixture
def direct(shared: Cluster) -> Iterator[Filesystem]:
    with connect(shared.metadata_url) as filesystem:
        yield filesystem


def unbuffered(filesystem: Filesystem, path: str, mode: str) -> FileStream:
    stream: object = filesystem.open(path, mode, buffering=0)
    assert isinstance(stream, FileStream)
    return stream


def over_tcp(filesystem: Filesystem) -> Filesystem:
    """A filesystem that does not know that its datanodes are on this machine."""
    filesystem.session.datanodes.is_local = lambda location: False  # type: ignore[method-assign]  # of this one
    return filesystem


# --- nothing fails --------------------------------------------------------------------------------


def test_large_files_in_any_way(fs: Filesystem, direct: Filesystem, tmp_path: Path) -> None:
    data = content(10 * BLOCK_BYTES + 12345)
    fs.write_bytes("/large", data)
    assert direct.read_bytes("/large") == data
    assert over_tcp(fs).read_bytes("/large") == data
    moved: list[int] = []
    fs.get("/large", tmp_path / "got", moved.append)
    assert (tmp_path / "got").read_bytes() == data
    assert sum(moved) == len(data)
    fs.put(tmp_path / "got", "/put")
    direct.copy("/put", "/copy")
    assert fs.read_bytes("/copy") == data
    for at in range(0, len(data), 999_999):
        assert fs.read_ranges([("/copy", at, 5000)]) == [data[at : at + 5000]]


def test_a_sequential_reader_sees_what_it_writes_ahead_of_itself(fs: Filesystem) -> None:
    """What a datanode sent in advance is not taken for what was written since."""
    data = bytearray(content(BLOCK_BYTES - 5000))
    with fs.open("/ahead", "wb", replication=1) as new:
        new.write(bytes(data))
    step = 64 * 1024
    with closing(over_tcp(fs).open_file(fs.stat("/ahead"), writable=True)) as file:
        for at in range(0, len(data), step):
            assert file.pread(at, step) == data[at : at + step], f"at {at}"
            ahead = min(at + 2 * step + 100, len(data) - 200)
            data[ahead : ahead + 200] = content(200, at)
            file.pwrite(ahead, data[ahead : ahead + 200])
            file.flush()


def test_batches_of_small_and_large_files(fs: Filesystem) -> None:
    items = [(f"/mixed/{n:03}", content(n * n * 100, n)) for n in range(60)]
    answers = fs.write_many(items, parents=True)
    lengths = [one.length if isinstance(one, FileStatus) else one for one in answers]
    assert lengths == [len(data) for _, data in items]
    assert list(fs.read_many(path for path, _ in items)) == [data for _, data in items]
    ranges = [(path, len(data) // 2, 1000) for path, data in items]
    assert fs.read_ranges(ranges) == [data[len(data) // 2 :][:1000] for _, data in items]


def test_a_file_grows_out_of_the_metadata_and_back(fs: Filesystem, direct: Filesystem) -> None:
    with unbuffered(fs, "/grows", "wb") as stream:
        stream.write(b"small")
        stream.fsync()
        assert direct.stat("/grows").is_inline
        stream.seek(2 * BLOCK_BYTES)
        stream.write(b"far away")
        stream.fsync()
        assert not direct.stat("/grows").is_inline
        expected = b"small".ljust(2 * BLOCK_BYTES, b"\0") + b"far away"
        assert direct.read_bytes("/grows") == expected
        stream.truncate(0)
        stream.seek(0)
        stream.write(b"small again")
    assert direct.read_bytes("/grows") == b"small again"
    with direct.open("/grows", "ab") as appended:
        appended.write(bytes(INLINE_BYTES))
    assert fs.read_bytes("/grows") == b"small again" + bytes(INLINE_BYTES)


def test_what_is_flushed_can_be_read_while_it_is_written(fs: Filesystem, direct: Filesystem) -> None:
    written = b""
    with fs.open("/live", "wb") as stream:
        for number in range(20):
            piece = content(100_000, number)
            stream.write(piece)
            stream.flush()
            assert isinstance(stream, io.BufferedWriter) and isinstance(stream.raw, FileStream)
            stream.raw.file.flush()
            written += piece
            assert direct.stat("/live").length == len(written)
            assert direct.read_bytes("/live") == written
            assert over_tcp(direct).read_bytes("/live") == written


def test_appending_again_and_again(fs: Filesystem, direct: Filesystem) -> None:
    written = b""
    for number in range(25):
        piece = content(77_777, number)
        with (fs if number % 2 else direct).open("/log", "ab") as stream:
            assert stream.tell() == len(written)
            stream.write(piece)
        written += piece
    assert fs.read_bytes("/log") == written


def test_two_clients_write_one_block_by_turns(fs: Filesystem, direct: Filesystem) -> None:
    fs.write_bytes("/both", bytes(BLOCK_BYTES))
    ours = fs.open_file(fs.stat("/both"), writable=True)
    theirs = direct.open_file(direct.stat("/both"), writable=True)
    expected = bytearray(BLOCK_BYTES)
    for number in range(30):
        writer, at = (ours, 1000 * number) if number % 2 else (theirs, 500_000 + 1000 * number)
        piece = content(700, number)
        writer.pwrite(at, piece)
        expected[at : at + 700] = piece
        if number % 5 == 0:
            writer.fsync()
    ours.close()
    theirs.close()
    assert fs.read_bytes("/both") == expected
    assert over_tcp(direct).read_bytes("/both") == expected


def test_one_client_cuts_what_another_writes(fs: Filesystem, direct: Filesystem) -> None:
    file = fs.open_file(fs.metadata.create(fs.caller, "/cut"), writable=True)
    file.pwrite(0, content(3 * BLOCK_BYTES))
    file.flush()
    direct.metadata.truncate(direct.caller, "/cut", 1000)
    late = content(5000, 2)
    file.pwrite(2 * BLOCK_BYTES + 10, late)
    file.fsync()
    file.close()
    found = direct.read_bytes("/cut")
    assert found[:1000] == content(3 * BLOCK_BYTES)[:1000]
    assert found[1000 : 2 * BLOCK_BYTES + 10].strip(b"\0") == b""
    assert found[2 * BLOCK_BYTES + 10 :] == late


def test_a_shared_file_that_another_client_cut_off(fs: Filesystem, direct: Filesystem) -> None:
    """What was cut off is zeros, though a pipeline to the replicas that still hold it was open."""
    data = content(300_000)
    held = fs.open_file(fs.metadata.create(fs.caller, "/reopened"), writable=True)
    held.pwrite(0, data)
    held.flush()
    direct.metadata.truncate(direct.caller, "/reopened", 100_000)
    with unbuffered(fs, "/reopened", "r+b") as stream:
        assert stream.file is held
        assert stream.seek(0, os.SEEK_END) == 100_000
        stream.seek(200_000)
        stream.write(b"after a gap")
    expected = data[:100_000] + bytes(100_000) + b"after a gap"
    assert direct.read_bytes("/reopened") == expected
    assert held.pread(0, 400_000) == expected
    held.close()


def test_overwriting_several_replicas_takes_a_new_stamp(fs: Filesystem) -> None:
    """A client that dies in the middle leaves replicas that differ, which only a stamp can tell."""
    file = fs.open_file(fs.metadata.create(fs.caller, "/stamps"), writable=True)

    def stamp() -> int:
        file.fsync()
        [block] = fs.metadata.open(fs.caller, "/stamps").blocks
        assert len(block.locations) == 2
        return int(block.generation_stamp)

    file.pwrite(0, content(100_000))
    first = stamp()
    file.pwrite(100_000, content(1000))
    assert stamp() == first
    file.pwrite(50, b"over")
    assert stamp() > first
    file.close()


def test_a_reader_survives_that_the_file_is_written_anew(fs: Filesystem, direct: Filesystem) -> None:
    old, new = content(2 * BLOCK_BYTES, 1), content(2 * BLOCK_BYTES, 2)
    fs.write_bytes("/anew", old)
    over_tcp(fs)
    with fs.open("/anew", "rb", buffering=0) as stream:
        assert stream.read(1000) == old[:1000]
        direct.write_bytes("/anew", new)
        stream.seek(BLOCK_BYTES)
        assert stream.read(1000) in (old[BLOCK_BYTES:][:1000], new[BLOCK_BYTES:][:1000])


def _check_in_child(filesystem: Filesystem, path: str, at: int, expected: bytes) -> bool:
    with filesystem.open(path, "rb") as stream:
        stream.seek(at)
        return bool(stream.read(len(expected)) == expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_blocks(fs: Filesystem, method: str) -> None:
    data = content(4 * BLOCK_BYTES)
    fs.write_bytes("/workers", data)
    assert fs.read_bytes("/workers") == data
    work = [(fs, "/workers", at, data[at : at + 100_000]) for at in range(0, len(data), 300_000)]
    with get_context(method).Pool(3) as pool:
        assert all(pool.starmap(_check_in_child, work))
        pool.close()
        pool.join()
    assert fs.read_bytes("/workers") == data


def test_a_file_that_was_open_at_the_fork(fs: Filesystem) -> None:
    data = content(3 * BLOCK_BYTES)
    fs.write_bytes("/inherited", data)
    over_tcp(fs)
    with fs.open("/inherited", "rb", buffering=0) as stream:
        assert stream.read(70_000) == data[:70_000]
        assert stream.read(70_000) == data[70_000:140_000]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert stream.read(10_000) == data[140_000:150_000]
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert stream.read() == data[140_000:]


def test_idle_pipelines_end_and_begin_again(fs: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oastfs.client.housekeeping.IDLE_PIPELINE_SECONDS", 0.2)
    file = fs.open_file(fs.metadata.create(fs.caller, "/idle"), writable=True)
    data = bytearray(content(200_000))
    file.pwrite(0, bytes(data))
    file.flush()
    content_of = file._content
    assert isinstance(content_of, BlockContent)
    wait_until(
        lambda: not any(w.is_open for w in content_of._writers.values()), "the end of the pipeline", 20
    )
    file.pwrite(100, b"again")
    data[100:105] = b"again"
    file.close()
    assert fs.read_bytes("/idle") == data


# --- something fails ------------------------------------------------------------------------------


@pytest.fixture
def own(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Three datanodes and two replicas, to be broken."""
    return make_cluster(datanodes=3, replication=2, format_options=OPTIONS)


def test_a_datanode_dies_under_a_long_write_and_read(own: Cluster) -> None:
    fs = own.connect()
    data = content(48 * BLOCK_BYTES)
    with fs.open("/stream", "wb", buffering=0) as stream:
        for at in range(0, len(data), 500_000):
            if at == 20_000_000:
                own.datanodes[1].kill()
            stream.write(data[at : at + 500_000])
    assert fs.read_bytes("/stream") == data
    assert over_tcp(own.connect()).read_bytes("/stream") == data


def test_a_datanode_dies_between_sync_and_write(own: Cluster) -> None:
    fs = own.connect()
    expected = bytearray(content(3 * BLOCK_BYTES))
    file = fs.open_file(fs.metadata.create(fs.caller, "/random"), writable=True)
    file.pwrite(0, bytes(expected))
    file.fsync()
    own.datanodes[0].kill()
    rng = random.Random(3)
    for number in range(200):
        at, piece = rng.randrange(len(expected) - 4096), content(rng.randrange(1, 4096), number)
        file.pwrite(at, piece)
        expected[at : at + len(piece)] = piece
        if number % 50 == 0:
            file.fsync()
    assert file.pread(0, len(expected)) == expected
    file.close()
    assert own.connect().read_bytes("/random") == expected


def test_a_datanode_that_hangs_is_left_out(own: Cluster) -> None:
    data = content(6 * BLOCK_BYTES)
    fs = connect(own.url, timeout_seconds=6)
    victim = own.datanodes[2]
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        fs.write_bytes("/past-it", data)
        assert fs.read_bytes("/past-it") == data
        assert time.monotonic() - began < 60
        fs.close()
    finally:
        os.kill(victim.pid, signal.SIGCONT)


def replica_files(cluster: Cluster, number: int) -> list[Path]:
    """Data files of a datanode's replicas."""
    return [
        path
        for volume in cluster.datanodes[number].volumes
        for path in sorted(volume.rglob("blk_*"))
        if path.suffix == "" and path.is_file()
    ]


def test_a_corrupt_replica_is_passed_over_and_reported(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(datanodes=2, replication=2, format_options=OPTIONS)
    cluster.allow_in_logs("does not match its checksums")
    fs = cluster.connect()
    data = content(BLOCK_BYTES)
    fs.write_bytes("/corrupt", data)
    [damaged] = replica_files(cluster, 0)
    with damaged.open("r+b") as file:
        file.seek(5000)
        file.write(b"rot")
    port = cluster.datanodes[0].port

    def damaged_first(locations: tuple[Location, ...]) -> list[Location]:
        return sorted(locations, key=lambda location: location.data_port != port)

    for reader in (cluster.connect(), over_tcp(cluster.connect())):
        monkeypatch.setattr(reader.session.datanodes, "ordered", damaged_first)
        assert reader.read_bytes("/corrupt") == data

    def mended() -> bool:
        found = replica_files(cluster, 0)
        return bool(found) and found[0].read_bytes() == data

    wait_until(mended, "a good replica in place of the corrupt one", 90)


def test_content_that_nobody_has_is_an_error_in_bounded_time(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(datanodes=1, format_options=OPTIONS)
    cluster.allow_in_logs("does not match its checksums")
    cluster.fsck_at_end = False
    fs = cluster.connect()
    fs.write_bytes("/lost", content(BLOCK_BYTES))
    [damaged] = replica_files(cluster, 0)
    with damaged.open("r+b") as file:
        file.seek(5000)
        file.write(b"rot")
    began = time.monotonic()
    with pytest.raises((CorruptBlock, BlockNotFound)):
        over_tcp(fs).read_bytes("/lost")
    assert time.monotonic() - began < 30


def test_without_datanodes_writes_fail_and_recover(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(datanodes=1, format_options=OPTIONS, namenode_options=["--dead-after", "3"])
    fs = cluster.connect()
    data = content(2 * BLOCK_BYTES)
    fs.write_bytes("/kept", data)
    cluster.datanodes[0].kill()
    cluster.wait_for_datanodes(0)
    file = fs.open_file(fs.metadata.create(fs.caller, "/fails"), writable=True)
    with pytest.raises(NoDatanodes):
        file.pwrite(0, data)
    cluster.datanodes[0].start()
    cluster.wait_for_datanodes(1)
    file.fsync()
    file.close()
    assert fs.read_bytes("/fails") == data
    assert fs.read_bytes("/kept") == data


def test_a_reader_waits_for_a_datanode_that_restarts(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(datanodes=1, format_options=OPTIONS)
    fs = over_tcp(cluster.connect())
    data = content(3 * BLOCK_BYTES)
    fs.write_bytes("/file", data)
    with fs.open("/file", "rb", buffering=0) as stream:
        assert stream.read(1000) == data[:1000]
        cluster.datanodes[0].kill()
        cluster.datanodes[0].start()
        assert stream.read() == data[1000:]
