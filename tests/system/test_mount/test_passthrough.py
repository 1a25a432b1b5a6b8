"""Files that the kernel reads by itself: those of one block, on a mount that is only read."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import Cluster, Mount, run_oastfs
from tests.harness.waiting import wait_until

MIB = 1 << 20
BLOCK_BYTES = 4 * MIB
SILENT_SECONDS = 30
OPTIONS = ("--read-only", "--passthrough", "--cache-seconds", "0")
MakeCluster = Callable[..., Cluster]


class Place:
    """A filesystem, its mount with passthrough, and a client to change it with."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self.cluster = cluster
        self.path = cluster.mount(url, name="read", options=OPTIONS)
        self.fs: Any = cluster.connect()

    @property
    def mount(self) -> Mount:
        return self.cluster.mounts[0]

    def write(self, name: str, content: bytes) -> Path:
        with self.fs.open(f"/{name}", "wb") as file:
            file.write(content)
        return self.path / name

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The mount's process is stopped. Who needs it waits, and no signal ends that: so not for ever."""
        go_on = f"sleep {SILENT_SECONDS}; kill -CONT {self.mount.pid}"
        os.kill(self.mount.pid, signal.SIGSTOP)
        with subprocess.Popen(["sh", "-c", go_on], start_new_session=True) as waking:
            try:
                yield
                assert waking.poll() is None, "the mount was needed"
            finally:
                if waking.poll() is None:
                    os.killpg(waking.pid, signal.SIGKILL)
                os.kill(self.mount.pid, signal.SIGCONT)


@pytest.fixture(params=["direct", "namenode"])
def place(request: pytest.FixtureRequest, make_cluster: MakeCluster) -> Place:
    cluster = make_cluster(format_options=["--block-size", str(BLOCK_BYTES)])
    place = Place(cluster, cluster.url if request.param == "namenode" else cluster.metadata_url)
    if "passes nothing through" in place.mount.log.read_text():
        pytest.skip("this kernel passes nothing through: that needs Linux 6.9 or later")
    return place


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_file_of_one_block_is_read_without_the_mount(place: Place) -> None:
    content = os.urandom(3 * MIB + 5)
    with (
        opened(place.write("f", content)) as descriptor,
        mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped,
        place.silent(),
    ):
        assert os.pread(descriptor, 4 * MIB, 0) == content
        assert os.pread(descriptor, 100, 2 * MIB) == content[2 * MIB : 2 * MIB + 100]
        assert os.pread(descriptor, 100, len(content)) == b""
        assert mapped[:] == content
    assert (place.path / "f").read_bytes() == content


@pytest.mark.parametrize("size", [0, 1, 60_000, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_others_are_read_as_ever(place: Place, size: int) -> None:
    content = os.urandom(size)
    path = place.write("f", content)
    assert path.read_bytes() == content
    with opened(path) as descriptor, opened(path) as another:
        assert os.pread(another, size + 1, 0) == os.pread(descriptor, size + 1, 0) == content


def test_a_file_with_a_hole_is_read_as_ever(place: Place) -> None:
    with place.fs.open("/f", "wb") as file:
        file.write(b"x" * MIB)
        file.truncate(2 * MIB)
    assert (place.path / "f").read_bytes() == b"x" * MIB + bytes(MIB)


def test_many_who_open_and_close_at_once(place: Place) -> None:
    contents = [os.urandom(MIB + number) for number in range(3)]
    paths = [place.write(f"f{number}", content) for number, content in enumerate(contents)]

    def read(number: int) -> None:
        for turn in range(40):
            at = (number + turn) % len(paths)
            with opened(paths[at]) as descriptor:
                assert os.pread(descriptor, 2 * MIB, 0) == contents[at]

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(read, number) for number in range(8)]:
            done.result(120)


def test_what_replaces_a_file_is_read_by_who_opens_it_then(place: Place) -> None:
    first, second = os.urandom(MIB), os.urandom(2 * MIB)
    path = place.write("f", first)
    place.write("new", second)
    with opened(path) as before:
        place.fs.rename("/new", "/f")
        with opened(path) as after:
            assert os.pread(before, 2 * MIB, 0) == first, "it was removed while open"
            assert os.pread(after, 2 * MIB, 0) == second


def test_what_is_appended_in_place_is_read_by_all(place: Place) -> None:
    first, more = os.urandom(MIB), os.urandom(1000)
    path = place.write("f", first)
    with opened(path) as before:
        assert os.pread(before, 2 * MIB, 0) == first
        with place.fs.open("/f", "ab") as file:
            file.write(more)
        with opened(path) as after:
            assert os.pread(after, 2 * MIB, 0) == first + more
            assert os.pread(before, 2 * MIB, 0) == first + more


def test_nobody_reads_what_is_out_of_date(place: Place) -> None:
    """What was rewritten elsewhere and is not in the file that others have open: they have to go first."""
    first, second = os.urandom(MIB), os.urandom(3 * BLOCK_BYTES)
    path = place.write("f", first)
    with opened(path) as before:
        assert os.pread(before, 2 * MIB, 0) == first
        with place.fs.open("/f", "r+b") as file:
            file.truncate(0)
            file.write(second)
        with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
            path.read_bytes()
    wait_until(lambda: path.read_bytes() == second, "the new content, once nobody has the old one", 20)


def test_what_was_opened_outlives_its_datanode(place: Place) -> None:
    content = os.urandom(MIB)
    path = place.write("f", content)
    with opened(path) as before:
        place.cluster.datanodes[0].kill()
        assert os.pread(before, 2 * MIB, 0) == content
        with opened(path) as after:
            assert os.pread(after, 2 * MIB, 0) == content
    place.cluster.datanodes[0].start()
    place.cluster.wait_for_datanodes(1)


def test_a_mount_that_is_written_to_passes_nothing_through() -> None:
    done = run_oastfs(
        "mount", "--passthrough", "lmdb:///nowhere", "/nowhere-either", "--foreground", check=False
    )
    assert done.returncode == 1
    assert "passthrough is for read-only mounts" in done.stderr
    options = ("--read-only", "--passthrough", "--binding", "mfusepy")
    done = run_oastfs("mount", *options, "lmdb:///nowhere", "/nowhere-either", "--foreground", check=False)
    assert done.returncode == 1
    assert "passthrough needs the binding kernel" in done.stderr
