"""flock(2) and record locks of fcntl(2): between programs of one mount, and between two mounts."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import Struct

import pytest

from tests.harness.waiting import wait_until
from tests.system.test_mount.conftest import Served

pytestmark = pytest.mark.parametrize("served", ["kernel", "namenode"], indirect=True, scope="session")

Pair = tuple[Path, Path]
Lock = Callable[[int, int], None]
LOCKS: dict[str, Lock] = {"flock": fcntl.flock, "fcntl": fcntl.lockf}
HELD = (errno.EWOULDBLOCK, errno.EACCES)
SECONDS = 20.0
FLOCK = Struct("hhqqi4x")
"""struct flock: type, whence, start, length, pid."""


@pytest.fixture(scope="session")
def second(served: Served) -> Iterator[Path]:
    """A second mount of the same filesystem, always in direct mode."""
    yield served.cluster.mount(served.cluster.metadata_url, name="mnt-locks")


@pytest.fixture
def pair(second: Path, directory: Path) -> Pair:
    """The test's directory as each of two mounts shows it."""
    return directory, second / directory.name


@pytest.fixture(params=sorted(LOCKS))
def lock(request: pytest.FixtureRequest) -> Lock:
    return LOCKS[request.param]


@contextmanager
def opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_free(lock: Lock, descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    """Whether a lock can be had; it is given back."""
    try:
        lock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        assert error.errno in HELD
        return False
    lock(descriptor, fcntl.LOCK_UN)
    return True


def soon_free(lock: Lock, descriptor: int) -> None:
    wait_until(lambda: is_free(lock, descriptor), "the lock to be free", SECONDS)


def test_a_lock_excludes_the_other_mount(pair: Pair, lock: Lock) -> None:
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs:
        lock(ours, fcntl.LOCK_EX)
        assert not is_free(lock, theirs)
        assert not is_free(lock, theirs, fcntl.LOCK_SH)
        lock(ours, fcntl.LOCK_SH)
        assert is_free(lock, theirs, fcntl.LOCK_SH)
        assert not is_free(lock, theirs)
        lock(ours, fcntl.LOCK_UN)
        assert is_free(lock, theirs)


def test_kinds_and_files_are_apart(pair: Pair) -> None:
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs, opened(pair[1] / "g") as other:
        fcntl.flock(ours, fcntl.LOCK_EX)
        assert is_free(fcntl.lockf, theirs)
        assert is_free(fcntl.flock, other)


def test_ranges(pair: Pair) -> None:
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs:
        fcntl.lockf(ours, fcntl.LOCK_EX, 100, 0)
        fcntl.lockf(ours, fcntl.LOCK_UN, 10, 50)
        fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50)
        for start, length in ((49, 1), (60, 1), (0, 0)):
            with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
                fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 100)


def test_who_has_the_lock_is_told(pair: Pair) -> None:
    def query(descriptor: int) -> tuple[int, ...]:
        asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, start, length, pid = FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        return kind, start, length, pid

    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs:
        assert query(theirs)[0] == fcntl.F_UNLCK
        fcntl.lockf(ours, fcntl.LOCK_SH, 20, 10)
        assert query(ours)[0] == fcntl.F_UNLCK, "its own"
        assert query(theirs) == (fcntl.F_RDLCK, 10, 20, os.getpid())


COUNT = """
import fcntl, os, sys
lock = fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf
descriptor, place = os.open(sys.argv[1], os.O_RDWR), int(sys.argv[3])
for _ in range(int(sys.argv[4])):
    lock(descriptor, fcntl.LOCK_EX)
    value = int(os.pread(descriptor, 8, place))
    os.pwrite(descriptor, b"%08d" % (value + 1), place)
    lock(descriptor, fcntl.LOCK_UN)
"""


@pytest.mark.parametrize("place", [0, 200_000])
@pytest.mark.parametrize("how", sorted(LOCKS))
def test_no_increment_is_lost(pair: Pair, how: str, place: int) -> None:
    """Nobody closes the file in between, so it is the lock that shows each what the others wrote."""
    (pair[0] / "f").write_bytes(bytes(place) + b"%08d" % 0)
    rounds = 25
    counting = [
        subprocess.Popen([sys.executable, "-c", COUNT, side / "f", how, str(place), str(rounds)])
        for side in (*pair, *pair)
    ]
    assert [one.wait(120) for one in counting] == [0] * 4
    for side in pair:
        assert int((side / "f").read_bytes()[place:]) == 4 * rounds


def test_those_who_lock_different_ranges_see_each_others(pair: Pair) -> None:
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs:
        os.pwrite(ours, bytes(100), 0)
        os.fsync(ours)
        for number in range(20):
            fcntl.lockf(ours, fcntl.LOCK_EX, 10, 0)
            fcntl.lockf(theirs, fcntl.LOCK_EX, 10, 50)
            os.pwrite(ours, b"%010d" % number, 0)
            os.pwrite(theirs, b"%010d" % -number, 50)
            fcntl.lockf(theirs, fcntl.LOCK_UN, 10, 50)
            fcntl.lockf(ours, fcntl.LOCK_UN, 10, 0)
            for side in (ours, theirs):
                fcntl.lockf(side, fcntl.LOCK_SH)
                assert os.pread(side, 10, 0) == b"%010d" % number
                assert os.pread(side, 10, 50) == b"%010d" % -number
                fcntl.lockf(side, fcntl.LOCK_UN)


def test_what_grew_elsewhere_is_seen_by_a_reader(pair: Pair) -> None:
    (pair[0] / "f").write_bytes(b"old")
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f", os.O_RDONLY) as theirs:
        assert os.pread(theirs, 100, 0) == b"old"
        fcntl.flock(ours, fcntl.LOCK_EX)
        os.ftruncate(ours, 0)
        os.pwrite(ours, b"new" * 40_000, 0)
        fcntl.flock(ours, fcntl.LOCK_UN)
        fcntl.flock(theirs, fcntl.LOCK_SH)
        assert os.fstat(theirs).st_size == 120_000
        assert os.pread(theirs, 1 << 20, 0) == b"new" * 40_000


def test_who_waits_gets_it(pair: Pair, lock: Lock) -> None:
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs, ThreadPoolExecutor(1) as pool:
        lock(ours, fcntl.LOCK_EX)
        waiting = pool.submit(lock, theirs, fcntl.LOCK_EX)
        time.sleep(0.5)
        assert not waiting.done()
        (pair[1] / "meanwhile").write_text("others are served")
        lock(ours, fcntl.LOCK_UN)
        waiting.result(SECONDS)
        assert not is_free(lock, ours)


LOCK_CALLS = {"72", "73"} if platform.machine() == "x86_64" else {"25", "32"}
"""The numbers of fcntl(2) and flock(2), there and on machines with Linux's generic table."""

WAIT = """
import fcntl, os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: (_ for _ in ()).throw(InterruptedError()))
descriptor = os.open(sys.argv[1], os.O_RDWR)
print("waiting", flush=True)
try:
    (fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf)(descriptor, fcntl.LOCK_EX)
except InterruptedError:
    print("interrupted", flush=True)
else:
    print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def program(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("how", sorted(LOCKS))
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGKILL])
def test_a_signal_ends_the_wait(pair: Pair, how: str, number: signal.Signals) -> None:
    lock = LOCKS[how]
    with opened(pair[0] / "f") as ours, program(WAIT, pair[1] / "f", how) as waiting:
        lock(ours, fcntl.LOCK_EX)
        assert line_of(waiting) == "waiting"
        # A signal that comes before the system call has begun ends no wait.
        call = Path(f"/proc/{waiting.pid}/syscall")
        wait_until(lambda: call.read_text().split()[0] in LOCK_CALLS, "the program to wait", SECONDS)
        time.sleep(0.3)
        waiting.send_signal(number)
        if number == signal.SIGKILL:
            assert waiting.wait(SECONDS) == -number
        else:
            assert line_of(waiting) == "interrupted"
        lock(ours, fcntl.LOCK_UN)
        assert is_free(lock, ours), "nobody got it after all"


@pytest.mark.parametrize("how", sorted(LOCKS))
def test_a_killed_program_has_no_locks(pair: Pair, how: str) -> None:
    (pair[1] / "f").write_bytes(b"")
    with opened(pair[0] / "f") as ours:
        with program(WAIT, pair[1] / "f", how) as holder:
            assert [line_of(holder), line_of(holder)] == ["waiting", "locked"]
            assert not is_free(LOCKS[how], ours)
        soon_free(LOCKS[how], ours)


def test_closing_one_of_two_descriptors_drops_record_locks(pair: Pair) -> None:
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        with opened(pair[0] / "f") as again:
            assert is_free(fcntl.lockf, again), "it is the process that has it"
            fcntl.lockf(ours, fcntl.LOCK_EX)
            assert not is_free(fcntl.lockf, theirs)
        assert is_free(fcntl.lockf, theirs)


def test_a_reader_s_record_locks_end_with_its_descriptor(pair: Pair) -> None:
    """Whether the file was ever locked before that was opened, or not."""
    (pair[0] / "f").write_bytes(b"content")
    with opened(pair[1] / "f") as theirs:
        for _ in range(2):
            with opened(pair[0] / "f", os.O_RDONLY) as ours:
                fcntl.lockf(ours, fcntl.LOCK_SH)
                assert is_free(fcntl.lockf, theirs, fcntl.LOCK_SH)
                assert not is_free(fcntl.lockf, theirs)
            soon_free(fcntl.lockf, theirs)


def test_flock_is_inherited(pair: Pair) -> None:
    with opened(pair[1] / "f") as theirs:
        ours = os.open(pair[0] / "f", os.O_RDWR)
        fcntl.flock(ours, fcntl.LOCK_EX)
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], pass_fds=[ours], stdin=subprocess.PIPE, text=True
        )
        os.close(ours)
        time.sleep(0.3)
        assert not is_free(fcntl.flock, theirs)
        child.communicate("\n", timeout=SECONDS)
        soon_free(fcntl.flock, theirs)


def test_record_locks_are_not_inherited(pair: Pair) -> None:
    with opened(pair[0] / "f") as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        code = f"import fcntl; fcntl.lockf({ours}, fcntl.LOCK_EX | fcntl.LOCK_NB)"
        child = subprocess.run(
            [sys.executable, "-c", code],
            pass_fds=[ours],
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
        assert b"BlockingIOError" in child.stderr


def test_two_who_want_more_of_a_flock_do_not_wait_for_ever(pair: Pair) -> None:
    """As on Linux, who exchanges one for another gives the first one up."""
    with opened(pair[0] / "f") as ours, opened(pair[1] / "f") as theirs, ThreadPoolExecutor(2) as pool:
        for side in (ours, theirs):
            fcntl.flock(side, fcntl.LOCK_SH)

        def exchange(side: int) -> None:
            fcntl.flock(side, fcntl.LOCK_EX)
            fcntl.flock(side, fcntl.LOCK_UN)

        for done in [pool.submit(exchange, side) for side in (ours, theirs)]:
            done.result(SECONDS)


TAKE_AND_WAIT = """
import fcntl, sys
path, own, wanted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(path, "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, own)
    print("has its own", flush=True)
    sys.stdin.readline()
    try:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, wanted)
    except OSError as error:
        print(error.errno, flush=True)
    else:
        print("has both", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("count", [2, 3])
def test_a_circle_of_programs_that_wait_is_told(pair: Pair, count: int) -> None:
    path = pair[0] / "f"
    path.write_bytes(b"")
    with ExitStack() as stack:
        everyone = [
            stack.enter_context(program(TAKE_AND_WAIT, path, str(own), str((own + 1) % count)))
            for own in range(count)
        ]
        for one in everyone:
            assert line_of(one) == "has its own"
        for one in everyone:
            go_on(one)
        told = first_to_say(everyone)
        assert line_of(everyone[told]) == str(errno.EDEADLK)
        # The others go on to wait, and get what they want as the one that has it ends.
        for number in range(told, told - count + 1, -1):
            go_on(everyone[number])
            assert everyone[number].wait(SECONDS) == 0
            assert line_of(everyone[number - 1]) == "has both"


def first_to_say(processes: list[subprocess.Popen[str]]) -> int:
    """Which of them is the first to write a line."""
    outputs = [process.stdout for process in processes if process.stdout is not None]
    readable, _, _ = select.select(outputs, [], [], SECONDS)
    assert readable, f"none of them said anything for {SECONDS:g} s"
    return outputs.index(readable[0])


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_file_that_is_unlinked_keeps_its_locks(pair: Pair) -> None:
    with opened(pair[0] / "f") as first, opened(pair[0] / "f") as other:
        fcntl.flock(first, fcntl.LOCK_EX)
        (pair[0] / "f").unlink()
        assert not is_free(fcntl.flock, other)
        fcntl.flock(first, fcntl.LOCK_UN)
        assert is_free(fcntl.flock, other)


def test_sqlite_from_two_mounts(pair: Pair) -> None:
    with sqlite3.connect(pair[0] / "data.db") as made:
        made.execute("CREATE TABLE t (n INTEGER)")
        made.execute("INSERT INTO t VALUES (0)")
    made.close()
    rounds = 10

    def count(side: Path) -> None:
        connection = sqlite3.connect(side / "data.db", timeout=60, isolation_level=None)
        for _ in range(rounds):
            connection.execute("BEGIN IMMEDIATE")
            (value,) = connection.execute("SELECT n FROM t").fetchone()
            connection.execute("UPDATE t SET n = ?", (value + 1,))
            connection.execute("COMMIT")
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(count, side) for side in (*pair, *pair)]:
            done.result(120)
    with sqlite3.connect(pair[1] / "data.db") as again:
        assert again.execute("SELECT n FROM t").fetchone() == (4 * rounds,)
        assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again.close()


def test_filelock(pair: Pair) -> None:
    filelock = pytest.importorskip("filelock")
    ours, theirs = (filelock.FileLock(side / "f.lock") for side in pair)
    with ours, pytest.raises(filelock.Timeout):
        theirs.acquire(timeout=0.3)
    with theirs.acquire(timeout=SECONDS):
        assert not is_acquirable(ours)


def is_acquirable(lock: object) -> bool:
    try:
        lock.acquire(timeout=0.1)  # type: ignore[attr-defined]  # a FileLock, whose module may be missing
    except TimeoutError:
        return False
    return True
