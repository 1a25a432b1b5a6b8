"""What becomes of locks when a mount ends, dies or falls silent, and of those that it keeps to itself."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.cluster import Cluster
from tests.system.test_mount.test_locks import HELD, is_free, opened, soon_free

EXPIRY_SECONDS = 60.0
MakeCluster = Callable[..., Cluster]


def test_unmounting_frees_at_once(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(datanodes=0)
    first, second = cluster.mount(name="mnt1"), cluster.mount(name="mnt2")
    ours = os.open(first / "f", os.O_RDWR | os.O_CREAT)
    fcntl.flock(ours, fcntl.LOCK_EX)
    with opened(second / "f") as theirs:
        assert not is_free(fcntl.flock, theirs)
        os.kill(cluster.mounts[0].pid, signal.SIGTERM)  # which goes, though the file is open
        soon_free(fcntl.flock, theirs)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.close(ours)


def test_local_locks_hold_within_a_mount(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(datanodes=0)
    sides = [cluster.mount(name=name, options=["--locks", "local"]) for name in ("mnt1", "mnt2")]
    with opened(sides[0] / "f") as ours, opened(sides[0] / "f") as again, opened(sides[1] / "f") as theirs:
        fcntl.flock(ours, fcntl.LOCK_EX)
        assert not is_free(fcntl.flock, again)
        assert is_free(fcntl.flock, theirs)


def test_on_a_database_directly(database: str, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(datanodes=0, metadata=[database])
    first, second = cluster.mount(name="mnt1"), cluster.mount(name="mnt2")
    for lock in (fcntl.flock, fcntl.lockf):
        with opened(first / "f") as ours, opened(second / "f") as theirs, ThreadPoolExecutor(1) as pool:
            lock(ours, fcntl.LOCK_EX)
            assert not is_free(lock, theirs)
            os.pwrite(ours, b"written under a lock", 0)
            waiting = pool.submit(lock, theirs, fcntl.LOCK_EX)
            time.sleep(0.3)
            assert not waiting.done()
            lock(ours, fcntl.LOCK_UN)
            waiting.result(20)
            assert os.pread(theirs, 100, 0) == b"written under a lock"


@pytest.mark.long
def test_locks_of_a_mount_that_died_are_free_after_a_minute(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(datanodes=0)
    first, second = cluster.mount(name="mnt1"), cluster.mount(name="mnt2")
    ours = os.open(first / "f", os.O_RDWR | os.O_CREAT)
    fcntl.flock(ours, fcntl.LOCK_EX)
    with opened(second / "f") as theirs:
        cluster.mounts[0].kill()
        died = time.monotonic()
        assert not is_free(fcntl.flock, theirs)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(fcntl.flock, theirs, fcntl.LOCK_EX).result(EXPIRY_SECONDS + 10)
        assert time.monotonic() - died > EXPIRY_SECONDS / 2
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.close(ours)


@pytest.mark.long
def test_a_mount_that_was_stopped_for_long_has_lost_its_locks(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(datanodes=0)
    cluster.allow_in_logs("are lost")
    first, second = cluster.mount(name="mnt1"), cluster.mount(name="mnt2")
    with opened(first / "f") as ours, opened(second / "f") as theirs:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        os.kill(cluster.mounts[0].pid, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(fcntl.lockf, theirs, fcntl.LOCK_EX).result(EXPIRY_SECONDS + 10)
        finally:
            os.kill(cluster.mounts[0].pid, signal.SIGCONT)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            fcntl.lockf(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(ours, fcntl.LOCK_UN)
        with pytest.raises(OSError) as told:  # as for anybody else, from now on
            fcntl.lockf(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert told.value.errno in HELD
        fcntl.lockf(theirs, fcntl.LOCK_UN)
        fcntl.lockf(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
