"""What two mounts of one filesystem see of each other, and how a mount begins and ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.process import OASTFS
from tests.harness.waiting import wait_until
from tests.system.test_mount.conftest import BINDINGS, Served

ATTRIBUTE_SECONDS = 1.0


@pytest.fixture(scope="session")
def second(served: Served) -> Iterator[Path]:
    """A second mount of the same filesystem, through the same binding."""
    yield served.mount_again("mnt2")


@pytest.fixture
def pair(served: Served, second: Path, directory: Path) -> tuple[Path, Path]:
    """The test's directory as each of two mounts shows it."""
    return directory, second / directory.name


@pytest.mark.parametrize("size", [5_000, 300_000])
def test_close_to_open(pair: tuple[Path, Path], size: int) -> None:
    """Whoever opens a file after another closed it sees what that one wrote, at once."""
    ours, theirs = pair[0] / "file", pair[1] / "file"
    for number in range(12):
        writer, reader = (ours, theirs) if number % 2 else (theirs, ours)
        content = b"%d" % number * (size + number * 1_000)
        writer.write_bytes(content)
        assert reader.read_bytes() == content
        with writer.open("r+b") as file:  # of the same length
            file.seek(size // 2)
            file.write(b"IN PLACE")
        assert reader.read_bytes()[size // 2 : size // 2 + 8] == b"IN PLACE"


def test_small_file_read_again_and_again_while_another_mount_rewrites_it(pair: tuple[Path, Path]) -> None:
    for number in range(50):
        (pair[0] / "counter").write_text(str(number))
        assert (pair[1] / "counter").read_text() == str(number)


def test_writers_of_different_ranges_keep_each_others_bytes(pair: tuple[Path, Path]) -> None:
    (pair[0] / "file").write_bytes(bytes(1_000))
    with (pair[0] / "file").open("r+b") as first, (pair[1] / "file").open("r+b") as second:
        first.write(b"first")
        second.seek(500)
        second.write(b"second")
    expected = b"first" + bytes(495) + b"second" + bytes(494)
    for side in pair:
        assert (side / "file").read_bytes() == expected


def test_names_show_within_the_cache_time(pair: tuple[Path, Path]) -> None:
    ours, theirs = pair
    assert os.listdir(theirs) == []
    (ours / "new").write_bytes(b"x")
    assert os.listdir(theirs) == ["new"]
    assert (theirs / "new").read_bytes() == b"x"
    os.rename(ours / "new", ours / "moved")
    wait_until(lambda: not (theirs / "new").exists(), "the old name to go", 3 * ATTRIBUTE_SECONDS)
    assert (theirs / "moved").read_bytes() == b"x"
    (ours / "moved").unlink()
    wait_until(lambda: not (theirs / "moved").exists(), "the file to go", 3 * ATTRIBUTE_SECONDS)
    assert os.listdir(theirs) == []


def test_opening_a_name_that_another_mount_replaced(pair: tuple[Path, Path]) -> None:
    ours, theirs = pair

    def shows(text: str) -> bool:
        return (theirs / "file").read_text() == text

    for number in range(10):
        (ours / "fresh").write_text(f"version {number}")
        os.rename(ours / "fresh", ours / "file")
        wait_until(
            partial(shows, f"version {number}"),
            "the file that replaced the other",
            3 * ATTRIBUTE_SECONDS,
        )


def test_attributes_show_within_the_cache_time(pair: tuple[Path, Path]) -> None:
    ours, theirs = pair[0] / "file", pair[1] / "file"
    ours.write_bytes(b"x")
    assert theirs.stat().st_mode & 0o777 == 0o644
    ours.chmod(0o600)
    wait_until(lambda: theirs.stat().st_mode & 0o777 == 0o600, "the new mode", 3 * ATTRIBUTE_SECONDS)


def test_only_one_of_many_creates_exclusively(pair: tuple[Path, Path]) -> None:
    for number in range(20):
        made = 0
        for side in pair:
            try:
                os.close(os.open(side / f"lock-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                made += 1
            except FileExistsError:
                pass
        assert made == 1


# --- beginning and ending -------------------------------------------------------------------------


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_send_what_was_written_and_unmount(
    make_cluster: Callable[..., Cluster], binding: str, number: signal.Signals
) -> None:
    cluster = make_cluster()
    path = cluster.mount(options=["--binding", binding])
    (path / "file").write_bytes(b"content")
    mount = cluster.mounts[0]
    os.kill(mount.pid, number)
    assert mount.wait() == 0
    assert not path.is_mount()
    assert cluster.connect().read_bytes("/file") == b"content"


def test_ending_a_mount_that_is_in_use(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    path = cluster.mount()
    mount = cluster.mounts[0]
    descriptor = os.open(path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"written and not closed")
    os.kill(mount.pid, signal.SIGTERM)
    assert mount.wait() == 0
    for call in (lambda: os.write(descriptor, b"too late"), lambda: os.close(descriptor)):
        with pytest.raises(OSError, check=lambda error: error.errno in (errno.ENOTCONN, errno.ECONNABORTED)):
            call()
    assert not path.is_mount()
    assert cluster.connect().read_bytes("/file") == b"written and not closed"


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_mount_point_left_by_a_crash_is_taken_over(
    make_cluster: Callable[..., Cluster], binding: str
) -> None:
    cluster = make_cluster()
    path = cluster.mount(options=["--binding", binding])
    mount = cluster.mounts[0]
    for number in range(3):
        (path / f"file-{number}").write_bytes(b"acknowledged")
        mount.kill()
        with pytest.raises(OSError, check=lambda error: error.errno == errno.ENOTCONN):
            path.stat()
        mount.start()
        assert sorted(os.listdir(path)) == [f"file-{n}" for n in range(number + 1)]
        assert (path / f"file-{number}").read_bytes() == b"acknowledged"


def test_what_a_crash_left_open_and_unlinked_is_no_damage(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    path = cluster.mount()
    descriptor = os.open(path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"x" * 100_000)
    (path / "file").unlink()
    cluster.mounts[0].kill()
    with pytest.raises(OSError, check=lambda error: error.errno == errno.ENOTCONN):
        os.close(descriptor)
    cluster.mounts[0].start()
    assert os.listdir(path) == []


def test_mounting_twice_is_refused(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    path = cluster.mount()
    done = run_oastfs("mount", "--foreground", cluster.metadata_url, path, check=False)
    assert done.returncode != 0
    assert "mounted there already" in done.stderr
    assert (path / "still-works").write_bytes(b"x") == 1


def test_mount_points_are_made_and_checked(make_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = make_cluster()
    assert not (cluster.directory / "made").exists()
    assert cluster.mount(name="made").is_mount()
    (tmp_path / "file").write_bytes(b"")
    done = run_oastfs("mount", "--foreground", cluster.metadata_url, tmp_path / "file", check=False)
    assert done.returncode != 0
    assert "must be a directory" in done.stderr


def test_read_only(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    cluster.connect().write_bytes("/file", b"content")
    path = cluster.mount(options=["--read-only"])
    assert (path / "file").read_bytes() == b"content"
    with pytest.raises(OSError, check=lambda error: error.errno == errno.EROFS):
        (path / "file").write_bytes(b"x")


@pytest.mark.parametrize("binding", BINDINGS)
def test_through_a_namenode(make_cluster: Callable[..., Cluster], binding: str) -> None:
    """The same mount without the store at hand."""
    cluster = make_cluster()
    path = cluster.mount(cluster.url, options=["--binding", binding])
    (path / "dir").mkdir()
    for name, size in (("small", 100), ("large", 3_000_000)):
        (path / "dir" / name).write_bytes(b"x" * size)
        assert (path / "dir" / name).read_bytes() == b"x" * size
    os.rename(path / "dir", path / "moved")
    with (path / "moved" / "small").open("r+b", buffering=0) as file:
        (path / "moved" / "small").unlink()
        file.write(b"yy")
        assert os.pread(file.fileno(), 4, 0) == b"yyxx"
    assert os.listdir(path / "moved") == ["large"]
    with pytest.raises(FileNotFoundError):
        (path / "missing").stat()


def test_many_open_and_close_the_same_files_through_a_namenode(make_cluster: Callable[..., Cluster]) -> None:
    """Opens and closes of one file overlap in the mount's threads: none may be left waiting."""
    cluster = make_cluster()
    path = cluster.mount(cluster.url)
    content = b"x" * 100_000  # in blocks: a close waits for a datanode

    def work(caller: int) -> None:
        for number in range(15):
            name = path / f"file-{number % 2}"
            if (number + caller) % 3:
                name.write_bytes(content)
            elif name.exists():
                name.read_bytes()

    with ThreadPoolExecutor(6) as callers:
        for done in [callers.submit(work, caller) for caller in range(6)]:
            done.result(timeout=120)
    for number in range(2):
        (path / f"file-{number}").write_bytes(content)
        assert (path / f"file-{number}").read_bytes() == content


def test_an_ordinary_user_mounts_with_the_helper(make_cluster: Callable[..., Cluster]) -> None:
    """Without root: fusermount3 mounts and passes the device."""
    cluster = make_cluster()
    code = (
        "import os, sys\n"
        "from oastfs.fuse.kernel import device\n"
        "from oastfs.fuse.options import MountConfig\n"
        "path = sys.argv[1]\n"
        "os.makedirs(path)\n"
        "descriptor = device.mount_by_helper(MountConfig('lmdb:///x,y', path), 1 << 20)\n"
        "lines = [line for line in open('/proc/self/mounts') if path in line]\n"
        "device.unmount(path, lazy=True)\n"
        "assert os.fstat(descriptor).st_rdev == os.makedev(10, 229)\n"
        "assert 'lmdb:///x,y ' in lines[0] and ' fuse.oastfs ' in lines[0], lines\n"
    )
    python = Path(OASTFS).with_name("python")
    subprocess.run([python, "-c", code, cluster.directory / "helper"], check=True, timeout=60)
