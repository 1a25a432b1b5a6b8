"""Writes past the kernel's cache (``O_DIRECT``), asynchronous ones too, beside reads through it."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.system.test_mount.conftest import Served

# io_setup, io_destroy, io_getevents, io_submit: the C library has no functions for them.
CALLS: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
IOCB: Final = struct.Struct("=QIIHhIQQqQII")
IO_EVENT: Final = struct.Struct("=QQqq")
PWRITE: Final = 1
DEADLINE_SECONDS: Final = 30
ROUNDS: Final = 200

_libc = ctypes.CDLL(None, use_errno=True)


class AsynchronousWriter:
    """Writes a descriptor by the kernel's asynchronous I/O, and waits for the end of that."""

    def __init__(self) -> None:
        self._setup, self._destroy, self._getevents, self._submit = CALLS[platform.machine()]
        self._context = ctypes.c_ulong(0)
        self._call(self._setup, ctypes.c_long(1), ctypes.byref(self._context))

    def write(self, descriptor: int, content: mmap.mmap, offset: int) -> None:
        view = (ctypes.c_char * len(content)).from_buffer(content)
        block = IOCB.pack(
            0, 0, 0, PWRITE, 0, descriptor, ctypes.addressof(view), len(content), offset, 0, 0, 0
        )
        pointers = (ctypes.c_char_p * 1)(block)
        assert self._call(self._submit, self._context, ctypes.c_long(1), pointers) == 1
        events = ctypes.create_string_buffer(IO_EVENT.size)
        patience = struct.pack("=qq", DEADLINE_SECONDS, 0)
        one = ctypes.c_long(1)
        done = self._call(self._getevents, self._context, one, one, events, ctypes.c_char_p(patience))
        assert done == 1, f"a write did not end in {DEADLINE_SECONDS} s"
        assert IO_EVENT.unpack(events.raw)[2] == len(content)

    def close(self) -> None:
        self._call(self._destroy, self._context)

    @staticmethod
    def _call(number: int, *arguments: object) -> int:
        result = int(_libc.syscall(ctypes.c_long(number), *arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result


@contextmanager
def readers(path: Path, size: int, count: int) -> Iterator[None]:
    """Threads that read a file through the cache, over and over."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with path.open("rb", buffering=0) as file:
                assert len(os.pread(file.fileno(), size, 0)) == size

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(platform.machine() not in CALLS, reason="numbers of system calls of other machines")
@pytest.mark.parametrize("size", [16 << 10, 640 << 10])
def test_reads_beside_asynchronous_direct_writes(served: Served, directory: Path, size: int) -> None:
    """Once a write is done, whoever reads sees it, by a handle that was open before as well."""
    if served.binding != "kernel":
        pytest.skip("not possible through libfuse's high-level interface")
    path = directory / "file"
    path.write_bytes(bytes(size))
    content = mmap.mmap(-1, size)
    writer = AsynchronousWriter()
    descriptor = os.open(path, os.O_RDWR | os.O_DIRECT)
    try:
        with path.open("rb", buffering=0) as cached, readers(path, size, 2):
            for number in range(1, ROUNDS + 1):
                content[:] = bytes([number]) * size
                writer.write(descriptor, content, 0)
                seen = os.pread(cached.fileno(), size, 0)
                assert seen == content[:], f"write {number}: what was before it is read, {set(seen)}"
    finally:
        os.close(descriptor)
        writer.close()
