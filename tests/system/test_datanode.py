"""Datanode processes that are killed, filled up, disowned, and started on the wrong things."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from oastfs.core.errors import BlockNotFound, OastError
from oastfs.datanode.volume import Volume
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, Stage, Target, TransferConnection
from tests.harness.logs import tail, unexpected
from tests.harness.ports import free_port
from tests.harness.process import OASTFS, Server
from tests.harness.waiting import wait_until
from tests.unit.datanode.namenode import RecordingNamenode
from tests.unit.datanode.peer import Pipeline, read_block, write_block

HOST = "127.0.0.1"
OK = [pb.SUCCESS]


class Process(Server):
    """One datanode process on volumes below the test's directory."""

    def __init__(self, directory: Path, name: str, namenode: str, volumes: list[Path], *options: str) -> None:
        self.port = free_port()
        self.volumes = volumes
        arguments = [OASTFS, "datanode", *map(str, volumes), "--host", HOST, "--namenode", namenode]
        arguments += ["--port", str(self.port), "--http-port", str(free_port()), "--reserved", "0", *options]
        super().__init__(name, arguments, directory / f"{name}.log")

    @property
    def target(self) -> Target:
        return Target(HOST, self.port)

    def start(self) -> None:
        super().start()
        wait_until(self._answers, f"{self.name} on port {self.port}")

    def _answers(self) -> bool:
        self.check_alive()
        TransferConnection.open(HOST, self.port, 5).close()
        return True


@pytest.fixture
def namenode() -> Iterator[RecordingNamenode]:
    namenode = RecordingNamenode()
    namenode.start()
    yield namenode
    namenode.stop()


@pytest.fixture
def make(namenode: RecordingNamenode, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Datanode processes, started; stopped at the end, when their logs must be clean."""
    processes: list[Process] = []

    def start(name: str = "dn", volumes: list[Path] | None = None, *options: str) -> Process:
        process = Process(tmp_path, name, namenode.address, volumes or [tmp_path / name], *options)
        processes.append(process)
        process.start()
        return process

    yield start
    for process in processes:
        process.ensure_stopped()
        assert not unexpected(process.log, [r"failed|left out"]), tail(process.log)


def report(namenode: RecordingNamenode) -> dict[int, tuple[int, int]]:
    """What the last block report said: block id to (stamp, length)."""
    return {
        one.block_id: (one.generation_stamp, one.length)
        for message in namenode.reports[-1]
        for one in message.replicas
    }


class Appender(threading.Thread):
    """Writes block after block; knows for each how many bytes were acknowledged, and how it was closed."""

    PACKET_BYTES = 20_000

    def __init__(self, target: Target, first: int, seed: int) -> None:
        super().__init__()
        self.target = target
        self.next = first
        self.random = random.Random(seed)
        self.content: dict[int, bytes] = {}
        self.acknowledged: dict[int, int] = {}
        self.closed: set[int] = set()

    def run(self) -> None:
        try:
            while True:
                self.write_one(self.next << 10)
                self.next += 1
        except OastError:
            pass  # the process was killed

    def write_one(self, block_id: int) -> None:
        content = self.content[block_id] = self.random.randbytes(self.random.randrange(1, 400_000))
        self.acknowledged[block_id] = 0
        pipeline = Pipeline([self.target], BlockId(block_id, 1))
        try:
            for at in range(0, len(content), self.PACKET_BYTES):
                piece = content[at : at + self.PACKET_BYTES]
                assert pipeline.put(at, piece, sync=self.random.random() < 0.1) == OK
                self.acknowledged[block_id] = at + len(piece)
            assert pipeline.finish(len(content)) == OK
            self.closed.add(block_id)
        finally:
            pipeline.close()


def restart(process: Process, namenode: RecordingNamenode) -> None:
    """Start it again, and wait for what it reports then."""
    reports = len(namenode.reports)
    process.start()
    wait_until(lambda: len(namenode.reports) > reports, "the report after the restart")


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_kills_in_the_middle_of_writes(
    make: Callable[..., Process], namenode: RecordingNamenode, seed: int
) -> None:
    print(f"seed {seed}")
    dice = random.Random(seed)
    process = make()
    first = 1
    everything: list[Appender] = []
    for _ in range(4):
        writers = [Appender(process.target, first + 10_000 * n, dice.randrange(1 << 30)) for n in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(dice.uniform(0.1, 0.5))
        process.kill()
        for writer in writers:
            writer.join()
        everything += writers
        first += 1000
        restart(process, namenode)
        found = report(namenode)
        for writer in everything:
            for block_id, length in writer.acknowledged.items():
                assert found.get(block_id, (0, 0))[1] >= length
                if length:
                    read = read_block(process.target, BlockId(block_id, 1), 0, length)
                    assert read == writer.content[block_id][:length]
                if block_id in writer.closed:
                    assert found[block_id] == (1, len(writer.content[block_id]))
    assert sum(len(writer.closed) for writer in everything) > 0
    assert_scrubbed_clean(process, namenode)


def assert_scrubbed_clean(process: Process, namenode: RecordingNamenode) -> None:
    """Every final replica matches its checksums; a flipped bit shows that the pass was made."""
    write_block([process.target], BlockId(999_999 << 10, 1), b"to be damaged" * 100)
    path = next(process.volumes[0].rglob(f"blk_{999_999 << 10}"))
    content = bytearray(path.read_bytes())
    content[77] ^= 4
    path.write_bytes(content)
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(
        lambda: ("corrupt", 999_999 << 10, 1, 1300) in namenode.changes,
        "the scrubber to come to the last block",
    )
    assert [one for one in namenode.changes if one[0] in ("corrupt", "missing")] == [
        ("corrupt", 999_999 << 10, 1, 1300)
    ]
    process.log.write_text(process.log.read_text().replace('"level": "error"', '"level": "expected"'))


class Updater(threading.Thread):
    """Overwrites ranges of one block, a few in flight; each byte has a set of values it may have."""

    def __init__(self, target: Target, block: BlockId, model: bytearray, stamp: int, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.model = model
        self.in_flight: list[tuple[int, bytes]] = []
        stage = Stage.PIPELINE_SETUP_APPEND
        self.pipeline = Pipeline([target], block, stage, new_stamp=stamp)
        self.acknowledged = 0

    def run(self) -> None:
        try:
            while True:
                while len(self.in_flight) < 4:
                    self.send_one()
                assert list(self.pipeline.ack().reply) == OK
                offset, data = self.in_flight.pop(0)
                self.model[offset : offset + len(data)] = data
                self.acknowledged += 1
        except OastError:
            pass  # the process was killed
        finally:
            self.pipeline.close()

    def send_one(self) -> None:
        size = self.random.choice([1, 100, 512, 4096, 65_536])
        offset = self.random.randrange(0, len(self.model) - size)
        data = self.random.randbytes(size)
        self.in_flight.append((offset, data))
        self.pipeline.send(offset, data, sync=self.random.random() < 0.2)

    def check(self, found: bytes) -> None:
        """Bytes are acknowledged ones, except where an update was in flight: old or new, byte by byte."""
        assert len(found) == len(self.model)
        allowed = [self.model]
        for offset, data in self.in_flight:
            newer = bytearray(allowed[-1])
            newer[offset : offset + len(data)] = data
            allowed.append(newer)
        if found != self.model:
            wrong = [at for at, byte in enumerate(found) if all(byte != one[at] for one in allowed)]
            assert not wrong, f"bytes at {wrong[:5]} are neither old nor new"


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_in_the_middle_of_updates_in_place_tear_nothing(
    make: Callable[..., Process], namenode: RecordingNamenode, seed: int
) -> None:
    print(f"seed {seed}")
    dice = random.Random(seed)
    process = make()
    model = bytearray(dice.randbytes(3_000_123))
    write_block([process.target], BlockId(1024, 1), bytes(model))
    updates = 0
    for stamp in range(2, 6):
        block = BlockId(1024, stamp - 1, len(model))
        updater = Updater(process.target, block, model, stamp, dice.randrange(1 << 30))
        updater.start()
        time.sleep(dice.uniform(0.05, 0.4))
        process.kill()
        updater.join()
        updates += updater.acknowledged
        process.start()
        found = read_block(process.target, BlockId(1024, stamp), 0, len(model))
        updater.check(found)
        model = bytearray(found)
    assert updates > 50
    assert not [one for one in namenode.changes if one[0] == "corrupt"]


def test_a_pipeline_goes_on_without_a_killed_datanode_and_its_replica_is_stale(
    make: Callable[..., Process],
) -> None:
    trio = [make(f"dn-{number}") for number in range(3)]
    content = os.urandom(500_000)
    pipeline = Pipeline([one.target for one in trio], BlockId(1024, 1))
    for at in range(0, 200_000, 50_000):
        assert pipeline.put(at, content[at : at + 50_000]) == OK * 3
    trio[1].kill()
    pipeline.send(200_000, content[200_000:250_000])
    replies = list(pipeline.ack().reply)
    assert replies[:2] == [pb.SUCCESS, pb.ERROR]
    pipeline.close()
    rest = [trio[0].target, trio[2].target]
    block = BlockId(1024, 1, 200_000)
    pipeline = Pipeline(rest, block, Stage.PIPELINE_SETUP_STREAMING_RECOVERY, new_stamp=2)
    assert pipeline.put(200_000, content[200_000:]) == OK * 2
    assert pipeline.finish() == OK * 2
    trio[1].start()
    for target in rest:
        assert read_block(target, BlockId(1024, 2), 0, len(content)) == content
    with pytest.raises(BlockNotFound, match="older than 2"):
        read_block(trio[1].target, BlockId(1024, 2), 0, 1)


def test_sigterm_ends_a_datanode_in_order_even_with_a_writer(make: Callable[..., Process]) -> None:
    process = make()
    pipeline = Pipeline([process.target], BlockId(1024, 1))
    assert pipeline.put(0, b"kept") == OK
    began = time.monotonic()
    assert process.terminate() == 0
    assert time.monotonic() - began < 15
    pipeline.close()
    process.start()
    assert read_block(process.target, BlockId(1024, 1), 0, 4) == b"kept"


# --- starts that must fail --------------------------------------------------------------------------


def start_in_vain(*arguments: str | Path) -> str:
    """Run a datanode that cannot start; its only line of complaint."""
    command = [OASTFS, "datanode", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1 and lines[0].startswith("oastfs: "), done.stderr
    return lines[0]


def test_a_datanode_of_another_filesystem_ends_with_one_line_and_changes_nothing(
    namenode: RecordingNamenode, tmp_path: Path
) -> None:
    volume = Volume.open(tmp_path / "v", "datanode", 0)
    volume.adopt("another-filesystem")
    volume.close()
    before = {path: path.read_bytes() for path in tmp_path.rglob("VERSION")}
    ports = ["--port", str(free_port()), "--http-port", str(free_port())]
    line = start_in_vain(tmp_path / "v", "--namenode", namenode.address, *ports)
    assert "another-filesystem" in line
    assert {path: path.read_bytes() for path in tmp_path.rglob("VERSION")} == before


def test_a_port_or_volume_in_use_is_one_line(make: Callable[..., Process], tmp_path: Path) -> None:
    process = make()
    ports = ["--port", str(process.port), "--http-port", str(free_port())]
    line = start_in_vain(tmp_path / "other", "--namenode", "127.0.0.1:1", *ports)
    assert str(process.port) in line
    ports[1] = str(free_port())
    line = start_in_vain(process.volumes[0], "--namenode", "127.0.0.1:1", *ports)
    assert f"in use by another datanode (process {process.pid})" in line
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    ports[1] = str(free_port())
    line = start_in_vain(tmp_path / "home", "--namenode", "127.0.0.1:1", *ports)
    assert "not empty" in line


# --- disks ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 24 MiB of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", str(path)], check=False, capture_output=True)
        yield path


def test_a_full_disk_refuses_writes_and_keeps_what_it_has(
    make: Callable[..., Process], small_disk: Path
) -> None:
    process = make("dn", [small_disk / "v"])
    written = 0
    refused: list[object] = []
    while not refused and written < 30:
        try:
            write_block([process.target], BlockId(written << 10, 1), bytes((written,)) * (3 << 20))
            written += 1
        except (OastError, AssertionError) as error:
            refused.append(error)
    assert refused and 4 <= written < 8
    for number in range(written):
        content = bytes((number,)) * (3 << 20)
        assert read_block(process.target, BlockId(number << 10, 1), 0, 3 << 20) == content
    process.terminate()
    process.start()
    for number in range(written):
        assert read_block(process.target, BlockId(number << 10, 1), 0, 5) == bytes((number,)) * 5


def test_a_disk_that_goes_away_fails_and_the_other_goes_on(
    make: Callable[..., Process], namenode: RecordingNamenode, small_disk: Path, tmp_path: Path
) -> None:
    process = make("dn", [small_disk / "v", tmp_path / "good"])
    wait_until(lambda: namenode.heartbeats, "the first heartbeat")
    bad, good = (one.storage_uuid for one in namenode.heartbeats[-1].storages)
    write_block([Target(HOST, process.port, bad)], BlockId(1024, 1), b"on the bad disk")
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    with pytest.raises(OastError):
        write_block([Target(HOST, process.port, bad)], BlockId(2048, 1), b"x")

    def reported() -> bool:
        return {one.storage_uuid: one.failed for one in namenode.heartbeats[-1].storages} == {
            bad: True,
            good: False,
        }

    wait_until(reported, "the failed volume to be reported")
    write_block([process.target], BlockId(3072, 1), b"elsewhere")
    assert read_block(process.target, BlockId(3072, 1), 0, 9) == b"elsewhere"
