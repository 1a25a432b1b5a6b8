"""Contents of files through the mount: reading, writing, truncating, mapping, syncing."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from pathlib import Path

import pytest

from oastfs.core.limits import FILE_BYTES_MAX

INLINE_LIMIT = 64 * 1024
SIZES = [0, 1, 4095, 4096, INLINE_LIMIT - 1, INLINE_LIMIT, INLINE_LIMIT + 1, 3_000_001]


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes in which every 8 differ from every other 8."""
    return b"".join((seed << 40 | number).to_bytes(8, "big") for number in range((size + 7) // 8))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_write_and_read_back(directory: Path, size: int) -> None:
    path = directory / "file"
    data = pattern(size)
    assert path.write_bytes(data) == size
    assert path.read_bytes() == data
    assert path.stat().st_size == size
    assert path.stat().st_blocks == (size + 511) // 512


@pytest.mark.parametrize("chunk", [1_000, 65_536])
def test_sequential_writes_of_one_handle(directory: Path, chunk: int) -> None:
    data = pattern(500_000)
    with (directory / "file").open("wb", buffering=0) as file:
        for start in range(0, len(data), chunk):
            file.write(data[start : start + chunk])
    assert (directory / "file").read_bytes() == data


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_overwrite_in_place(directory: Path, size: int) -> None:
    path = directory / "file"
    data = bytearray(pattern(size))
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as file:
        for offset in (0, 1, 4095, size // 2, size - 5):
            os.pwrite(file.fileno(), b"HELLO", offset)
            data[offset : offset + 5] = b"HELLO"
        assert os.pread(file.fileno(), size, 0) == bytes(data)
    assert path.read_bytes() == bytes(data)


def test_a_hole_reads_as_zeros(directory: Path) -> None:
    path = directory / "sparse"
    with path.open("wb", buffering=0) as file:
        os.pwrite(file.fileno(), b"end", 10_000_000)
    assert path.stat().st_size == 10_000_003
    with path.open("rb") as file:
        assert file.read(5_000_000) == bytes(5_000_000)
        file.seek(-5, os.SEEK_END)
        assert file.read() == b"\0\0end"


@pytest.mark.parametrize("size", [5_000, 200_000])
@pytest.mark.parametrize("length", [0, 1, 4_999, 5_001, 65_536, 300_000])
def test_truncate_by_path(directory: Path, size: int, length: int) -> None:
    path = directory / "file"
    path.write_bytes(pattern(size))
    os.truncate(path, length)
    assert path.stat().st_size == length
    assert path.read_bytes() == pattern(size)[:length].ljust(length, b"\0")


@pytest.mark.parametrize("size", [5_000, 200_000])
def test_truncate_by_handle_between_writes(directory: Path, size: int) -> None:
    path = directory / "file"
    with path.open("w+b", buffering=0) as file:
        file.write(pattern(size))
        os.ftruncate(file.fileno(), 100)
        assert os.fstat(file.fileno()).st_size == 100
        os.ftruncate(file.fileno(), size)
        os.pwrite(file.fileno(), b"tail", size - 4)
        expected = pattern(100) + bytes(size - 104) + b"tail"
        assert os.pread(file.fileno(), size + 10, 0) == expected
    assert path.read_bytes() == expected


def test_truncate_by_path_while_open_elsewhere(directory: Path) -> None:
    path = directory / "file"
    with path.open("w+b", buffering=0) as file:
        file.write(b"0123456789")
        os.truncate(path, 4)
        assert os.fstat(file.fileno()).st_size == 4
        file.write(b"X")
    assert path.read_bytes() == b"0123" + bytes(6) + b"X"


def test_open_with_truncation(directory: Path) -> None:
    for size in (1_000, 200_000):
        path = directory / f"file-{size}"
        path.write_bytes(pattern(size))
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        assert os.fstat(descriptor).st_size == 0
        os.write(descriptor, b"new")
        os.close(descriptor)
        assert path.read_bytes() == b"new"
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
        assert path.stat().st_size == 0


def test_append_goes_to_the_end(directory: Path) -> None:
    path = directory / "log"
    path.write_bytes(b"one\n")
    first = os.open(path, os.O_WRONLY | os.O_APPEND)
    second = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number in range(100):
        os.write(first, b"first %d\n" % number)
        os.write(second, b"second %d\n" % number)
    os.close(first)
    os.close(second)
    lines = path.read_bytes().splitlines()
    assert lines == [b"one"] + [b"%s %d" % (who, n) for n in range(100) for who in (b"first", b"second")]


def test_exclusive_creation(directory: Path) -> None:
    path = directory / "lock"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    with pytest.raises(FileExistsError):
        os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_a_read_only_handle_does_not_write(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"x")
    with path.open("rb", buffering=0) as file:
        with pytest.raises(OSError) as error:
            os.write(file.fileno(), b"y")
        assert error.value.errno == errno.EBADF


def test_handles_of_one_file_see_each_other(directory: Path) -> None:
    path = directory / "file"
    with path.open("wb", buffering=0) as writer, path.open("rb", buffering=0) as reader:
        for number in range(20):
            writer.write(b"%5d" % number)
            assert os.pread(reader.fileno(), 5, 5 * number) == b"%5d" % number
            assert os.fstat(reader.fileno()).st_size == 5 * (number + 1)


def test_a_file_created_read_only_can_be_written_by_its_creator(directory: Path) -> None:
    descriptor = os.open(directory / "file", os.O_CREAT | os.O_WRONLY, 0o400)
    os.write(descriptor, b"content")
    os.close(descriptor)
    assert (directory / "file").read_bytes() == b"content"
    assert stat.S_IMODE((directory / "file").stat().st_mode) == 0o400


@pytest.mark.parametrize("size", [100, 8_192, 1_000_000])
def test_shared_mapping_writes_through(directory: Path, size: int) -> None:
    path = directory / "mapped"
    path.write_bytes(pattern(size))
    expected = bytearray(pattern(size))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapping:
        assert mapping[:] == bytes(expected)
        for offset in (0, size // 2, size - 1):
            mapping[offset : offset + 1] = b"!"
            expected[offset : offset + 1] = b"!"
        mapping.flush()
        assert path.read_bytes() == bytes(expected)
        mapping[1:2] = expected[1:2] = b"?"
    assert path.read_bytes() == bytes(expected)


def test_a_mapping_outlives_its_descriptor(directory: Path) -> None:
    path = directory / "mapped"
    path.write_bytes(bytes(10_000))
    descriptor = os.open(path, os.O_RDWR)
    mapping = mmap.mmap(descriptor, 10_000)
    os.close(descriptor)
    mapping[5_000:5_004] = b"late"
    mapping.close()
    assert path.read_bytes()[5_000:5_004] == b"late"


def test_private_mapping_does_not_write(directory: Path) -> None:
    path = directory / "mapped"
    path.write_bytes(b"original")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapping:
        mapping[:4] = b"COPY"
    assert path.read_bytes() == b"original"


def test_sync_calls(directory: Path) -> None:
    for size in (100, 1_000_000):
        with (directory / f"file-{size}").open("wb", buffering=0) as file:
            file.write(pattern(size))
            os.fsync(file.fileno())
            file.write(b"more")
            os.fdatasync(file.fileno())
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_the_last_byte_that_a_file_may_have(directory: Path) -> None:
    with (directory / "file").open("w+b", buffering=0) as file:
        assert os.pwrite(file.fileno(), b"x", FILE_BYTES_MAX - 1) == 1
        os.fsync(file.fileno())
        assert os.fstat(file.fileno()).st_size == FILE_BYTES_MAX
        assert os.pread(file.fileno(), 1, FILE_BYTES_MAX - 1) == b"x"


def test_allocating_space(directory: Path) -> None:
    path = directory / "file"
    with path.open("w+b", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 100_000)
        assert os.fstat(file.fileno()).st_size == 100_000
        file.write(b"data")
        os.posix_fallocate(file.fileno(), 0, 10)
        assert os.fstat(file.fileno()).st_size == 100_000
    assert path.read_bytes() == b"data" + bytes(99_996)


def test_punching_a_hole(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(pattern(100_000))
    with path.open("r+b") as file:
        fallocate(file.fileno(), 3, 1_000, 50_000)  # KEEP_SIZE | PUNCH_HOLE
    expected = bytearray(pattern(100_000))
    expected[1_000:51_000] = bytes(50_000)
    assert path.read_bytes() == bytes(expected)
    with path.open("r+b") as file:
        fallocate(file.fileno(), 1, 0, 200_000)  # KEEP_SIZE
        assert os.fstat(file.fileno()).st_size == 100_000
        with pytest.raises(OSError) as error:
            fallocate(file.fileno(), 8, 0, 4096)  # COLLAPSE_RANGE
        assert error.value.errno == errno.EOPNOTSUPP


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2), which Python has without its mode."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def test_locks_between_handles(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"x")
    with path.open("rb") as first, path.open("rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(first, fcntl.LOCK_UN)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_direct_io(directory: Path) -> None:
    path = directory / "file"
    buffer = mmap.mmap(-1, 1 << 20)
    buffer[:] = pattern(1 << 20)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT)
    try:
        assert os.writev(descriptor, [buffer]) == 1 << 20
        answer = mmap.mmap(-1, 1 << 20)
        assert os.preadv(descriptor, [answer], 0) == 1 << 20
        assert answer[:] == buffer[:]
    finally:
        os.close(descriptor)


def test_copy_file_range_and_sendfile(directory: Path) -> None:
    data = pattern(300_000)
    (directory / "source").write_bytes(data)
    with (directory / "source").open("rb") as source, (directory / "target").open("wb") as target:
        copied = 0
        while copied < len(data):
            copied += os.copy_file_range(source.fileno(), target.fileno(), len(data) - copied)
    assert (directory / "target").read_bytes() == data


def test_what_was_cut_off_does_not_come_back_with_blocks(directory: Path) -> None:
    """Zeros beyond what is kept inline, cut off again, and then content that needs blocks."""
    with (directory / "file").open("w+b", buffering=0) as file:
        os.ftruncate(file.fileno(), 3_000_000)
        os.ftruncate(file.fileno(), 10)
        os.pwrite(file.fileno(), b"end", 200_000)
        os.fsync(file.fileno())
        assert os.fstat(file.fileno()).st_size == 200_003
    assert (directory / "file").read_bytes() == bytes(200_000) + b"end"
