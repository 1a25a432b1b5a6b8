"""HDFS's clients write and read large files while datanodes are killed: no wrong byte, none lost after hsync.

Writers take what remains of a pipeline (best-effort): a filesystem of three datanodes has no fourth to
replace one. Each kill is followed by a restart; the replication job makes up the rest.
"""

from __future__ import annotations

import filecmp
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import HOST, Cluster, Datanode, Namenode
from tests.harness.disturbance import Disturbance, start_again
from tests.harness.java import Jvm, client_jars
from tests.harness.logs import tail
from tests.harness.waiting import wait_until

MIB = 1024 * 1024
BLOCK_BYTES = 16 * MIB
STEP_BYTES = 4 * MIB
CLIENT_SETTINGS = {
    "dfs.client.block.write.replace-datanode-on-failure.best-effort": "true",
    # What failed a writer may be written to again: it has been started again.
    "dfs.client.write.exclude.nodes.cache.expiry.interval.millis": "1000",
}
SETTLE_SECONDS = 90.0

needs_java = pytest.mark.skipif(not client_jars(), reason="needs Java and Hadoop's client jars")


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("OASTFS_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"OASTFS_SEED={seed}")
    return seed


@pytest.fixture
def jvm(tmp_path: Path) -> Iterator[Jvm]:
    with Jvm("clients", client_jars(), tmp_path) as jvm:
        jvm.login("root")
        yield jvm
        print(tail(jvm.log, 100))


def start(make_cluster: Callable[..., Cluster], replication: int, namenodes: int = 1) -> Cluster:
    cluster = make_cluster(
        namenodes=namenodes,
        datanodes=3,
        replication=replication,
        format_options=["--block-size", str(BLOCK_BYTES)],
        namenode_options=["--dead-after", "5"],
    )
    cluster.allow_in_logs(".*")  # datanodes that vanish are reported
    return cluster


def check_replicas(cluster: Cluster) -> None:
    """The replicas of every block are the same."""
    cluster.wait_for_datanodes(3)
    cluster.fsck("--deep")


class Source:
    """A local file of random bytes: what is written."""

    def __init__(self, path: Path, seed: int, length: int) -> None:
        self.path = path
        self.length = length
        self._seed = seed
        with path.open("wb") as file:
            for at in range(0, length, MIB):
                file.write(self.piece(at))

    def piece(self, at: int) -> bytes:
        """The MiB at ``at``."""
        return random.Random(f"{self._seed}/{at}").randbytes(MIB)


def _address(cluster: Cluster) -> dict[str, str]:
    """Settings that lead a client to the namenodes, to all of them if there are several."""
    if len(cluster.namenodes) == 1:
        return {"fs.defaultFS": cluster.hdfs_url}
    names = [f"nn{number}" for number in range(len(cluster.namenodes))]
    addresses = {
        f"dfs.namenode.rpc-address.all.{name}": f"{HOST}:{namenode.port}"
        for name, namenode in zip(names, cluster.namenodes, strict=True)
    }
    provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    return {
        "fs.defaultFS": "hdfs://all",
        "dfs.nameservices": "all",
        "dfs.ha.namenodes.all": ",".join(names),
        "dfs.client.failover.proxy.provider.all": provider,
        **addresses,
    }


class JavaFiles:
    """A DistributedFileSystem in a JVM, with copies from and to local files."""

    def __init__(self, jvm: Jvm, cluster: Cluster, replication: int) -> None:
        self._jvm = jvm
        settings = {
            **_address(cluster),
            "dfs.blocksize": str(BLOCK_BYTES),
            "dfs.replication": str(replication),
            **CLIENT_SETTINGS,
        }
        self._fs = self.path("/").getFileSystem(jvm.configuration(settings))

    def path(self, text: str) -> Any:
        return self._jvm.java.org.apache.hadoop.fs.Path(text)

    def rename(self, old: str, new: str) -> bool:
        return bool(self._fs.rename(self.path(old), self.path(new)))

    def create(self, path: str) -> Any:
        return self._fs.create(self.path(path))

    def copy(self, local: Path, at: int, count: int, stream: Any) -> None:
        """That many bytes of a local file to a stream."""
        file = self._jvm.java.java.io.FileInputStream(str(local))
        channel = self._jvm.java.java.nio.channels.Channels.newChannel(stream)
        assert file.getChannel().transferTo(at, count, channel) == count
        file.close()

    def get(self, path: str, local: Path, length: int, between: Callable[[], None]) -> None:
        """Read a file, step by step, into a local one."""
        stream, file = self._fs.open(self.path(path)), self._jvm.java.java.io.FileOutputStream(str(local))
        channel = self._jvm.java.java.nio.channels.Channels.newChannel(stream)
        for at in range(0, length, STEP_BYTES):
            count = min(STEP_BYTES, length - at)
            assert file.getChannel().transferFrom(channel, at, count) == count
            between()
        file.close()
        stream.close()


def write_and_read_by_java(
    cluster: Cluster, files: JavaFiles, seed: int, directory: Path, length: int
) -> None:
    pause_seconds = 8.0 * STEP_BYTES / length
    source, copied = Source(directory / "source", seed, length), directory / "copied"
    with Disturbance(cluster.datanodes, seed) as writing:
        stream = files.create("/file")
        for at in range(0, length, STEP_BYTES):
            files.copy(source.path, at, STEP_BYTES, stream)
            stream.hflush()
            time.sleep(pause_seconds)
        stream.close()
    with Disturbance(cluster.datanodes, seed + 1) as reading:
        files.get("/file", copied, length, lambda: time.sleep(pause_seconds))
    print(f"killed while writing: {writing.kills}; while reading: {reading.kills}")
    assert writing.kills and reading.kills
    assert filecmp.cmp(source.path, copied, shallow=False)
    check_replicas(cluster)
    copied.unlink()
    files.get("/file", copied, length, lambda: None)
    assert filecmp.cmp(source.path, copied, shallow=False)


@needs_java
@pytest.mark.parametrize("replication", [3, 2])
def test_java_while_datanodes_die(
    make_cluster: Callable[..., Cluster], jvm: Jvm, seed: int, tmp_path: Path, replication: int
) -> None:
    cluster = start(make_cluster, replication)
    files = JavaFiles(jvm, cluster, replication)
    write_and_read_by_java(cluster, files, seed, tmp_path, 256 * MIB)


@needs_java
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("replication", [3, 2])
def test_java_while_datanodes_die_for_long(
    make_cluster: Callable[..., Cluster], jvm: Jvm, seed: int, tmp_path: Path, replication: int
) -> None:
    cluster = start(make_cluster, replication)
    files = JavaFiles(jvm, cluster, replication)
    write_and_read_by_java(cluster, files, seed, tmp_path, 1024 * MIB)


@needs_java
@pytest.mark.parametrize(("replication", "with_servers"), [(3, False), (2, True)])
def test_what_was_synced_outlives_its_writer(
    make_cluster: Callable[..., Cluster], tmp_path: Path, seed: int, replication: int, with_servers: bool
) -> None:
    """A JVM writes and syncs while datanodes die; then it is killed while it writes, or everything is."""
    cluster = start(make_cluster, replication)
    source = Source(tmp_path / "source", seed, 40 * MIB)
    with Jvm("writer", client_jars(), tmp_path) as jvm:
        jvm.login("root")
        files = JavaFiles(jvm, cluster, replication)
        stream, synced = files.create("/file"), 0
        with Disturbance(cluster.datanodes, seed, interval_seconds=1.0) as disturbance:
            while synced < 24 * MIB or not disturbance.kills:
                if synced < 36 * MIB:
                    files.copy(source.path, synced, MIB, stream)
                    stream.hsync()
                    synced += MIB
                time.sleep(0.05)
                with cluster.connect(keep=False) as fs:
                    assert fs.stat("/file").length <= synced
        files.copy(source.path, synced, MIB + 1000, stream)
        servers: list[Datanode | Namenode] = []
        if with_servers:
            servers = [*cluster.datanodes, *cluster.namenodes]
        for server in servers:
            server.kill()
        jvm.kill()
        for server in servers:
            start_again(server)
    cluster.wait_for_namenodes()
    cluster.wait_for_datanodes(3)
    with cluster.connect(keep=False) as fs:
        wait_until(
            lambda: fs.metadata.recover_lease(fs.caller, "/file"),
            "the file to be closed",
            SETTLE_SECONDS,
            0.2,
        )
        found = fs.read_bytes("/file")
    assert len(found) >= synced, f"{synced} bytes were synced, {len(found)} are left"
    assert found == source.path.read_bytes()[: len(found)]
    check_replicas(cluster)


def read_patiently(client: Any, at: int) -> bytes:
    """A MiB of the file. hdfs-native asks each datanode that it was told of once, and gives up.

    The only replica that a block has for now may be on a datanode that is about to be started again.
    """

    def attempt() -> bytes:
        with client.read("/file") as file:
            return bytes(file.read_range(at, MIB))

    return wait_until(attempt, f"the bytes at {at}", SETTLE_SECONDS, 0.5, (OSError, RuntimeError))


def write_and_read_by_native(cluster: Cluster, seed: int, directory: Path, blocks: int) -> None:
    """A datanode dies in the middle of each block and is back before the next one is begun.

    hdfs-native mends a broken pipeline, but gives up if it cannot set one up, as when it is given a datanode
    that nobody has missed yet.
    """
    hdfs_native = pytest.importorskip("hdfs_native")
    source, chance = Source(directory / "source", seed, blocks * BLOCK_BYTES), random.Random(seed)
    client = hdfs_native.Client(cluster.hdfs_url, CLIENT_SETTINGS)
    with client.create("/file", hdfs_native.WriteOptions(overwrite=True)) as file:
        for at in range(0, source.length, MIB):
            file.write(source.piece(at))
            if at % BLOCK_BYTES == BLOCK_BYTES // 2:
                victim = chance.choice(cluster.datanodes)
                victim.kill()
            elif at % BLOCK_BYTES == BLOCK_BYTES - 4 * MIB:
                start_again(victim)
    with Disturbance(cluster.datanodes, seed) as disturbance:
        for at in range(0, source.length, MIB):
            assert read_patiently(client, at) == source.piece(at), f"wrong bytes at {at}"
            time.sleep(0.05)
    assert disturbance.kills
    check_replicas(cluster)
    with client.read("/file") as file:
        for at in range(0, source.length, MIB):
            assert file.read(MIB) == source.piece(at), f"wrong bytes at {at}"


@pytest.mark.parametrize("replication", [3, 2])
def test_hdfs_native_while_datanodes_die(
    make_cluster: Callable[..., Cluster], seed: int, tmp_path: Path, replication: int
) -> None:
    write_and_read_by_native(start(make_cluster, replication), seed, tmp_path, 6)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("replication", [3, 2])
def test_hdfs_native_while_datanodes_die_for_long(
    make_cluster: Callable[..., Cluster], seed: int, tmp_path: Path, replication: int
) -> None:
    write_and_read_by_native(start(make_cluster, replication), seed, tmp_path, 64)


@needs_java
def test_java_while_namenodes_die(
    make_cluster: Callable[..., Cluster], jvm: Jvm, seed: int, tmp_path: Path
) -> None:
    """Two namenodes, one or the other of them dead now and then: each file is written and renamed once."""
    cluster = start(make_cluster, 2, namenodes=2)
    source = Source(tmp_path / "source", seed, 24 * MIB)
    files = JavaFiles(jvm, cluster, 2)
    done = 0
    with Disturbance(cluster.namenodes, seed) as disturbance:
        while done < 20 or len(disturbance.kills) < 3:
            stream = files.create(f"/{done}.part")
            files.copy(source.path, done % 8 * MIB, 17 * MIB, stream)
            stream.close()
            assert files.rename(f"/{done}.part", f"/{done}")
            done += 1
    cluster.wait_for_namenodes()
    content = source.path.read_bytes()
    with cluster.connect(keep=False) as fs:
        assert {entry.name for entry in fs.listdir("/")} == {str(number) for number in range(done)}
        for number in range(done):
            begin = number % 8 * MIB
            assert fs.read_bytes(f"/{number}") == content[begin : begin + 17 * MIB]
    check_replicas(cluster)
