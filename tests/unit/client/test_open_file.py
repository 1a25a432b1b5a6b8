"""OpenFile on inline content, against a plain bytearray; sharing, refreshing, losing."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.client import Filesystem, OpenFile, connect
from oastfs.client.flushes import Flush
from oastfs.core.errors import DeadlineExceeded, FileTooLarge, InvalidArgument, OastError, StaleHandle
from oastfs.core.limits import FILE_BYTES_MAX
from oastfs.core.types import FileStatus
from tests.harness.noting import noting
from tests.harness.waiting import wait_until

SPAN = 300
positions = st.integers(0, SPAN)

OPERATIONS = st.one_of(
    st.tuples(st.just("write"), positions, st.binary(max_size=100)),
    st.tuples(st.just("read"), positions, positions),
    st.tuples(st.just("truncate"), positions),
    st.tuples(st.sampled_from(["flush", "fsync", "reopen", "look"])),
)


def create(filesystem: Filesystem, path: str = "/file") -> OpenFile:
    status = filesystem.metadata.create(filesystem.caller, path, overwrite=True)
    return filesystem.open_file(status, writable=True)


def write(model: bytearray, offset: int, data: bytes) -> None:
    if data and offset > len(model):
        model.extend(bytes(offset - len(model)))
    model[offset : offset + len(data)] = data


def cut(model: bytearray, length: int) -> None:
    del model[length:]
    model.extend(bytes(length - len(model)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(OPERATIONS, max_size=25))
def test_it_is_a_bytearray(filesystem: Filesystem, operations: list[tuple[Any, ...]]) -> None:
    file, model = create(filesystem), bytearray()
    for name, *arguments in operations:
        if name == "write":
            assert file.pwrite(*arguments) == len(arguments[1])
            write(model, *arguments)
        elif name == "read":
            offset, length = arguments
            assert file.pread(offset, length) == model[offset : offset + length]
        elif name == "truncate":
            file.truncate(*arguments)
            cut(model, *arguments)
        elif name == "reopen":
            file.close()
            file = filesystem.open_file(filesystem.stat("/file"), writable=True)
        elif name == "look":
            file.flush()
            assert filesystem.read_bytes("/file") == model
        else:
            status = getattr(file, name)()
            assert status.length == len(model)
            assert not file.dirty
        assert file.length == file.status.length == len(model)
    file.close()
    assert filesystem.read_bytes("/file") == model


def test_a_small_file_costs_one_change(filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    file = create(filesystem)
    verbs: list[str] = []
    monkeypatch.setattr(filesystem.metadata, "call", noting(filesystem.metadata.call, verbs))
    for number in range(10):
        file.pwrite(number * 3, b"abc")
    assert file.pread(0, 100) == b"abc" * 10
    file.close()
    assert verbs == ["write_inline"]


def test_renaming_and_removing_the_path_do_not_matter(filesystem: Filesystem) -> None:
    file = create(filesystem)
    file.pwrite(0, b"before")
    filesystem.rename("/file", "/moved")
    file.pwrite(6, b" after")
    file.flush()
    assert filesystem.read_bytes("/moved") == b"before after"
    filesystem.remove("/moved")
    file.pwrite(0, b"x")
    with pytest.raises(OastError):
        file.flush()
    with pytest.raises(OastError):
        file.close()


def test_writers_and_readers_of_one_process_share(filesystem: Filesystem) -> None:
    file = create(filesystem)
    file.pwrite(0, b"not sent yet")
    with filesystem.open("/file", "rb") as reader:
        assert reader.read() == b"not sent yet"
    other = filesystem.open_file(filesystem.stat("/file"), writable=True)
    assert other is file
    other.pwrite(12, b", by two")
    other.close()
    assert filesystem.read_bytes("/file") == b"not sent yet, by two"
    file.pwrite(0, b"NOT")
    file.close()
    assert filesystem.read_bytes("/file") == b"NOT sent yet, by two"


def test_opening_to_overwrite_drops_what_was_not_sent(filesystem: Filesystem) -> None:
    file = create(filesystem)
    file.pwrite(0, b"old, not sent")
    with filesystem.open("/file", "wb") as stream:
        stream.write(b"new")
    assert file.pread(0, 100) == b"new"
    file.close()
    assert filesystem.read_bytes("/file") == b"new"


def test_writers_of_different_ranges_do_not_undo_each_other(
    filesystem: Filesystem, metadata_url: str
) -> None:
    filesystem.write_bytes("/file", b"-" * 20)
    with connect(metadata_url) as elsewhere:
        ours = filesystem.open_file(filesystem.stat("/file"), writable=True)
        theirs = elsewhere.open_file(elsewhere.stat("/file"), writable=True)
        ours.pwrite(2, b"ours")
        theirs.pwrite(10, b"theirs")
        ours.close()
        theirs.close()
    assert filesystem.read_bytes("/file") == b"--ours----theirs----"


def test_dirty_data_is_sent_after_a_while(filesystem: Filesystem, metadata_url: str) -> None:
    file = create(filesystem)
    file.pwrite(0, b"nobody flushes this")
    assert file.dirty
    assert file.mtime_ns
    with connect(metadata_url) as elsewhere:
        wait_until(
            lambda: elsewhere.read_bytes("/file") == b"nobody flushes this", "the data at another client", 20
        )
    file.close()


def test_refresh_takes_on_what_others_wrote(filesystem: Filesystem, metadata_url: str) -> None:
    filesystem.write_bytes("/file", b"version one")
    file = filesystem.open_file(filesystem.stat("/file"), writable=True)
    assert file.pread(0, 100) == b"version one"
    with connect(metadata_url) as elsewhere:
        elsewhere.write_bytes("/file", b"version two, longer")
        file.refresh(elsewhere.stat("/file"))
    assert file.pread(0, 100) == b"version two, longer"
    file.pwrite(8, b"three")
    file.refresh(filesystem.stat("/file"))
    assert file.pread(0, 13) == b"version three"
    file.close()


def test_times(filesystem: Filesystem) -> None:
    file = create(filesystem)
    before = time.time_ns()
    file.pwrite(0, b"data")
    assert before <= file.status.mtime_ns <= time.time_ns()
    file.flush()
    filesystem.utime("/file", (1, 2))
    file.close()
    assert filesystem.stat("/file").mtime_ns == 2


def test_bad_arguments_change_nothing(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/file", b"content")
    file = filesystem.open_file(filesystem.stat("/file"), writable=True)
    with pytest.raises(InvalidArgument):
        file.pwrite(-1, b"x")
    with pytest.raises(InvalidArgument):
        file.pread(-1, 5)
    with pytest.raises(InvalidArgument):
        file.truncate(-1)
    with pytest.raises(FileTooLarge):
        file.pwrite(FILE_BYTES_MAX, b"x")
    with pytest.raises(FileTooLarge):
        file.truncate(FILE_BYTES_MAX + 1)
    assert not file.dirty
    file.close()
    with pytest.raises(InvalidArgument):
        filesystem.open_file(filesystem.stat("/"))
    assert filesystem.read_bytes("/file") == b"content"


def test_a_closed_file_says_so(filesystem: Filesystem) -> None:
    file = create(filesystem)
    file.close()
    file.close()
    for action in (lambda: file.pwrite(0, b"x"), lambda: file.pread(0, 1), file.flush, file.fsync):
        with pytest.raises(OastError, match="closed"):
            action()


def test_closing_the_filesystem_flushes(filesystem: Filesystem, metadata_url: str) -> None:
    other = connect(metadata_url)
    file = create(other)
    file.pwrite(0, b"kept")
    other.close()
    other.close()
    assert filesystem.read_bytes("/file") == b"kept"
    with pytest.raises(OastError, match="closed"):
        other.stat("/file")


def test_many_threads_write_one_file(filesystem: Filesystem) -> None:
    file = create(filesystem)

    def work(number: int) -> None:
        for at in range(number, 2000, 8):
            file.pwrite(at * 4, at.to_bytes(4, "big"))
            assert file.pread(at * 4, 4) == at.to_bytes(4, "big")
            if at % 97 == 0:
                file.flush()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    assert filesystem.read_bytes("/file") == b"".join(at.to_bytes(4, "big") for at in range(2000))


def test_a_forked_child_reads_on_and_leaves_the_parent_its_writes(filesystem: Filesystem) -> None:
    filesystem.write_bytes("/read", b"content")
    reader = filesystem.open("/read", "rb")
    writer = create(filesystem)
    writer.pwrite(0, b"the parent's")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert reader.read() == b"content"
            with pytest.raises(StaleHandle):
                writer.pwrite(0, b"the child's")
            writer.close()
            filesystem.write_bytes("/child", b"made")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert filesystem.read_bytes("/child") == b"made"
    writer.close()
    reader.close()
    assert filesystem.read_bytes("/file") == b"the parent's"


# --- flushes that their callers carry out ------------------------------------------------------------


def begun(file: OpenFile) -> Flush:
    """A flush that is under way from now on."""
    flush = file.begin_flush()
    assert flush is not None
    return flush


def test_one_flush_at_a_time(filesystem: Filesystem) -> None:
    """One that is late must not bring back what others have changed since another one was done."""
    file = create(filesystem)
    file.pwrite(0, b"1")
    first = begun(file)
    assert file.begin_flush() is None
    done: list[FileStatus] = []
    second = threading.Thread(target=lambda: done.append(file.flush()))
    second.start()
    second.join(0.2)
    assert second.is_alive() and filesystem.read_bytes("/file") == b""
    status = filesystem.metadata.call("write_inline", filesystem.caller, *first.change)
    file.end_flush(first, status)
    second.join(20)
    assert done and not file.dirty and filesystem.read_bytes("/file") == b"1"
    filesystem.write_bytes("/file", b"2")
    file.close()
    assert filesystem.read_bytes("/file") == b"2"


def test_what_was_not_carried_out_is_sent_by_the_next(filesystem: Filesystem) -> None:
    file = create(filesystem)
    file.pwrite(0, b"1")
    flush = begun(file)
    file.end_flush(flush, None)
    assert file.dirty
    file.close()
    assert filesystem.read_bytes("/file") == b"1"


def test_what_is_written_meanwhile_stays_to_be_sent(filesystem: Filesystem) -> None:
    file = create(filesystem)
    file.pwrite(0, b"1")
    flush = begun(file)
    status = filesystem.metadata.call("write_inline", filesystem.caller, *flush.change)
    file.pwrite(1, b"2")
    file.end_flush(flush, status)
    assert file.dirty and filesystem.read_bytes("/file") == b"1"
    file.close()
    assert filesystem.read_bytes("/file") == b"12"


@pytest.mark.parametrize("begin", ["flush", "truncate", "renew", "tend", "end"])
def test_nothing_else_is_sent_while_a_flush_is_under_way(filesystem: Filesystem, begin: str) -> None:
    file = create(filesystem)
    file.pwrite(0, b"12345678")
    flush = begun(file)
    actions = {
        "truncate": lambda: file.truncate(3),
        "tend": lambda: file.tend(time.monotonic() + 9, 1.0, 1.0),
    }
    other = threading.Thread(target=actions.get(begin, getattr(file, begin, None)))
    other.start()
    other.join(0.1)
    assert other.is_alive()
    status = filesystem.metadata.call("write_inline", filesystem.caller, *flush.change)
    held = threading.Event()
    let_go = threading.Event()

    def hold() -> None:
        wait_until(file.try_hold, "the file's lock", 20)
        held.set()
        let_go.wait(20)
        file.let_go()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    file.end_flush(flush, status)  # does not wait for the lock
    assert not file.dirty
    let_go.set()
    holder.join(20)
    other.join(20)
    assert not other.is_alive()
    if begin != "end":
        file.close()
    assert filesystem.read_bytes("/file") == (b"123" if begin == "truncate" else b"12345678")


def test_a_flush_that_never_ends_is_not_waited_for_for_ever(
    filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = create(filesystem)
    file.pwrite(0, b"1")
    flush = begun(file)
    monkeypatch.setattr(filesystem.session, "timeout_seconds", 0.1)
    with pytest.raises(DeadlineExceeded, match="another flush"):
        file.flush()
    file.end_flush(flush, None)
    file.close()
    assert filesystem.read_bytes("/file") == b"1"
