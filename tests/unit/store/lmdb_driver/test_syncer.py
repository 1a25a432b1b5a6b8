"""The thread that syncs: in C and in Python alike."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.store.lmdb_driver.syncer import Syncer, ThreadSyncer, make_syncer
from tests.harness.waiting import wait_until

KINDS = [ThreadSyncer] if make_syncer is ThreadSyncer else [ThreadSyncer, make_syncer]


@pytest.fixture(params=KINDS)
def syncer(request: pytest.FixtureRequest) -> Iterator[Syncer]:
    made: Syncer = request.param()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    yield descriptor
    os.close(descriptor)


def is_readable(syncer: Syncer, seconds: float) -> bool:
    return bool(select.select([syncer.fileno()], [], [], seconds)[0])


def test_who_asked_is_told(syncer: Syncer, file: int) -> None:
    assert syncer.reached() == 0
    for number in (1, 2, 7):
        assert not is_readable(syncer, 0)
        os.pwrite(file, b"x", number)
        syncer.request(file, number)
        assert is_readable(syncer, 30), "it was not told"
        assert syncer.reached() == number
    assert syncer.seconds() > 0


def test_waiting_for_what_was_requested(syncer: Syncer, file: int) -> None:
    syncer.wait()
    for number in range(1, 200):
        syncer.request(file, number)
    syncer.wait()
    assert syncer.reached() == 199


def test_closing_carries_out_what_was_requested(syncer: Syncer, file: int) -> None:
    syncer.request(file, 3)
    syncer.close()
    assert syncer.reached() == 3


def test_after_a_sync_that_failed_none_succeeds(syncer: Syncer, file: int) -> None:
    reader, writer = os.pipe()
    syncer.request(writer, 1)  # a pipe cannot be synced
    assert is_readable(syncer, 30), "it was not told"
    for attempt in (syncer.reached, lambda: syncer.sync(file), syncer.reached):
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.EINVAL
    os.close(reader)
    os.close(writer)


def test_a_failure_here_is_one_there(syncer: Syncer, file: int) -> None:
    reader, writer = os.pipe()
    with pytest.raises(OSError):
        syncer.sync(writer)
    syncer.request(file, 1)
    syncer.wait()
    with pytest.raises(OSError):
        syncer.reached()
    os.close(reader)
    os.close(writer)


def test_a_forked_child_ends_without_the_thread(syncer: Syncer, file: int) -> None:
    syncer.request(file, 1)
    syncer.wait()
    child = os.fork()
    if child == 0:
        syncer.close()
        os._exit(7)
    status: list[int] = []
    waiting = threading.Thread(target=lambda: status.append(os.waitpid(child, 0)[1]), daemon=True)
    waiting.start()
    wait_until(lambda: bool(status), "the child to end")
    assert os.waitstatus_to_exitcode(status[0]) == 7
    syncer.request(file, 2)
    assert is_readable(syncer, 30), "the parent's thread is gone"
