"""The same random operations on the mount and on a local directory: results, errors and trees are equal."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from oastfs.namenode.fsck import check
from oastfs.store import open_store
from tests.harness.cluster import Cluster

pytestmark = pytest.mark.system

NAMES = ("a", "b", "c", "d")
names = st.sampled_from(NAMES)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
sizes = st.sampled_from([0, 1, 100, 4096, 65_535, 65_536, 65_537, 150_000])
offsets = st.sampled_from([0, 1, 50, 4095, 65_530, 70_000])
modes = st.sampled_from([0o600, 0o644, 0o755, 0o4755, 0o2755])
times = st.integers(0, 2 * 10**18)
descriptors = st.integers(0, 3)
_libc = ctypes.CDLL(None, use_errno=True)


class Both:
    """A mounted directory and a local one."""

    mounted: Path
    local: Path
    metadata_url: str
    binding: str


class MountMachine(RuleBasedStateMachine):
    """Each rule does one thing on both sides and compares what came of it."""

    number = 0

    def __init__(self) -> None:
        super().__init__()
        MountMachine.number += 1
        self.tops = [side / str(MountMachine.number) for side in (Both.mounted, Both.local)]
        for top in self.tops:
            top.mkdir()
        self.open: list[tuple[int, int]] = []
        self.content = 0

    @initialize()
    def begin_with_some(self) -> None:
        for top in self.tops:
            (top / "a" / "b").mkdir(parents=True)
            (top / "c").write_bytes(b"something")

    def teardown(self) -> None:
        for pair in self.open:
            for descriptor in pair:
                os.close(descriptor)
        assert tree_of(self.tops[0]) == tree_of(self.tops[1])
        for top in self.tops:
            shutil.rmtree(top)
        store = open_store(Both.metadata_url)
        try:
            check(store).raise_if_problems()
        finally:
            store.close()

    def both(self, call: Callable[[Path], Any]) -> Any:
        """The result that both sides agree on."""
        results = [outcome(call, top) for top in self.tops]
        assert results[0] == results[1], f"mount: {results[0]}, local: {results[1]}"
        return results[0]

    def some_bytes(self, size: int) -> bytes:
        """Content that differs each time."""
        self.content += 1
        return (b"%8d" % self.content * (size // 8 + 1))[:size]

    def close_all_for_libfuse(self) -> None:
        """libfuse gives what is removed while open a hidden name, which a local filesystem does not."""
        while self.open and Both.binding == "mfusepy":
            self.close(0)

    # --- names --------------------------------------------------------------------------------------

    @rule(path=paths)
    def mkdir(self, path: str) -> None:
        self.both(lambda top: os.mkdir(top / path))

    @rule(path=paths)
    def rmdir(self, path: str) -> None:
        self.both(lambda top: os.rmdir(top / path))

    @rule(path=paths)
    def unlink(self, path: str) -> None:
        self.close_all_for_libfuse()
        self.both(lambda top: os.unlink(top / path))

    @rule(source=paths, to=paths)
    def rename(self, source: str, to: str) -> None:
        self.close_all_for_libfuse()
        self.both(lambda top: os.rename(top / source, top / to))

    @rule(source=paths, to=paths, flags=st.sampled_from([1, 2]))
    def rename_with_flags(self, source: str, to: str, flags: int) -> None:
        def call(top: Path) -> None:
            arguments = (-100, os.fsencode(top / source), -100, os.fsencode(top / to), flags)
            if _libc.renameat2(*arguments):
                raise OSError(ctypes.get_errno(), "renameat2")

        self.both(call)

    @rule(source=paths, to=paths)
    def link(self, source: str, to: str) -> None:
        self.both(lambda top: os.link(top / source, top / to, follow_symlinks=False))

    @rule(path=paths, to=st.one_of(names, paths.map("../{}".format), st.just("missing")))
    def symlink(self, path: str, to: str) -> None:
        self.both(lambda top: os.symlink(to, top / path))

    @rule(path=paths)
    def fifo(self, path: str) -> None:
        self.both(lambda top: os.mknod(top / path, stat.S_IFIFO | 0o640))

    # --- whole files ----------------------------------------------------------------------------------

    @rule(path=paths, size=sizes)
    def write_file(self, path: str, size: int) -> None:
        data = self.some_bytes(size)

        def call(top: Path) -> int:
            descriptor = os.open(top / path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK, 0o644)
            try:
                return os.write(descriptor, data)
            finally:
                os.close(descriptor)

        self.both(call)

    @rule(path=paths)
    def read_file(self, path: str) -> None:
        def call(top: Path) -> bytes:
            descriptor = os.open(top / path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                return os.read(descriptor, 1 << 20)
            finally:
                os.close(descriptor)

        self.both(call)

    @rule(path=paths, size=sizes)
    def truncate(self, path: str, size: int) -> None:
        self.both(lambda top: os.truncate(top / path, size))

    @rule(path=paths, mode=modes)
    def chmod(self, path: str, mode: int) -> None:
        self.both(lambda top: os.chmod(top / path, mode))

    @rule(path=paths, uid=st.integers(0, 2), gid=st.integers(-1, 2))
    def chown(self, path: str, uid: int, gid: int) -> None:
        self.both(lambda top: os.chown(top / path, uid, gid, follow_symlinks=False))

    @rule(path=paths, atime=times, mtime=times)
    def utime(self, path: str, atime: int, mtime: int) -> None:
        self.both(lambda top: os.utime(top / path, ns=(atime, mtime), follow_symlinks=False))

        def call(top: Path) -> int:
            return os.lstat(top / path).st_mtime_ns

        self.both(call)

    @rule(path=paths, name=st.sampled_from(["user.x", "user.y"]), value=st.binary(max_size=20))
    def setxattr(self, path: str, name: str, value: bytes) -> None:
        self.both(lambda top: os.setxattr(top / path, name, value, follow_symlinks=False))

    @rule(path=paths, name=st.sampled_from(["user.x", "user.y"]))
    def removexattr(self, path: str, name: str) -> None:
        self.both(lambda top: os.removexattr(top / path, name, follow_symlinks=False))

    # --- open files -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.open) < 4)
    @rule(path=paths, flags=st.sampled_from([0, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC, os.O_APPEND]))
    def open_file(self, path: str, flags: int) -> None:
        found: list[int] = []

        def call(top: Path) -> None:
            descriptor = os.open(top / path, os.O_RDWR | os.O_NONBLOCK | flags, 0o644)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                found.append(descriptor)
            else:
                os.close(descriptor)

        self.both(call)
        if found:
            self.open.append((found[0], found[1]))

    def with_open(self, which: int, call: Callable[[int], Any]) -> None:
        pair = self.open[which % len(self.open)]
        results = [outcome(call, descriptor) for descriptor in pair]
        assert results[0] == results[1], f"mount: {results[0]}, local: {results[1]}"

    @precondition(lambda self: self.open)
    @rule(which=descriptors)
    def close(self, which: int) -> None:
        for descriptor in self.open.pop(which % len(self.open)):
            os.close(descriptor)

    @precondition(lambda self: self.open)
    @rule(which=descriptors, offset=offsets, size=sizes)
    def pwrite(self, which: int, offset: int, size: int) -> None:
        data = self.some_bytes(size)
        self.with_open(which, lambda descriptor: os.pwrite(descriptor, data, offset))

    @precondition(lambda self: self.open)
    @rule(which=descriptors, offset=offsets, size=sizes)
    def pread(self, which: int, offset: int, size: int) -> None:
        self.with_open(which, lambda descriptor: os.pread(descriptor, size, offset))

    @precondition(lambda self: self.open)
    @rule(which=descriptors, size=sizes)
    def ftruncate(self, which: int, size: int) -> None:
        self.with_open(which, lambda descriptor: os.ftruncate(descriptor, size))

    @precondition(lambda self: self.open)
    @rule(which=descriptors)
    def fsync(self, which: int) -> None:
        self.with_open(which, os.fsync)

    @precondition(lambda self: self.open)
    @rule(which=descriptors)
    def fstat(self, which: int) -> None:
        def call(descriptor: int) -> tuple[int, ...]:
            status = os.fstat(descriptor)
            return status.st_mode, status.st_size, status.st_nlink

        self.with_open(which, call)

    # --- always -----------------------------------------------------------------------------------------

    @invariant()
    def same_names(self) -> None:
        self.both(lambda top: sorted(os.listdir(top)))


def outcome(call: Callable[[Any], Any], argument: Any) -> Any:
    """What a call answers, or the name of its errno."""
    try:
        return call(argument)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def tree_of(top: Path) -> dict[str, Any]:
    """Everything that both sides should have alike. Directories' sizes, and times not set, are their own."""
    found: dict[str, Any] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        entry: list[Any] = [status.st_mode, status.st_uid, status.st_gid, status.st_nlink]
        if stat.S_ISREG(status.st_mode):
            entry += [status.st_size, path.read_bytes()]
            entry.append({name: os.getxattr(path, name) for name in os.listxattr(path)})
        elif stat.S_ISLNK(status.st_mode):
            entry.append(os.readlink(path))
        found[str(path.relative_to(top))] = entry
    return found


@pytest.fixture(params=["kernel", "mfusepy"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """A mounted filesystem, and a local directory beside it."""
    with Cluster(tmp_path / "cluster") as cluster:
        Both.mounted = cluster.mount(options=["--binding", request.param])
        Both.local = tmp_path / "local"
        Both.local.mkdir()
        Both.binding = request.param
        Both.metadata_url = cluster.metadata_url
        yield


CHECKS = list(HealthCheck)


def test_mount_behaves_as_a_local_directory(both: None) -> None:
    profile = settings(max_examples=40, stateful_step_count=50, deadline=None, suppress_health_check=CHECKS)
    run_state_machine_as_test(MountMachine, settings=profile)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_mount_behaves_as_a_local_directory_for_long(both: None) -> None:
    profile = settings(max_examples=400, stateful_step_count=80, deadline=None, suppress_health_check=CHECKS)
    run_state_machine_as_test(MountMachine, settings=profile)
