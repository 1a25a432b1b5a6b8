"""Instances, threads, pickles, forks and spawned workers; caches and options."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from tests.harness.cluster import Cluster


def read(fs: OastFileSystem, path: str) -> bytes:
    """What workers do."""
    return fs.cat_file(path)


def write(fs: OastFileSystem, path: str, data: bytes) -> None:
    fs.pipe(path, data)


def same_client(fs: OastFileSystem, client: Any) -> bool:
    return OastFileSystem(**fs.storage_options).client is client


def test_instances_are_cached_and_share_a_client(fs: OastFileSystem) -> None:
    again = OastFileSystem(*fs.storage_args, **fs.storage_options)
    assert again is fs and hash(again) == hash(fs)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(OastFileSystem, *fs.storage_args, **fs.storage_options).result()
    assert other.client is fs.client


def test_client_is_closed_with_its_last_user(direct_url: str) -> None:
    first = OastFileSystem(metadata=direct_url, timeout=7, skip_instance_cache=True)
    second = OastFileSystem(metadata=direct_url, timeout=7, skip_instance_cache=True)
    client = first.client
    assert second.client is client and first is not second
    first.close()
    assert second.ls("/") is not None and not client.session.closed
    second.close()
    assert client.session.closed
    assert first.ls("/") is not None and first.client is not client
    first.close()


def test_pickle_and_json(fs: OastFileSystem, fs_path: str) -> None:
    assert pickle.loads(pickle.dumps(fs)) is fs
    assert fsspec.AbstractFileSystem.from_json(fs.to_json()) is fs
    open_file = fsspec.open(fs.unstrip_protocol(f"{fs_path}/f"), "wb", **fs.storage_options)
    with pickle.loads(pickle.dumps(open_file)) as file:
        file.write(b"1")
    assert fs.cat(f"{fs_path}/f") == b"1"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers(fs: OastFileSystem, fs_path: str, method: str) -> None:
    fs.pipe(f"{fs_path}/shared", b"by the parent")
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as workers:
        outcomes = [workers.submit(read, fs, f"{fs_path}/shared") for _ in range(8)]
        assert {outcome.result(60) for outcome in outcomes} == {b"by the parent"}
        for number in range(8):
            workers.submit(write, fs, f"{fs_path}/{number}", b"%d" % number).result(60)
    assert fs.cat([f"{fs_path}/{number}" for number in range(8)]) == {
        f"{fs_path}/{number}": b"%d" % number for number in range(8)
    }


def test_fork_in_the_middle(fs: OastFileSystem, fs_path: str) -> None:
    """A child goes on with what the parent has open for reading, and both with the filesystem."""
    fs.pipe(f"{fs_path}/f", b"0123456789")
    with fs.open(f"{fs_path}/f") as file:
        context = multiprocessing.get_context("fork")
        queue = context.Queue()

        def child() -> None:
            queue.put((fs.cat(f"{fs_path}/f"), file.read()))
            fs.pipe(f"{fs_path}/g", b"of the child")

        process = context.Process(target=child)
        process.start()
        assert queue.get(timeout=60) == (b"0123456789", b"0123456789")
        process.join(60)
        assert process.exitcode == 0 and file.read() == b"0123456789"
    assert fs.cat(f"{fs_path}/g") == b"of the child"


FORKING = """
import os, sys, time
import fsspec
fsspec.filesystem("oastfs", metadata=sys.argv[1]).pipe_file("/by-the-parent", b"1")
for number in range(5):
    child = os.fork()
    if child == 0:
        fs = fsspec.filesystem("oastfs", metadata=sys.argv[1])
        fs.pipe_file(f"/by-child-{number}", fs.cat_file("/by-the-parent"))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
assert fsspec.filesystem("oastfs", metadata=sys.argv[1]).cat_file("/by-child-4") == b"1"
"""


def test_a_child_of_a_process_that_keeps_an_instance_in_the_cache_only(direct_url: str) -> None:
    """fsspec empties its caches in the child, before clients hear of the fork if they were imported later."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING, direct_url], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_many_threads(fs: OastFileSystem, fs_path: str) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> bytes:
        mine = OastFileSystem(**fs.storage_options)
        barrier.wait(60)
        for turn in range(20):
            mine.pipe(f"{fs_path}/{number}/{turn}", b"%d" % turn)
        return b"".join(mine.cat(f"{fs_path}/{number}/*").values())

    with ThreadPoolExecutor(8) as threads:
        contents = list(threads.map(work, range(8)))
    assert len(set(contents)) == 1 and len(fs.find(fs_path)) == 160


# --- caches -----------------------------------------------------------------------------------------


def test_nothing_is_cached_unless_asked_for(fs: OastFileSystem, fs_path: str) -> None:
    assert fs.ls(fs_path) == []
    fs.client.write_bytes(f"{fs_path}/another", b"")
    assert fs.ls(fs_path, detail=False) == [f"{fs_path}/another"]


def test_listings_cache(fs: OastFileSystem, fs_path: str) -> None:
    cached = OastFileSystem(**fs.storage_options, use_listings_cache=True)
    assert cached.ls(fs_path) == []
    fs.client.write_bytes(f"{fs_path}/another", b"")
    assert cached.ls(fs_path) == []
    assert cached.ls(fs_path, detail=False, refresh=True) == [f"{fs_path}/another"]
    fs.client.makedirs(f"{fs_path}/d/e")
    cached.invalidate_cache(fs_path)
    assert len(cached.ls(fs_path)) == 2 and cached.find(fs_path, withdirs=True)
    fs.client.rmtree(f"{fs_path}/d")
    cached.invalidate_cache()
    assert len(cached.ls(fs_path)) == 1
    # What it changes itself, it sees.
    cached.pipe(f"{fs_path}/own", b"")
    assert len(cached.ls(fs_path)) == 2
    cached.mv(f"{fs_path}/own", f"{fs_path}/moved")
    assert cached.ls(fs_path, detail=False) == [f"{fs_path}/another", f"{fs_path}/moved"]
    cached.rm(fs_path, recursive=True)
    with pytest.raises(FileNotFoundError):
        cached.ls(fs_path)


# --- options ----------------------------------------------------------------------------------------


def test_user(fs: OastFileSystem, fs_path: str) -> None:
    fs.chmod(fs_path, 0o777)
    nobody = OastFileSystem(**fs.storage_options, user="nobody")
    nobody.pipe(f"{fs_path}/f", b"1")
    fs.chmod(f"{fs_path}/f", 0o600)
    stranger = OastFileSystem(**fs.storage_options, user="somebody-unknown-here")
    assert nobody.cat(f"{fs_path}/f") == b"1" and fs.info(f"{fs_path}/f")["uid"] == 65534
    with pytest.raises(PermissionError):
        stranger.cat(f"{fs_path}/f")
    stranger.pipe(f"{fs_path}/g", b"2")
    assert fs.info(f"{fs_path}/g")["uid"] not in (0, 65534)


def test_user_in_the_url(cluster: Cluster) -> None:
    fs = fsspec.core.url_to_fs(cluster.url.replace("oastfs://", "oastfs://nobody@") + "/a")[0]
    assert fs.client.caller.user == "nobody"


def test_replication_and_block_size(fs: OastFileSystem, fs_path: str) -> None:
    special = OastFileSystem(**fs.storage_options, replication=3, block_size=1024 * 1024)
    with special.open(f"{fs_path}/f", "wb") as file:
        file.write(b"1")
    status = fs.client.stat(f"{fs_path}/f")
    assert (status.replication, status.block_size) == (3, 1024 * 1024)


def test_environment(direct_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASTFS_URL", direct_url)
    fs = OastFileSystem(skip_instance_cache=True)
    assert fs.fsid == OastFileSystem(metadata=direct_url).fsid
    assert fsspec.filesystem("oastfs", metadata=direct_url).exists("/")
    fs.close()


def test_several_namenodes(cluster: Cluster) -> None:
    """One that does not answer does not matter."""
    fs = OastFileSystem(host=f"127.0.0.1:1,{cluster.url.removeprefix('oastfs://')}")
    assert fs.exists("/") and fs.unstrip_protocol("/a").startswith("oastfs://127.0.0.1:1,")
