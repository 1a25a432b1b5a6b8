"""Files in blocks against a plain bytearray: real datanodes, small blocks, and datanodes that are killed."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.client import Filesystem, OpenFile
from oastfs.core.types import FileStatus
from tests.harness.cluster import HOST, Cluster, Datanode
from tests.harness.waiting import wait_until

BLOCK_BYTES = 4096
INLINE_BYTES = 1024
SPAN = 5 * BLOCK_BYTES


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three datanodes, two replicas, blocks so small that a few writes touch many."""
    options = ["--block-size", str(BLOCK_BYTES), "--inline-limit", str(INLINE_BYTES)]
    directory = tmp_path_factory.mktemp("cluster")
    with Cluster(directory, datanodes=3, replication=2, format_options=options) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=["direct", "namenodes"])
def filesystem(request: pytest.FixtureRequest, blocks: Cluster) -> Filesystem:
    fs: Filesystem = blocks.connect(blocks.metadata_url if request.param == "direct" else blocks.url)
    return fs


@pytest.fixture(scope="module")
def elsewhere(blocks: Cluster) -> Filesystem:
    """Another client, which shares nothing with the one that writes."""
    fs: Filesystem = blocks.connect()
    return fs


class Checked:
    """A file and the bytes that it should hold."""

    def __init__(self, filesystem: Filesystem, elsewhere: Filesystem, path: str) -> None:
        self.filesystem, self.elsewhere, self.path = filesystem, elsewhere, path
        status = filesystem.metadata.create(filesystem.caller, path, overwrite=True)
        self.file: OpenFile = filesystem.open_file(status, writable=True)
        self.file.reset(status)
        self.model = bytearray()

    def write(self, offset: int, data: bytes) -> None:
        self.file.pwrite(offset, data)
        if data and offset > len(self.model):
            self.model.extend(bytes(offset - len(self.model)))
        self.model[offset : offset + len(data)] = data

    def append(self, data: bytes) -> None:
        self.write(len(self.model), data)

    def read(self, offset: int, length: int) -> None:
        assert self.file.pread(offset, length) == self.model[offset : offset + length]

    def truncate(self, length: int) -> None:
        self.file.truncate(length)
        del self.model[length:]
        self.model.extend(bytes(length - len(self.model)))

    def flush(self) -> None:
        assert self.file.flush().length == len(self.model)

    def fsync(self) -> None:
        assert self.file.fsync().length == len(self.model)

    def reopen(self) -> None:
        self.file.close()
        self.file = self.filesystem.open_file(self.filesystem.stat(self.path), writable=True)

    def look(self) -> None:
        self.file.flush()
        assert self.elsewhere.read_bytes(self.path) == self.model

    def run(self, name: str, arguments: tuple[object, ...]) -> None:
        getattr(self, name)(*arguments)
        assert self.file.length == len(self.model)

    def finish(self) -> FileStatus:
        self.file.close()
        assert self.elsewhere.read_bytes(self.path) == self.model
        status = self.elsewhere.stat(self.path)
        assert status.length == len(self.model)
        return status


def content(size_and_seed: tuple[int, int]) -> bytes:
    size, seed = size_and_seed
    return random.Random(seed).randbytes(size)


offsets = st.integers(0, SPAN)
sizes = st.sampled_from([1, 511, 512, 513, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1]) | st.integers(
    1, SPAN
)
contents = st.tuples(sizes, st.integers(0, 255)).map(content)
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.tuples(offsets, contents)),
    st.tuples(st.just("append"), st.tuples(contents)),
    st.tuples(st.just("read"), st.tuples(offsets, offsets)),
    st.tuples(st.just("truncate"), st.tuples(offsets)),
    st.tuples(st.sampled_from(["flush", "fsync", "reopen", "look"]), st.just(())),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=60,
)
@given(st.lists(OPERATIONS, min_size=1, max_size=20))
def test_a_file_is_a_bytearray(
    filesystem: Filesystem,
    elsewhere: Filesystem,
    operations: list[tuple[str, tuple[object, ...]]],
) -> None:
    checked = Checked(filesystem, elsewhere, "/model")
    try:
        for name, arguments in operations:
            checked.run(name, arguments)
        checked.finish()
    finally:
        checked.file.close()


def random_operation(rng: random.Random) -> tuple[str, tuple[object, ...]]:
    """As OPERATIONS, from a seed."""
    name = rng.choice(["write"] * 5 + ["append", "read", "read", "truncate", "flush", "fsync", "look"])
    data = rng.randbytes(rng.choice([1, 512, 513, BLOCK_BYTES, rng.randrange(1, SPAN)]))
    arguments: dict[str, tuple[object, ...]] = {
        "write": (rng.randrange(SPAN), data),
        "append": (data,),
        "read": (rng.randrange(SPAN), rng.randrange(SPAN)),
        "truncate": (rng.randrange(SPAN),),
    }
    return name, arguments.get(name, ())


def accepts(datanode: Datanode) -> bool:
    with socket.create_connection((HOST, datanode.port), 1):
        return True


@pytest.mark.parametrize("seed", range(5))
def test_a_datanode_is_killed_in_the_middle(
    blocks: Cluster, filesystem: Filesystem, elsewhere: Filesystem, seed: int
) -> None:
    rng = random.Random(seed)
    victim = blocks.datanodes[0]
    checked = Checked(filesystem, elsewhere, f"/killed-{seed}")
    done: list[tuple[str, tuple[object, ...]]] = []
    try:
        for step in range(60):
            if step == 15:
                victim.kill()
            if step == 40:
                victim.start()
                wait_until(lambda: accepts(victim), f"the return of {victim.name}")
            done.append(random_operation(rng))
            checked.run(*done[-1])
        checked.finish()
    finally:
        if not victim.alive:
            victim.start()
        print("seed", seed, [(name, [a for a in rest if type(a) is int]) for name, rest in done])
        wait_until(lambda: accepts(victim), f"the return of {victim.name}")


def test_the_local_path_can_be_refused(filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes come over TCP, by Unix socket, and in whatever pieces they are asked for."""
    rng = random.Random(7)
    data = rng.randbytes(20 * BLOCK_BYTES + 777)
    filesystem.write_bytes("/paths", data)
    for local in (True, False):
        with filesystem.open("/paths", "rb", buffering=0) as stream:
            if not local:
                monkeypatch.setattr(filesystem.session.datanodes, "is_local", lambda location: False)
            for _ in range(50):
                offset, size = rng.randrange(len(data)), rng.randrange(1, 3 * BLOCK_BYTES)
                stream.seek(offset)
                assert stream.read(size) == data[offset : offset + size]
            stream.seek(0)
            found = b""
            while piece := stream.read(1000):
                found += piece
            assert found == data
