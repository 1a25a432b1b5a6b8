"""Small files through any directories in turn, as mdtest does it: create, stat, read, rename, remove.

Each process works in a directory of its own. What the kernel has cached of names and inodes is dropped before
each phase that only looks (that takes root), and files are looked at in random order.

With ``--synced`` each change is made durable as POSIX has it before the next one: files are synced before
they are closed, and the directory after each name that came, moved or went. So filesystems that sync nothing
by themselves are measured doing what the others do anyway.

    python bench/mount_load.py DIRECTORY... [--processes 4] [--files 500] [--size 4096] [--rounds 3]
        [--synced]
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple


class Load(NamedTuple):
    """What one process is to do, and where."""

    directory: str
    files: int
    content: bytes
    synced: bool


Phase = Callable[[Load, Callable[[], None]], None]
"""A phase and its synchronization: what makes a change of the directory's names durable."""


def create(load: Load, sync: Callable[[], None]) -> None:
    for number in range(load.files):
        descriptor = os.open(f"{load.directory}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(descriptor, load.content)
        if load.synced:
            os.fsync(descriptor)
        os.close(descriptor)
        sync()


def stat(load: Load, sync: Callable[[], None]) -> None:
    for number in _shuffled(load.files):
        os.stat(f"{load.directory}/{number}")


def read(load: Load, sync: Callable[[], None]) -> None:
    size_bytes = len(load.content)
    for number in _shuffled(load.files):
        descriptor = os.open(f"{load.directory}/{number}", os.O_RDONLY)
        if len(os.read(descriptor, size_bytes + 1)) != size_bytes:
            raise SystemExit(f"{load.directory}/{number} has another length than what was written")
        os.close(descriptor)


def rename(load: Load, sync: Callable[[], None]) -> None:
    for number in range(load.files):
        os.rename(f"{load.directory}/{number}", f"{load.directory}/{number}r")
        sync()


def remove(load: Load, sync: Callable[[], None]) -> None:
    for number in range(load.files):
        os.unlink(f"{load.directory}/{number}r")
        sync()


PHASES: tuple[Phase, ...] = (create, stat, read, rename, remove)


def _shuffled(files: int) -> list[int]:
    order = list(range(files))
    random.Random(1).shuffle(order)
    return order


def _run(job: tuple[int, Load]) -> None:
    phase, load = job
    directory = os.open(load.directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        PHASES[phase](load, partial(os.fsync, directory) if load.synced else _nothing)
    finally:
        os.close(directory)


def _nothing() -> None:
    return


def drop_caches() -> None:
    """Make the kernel forget names and inodes."""
    Path("/proc/sys/vm/drop_caches").write_text("2")


def measure(base: str, processes: int, files: int, size_bytes: int, synced: bool) -> dict[str, float]:
    """Operations a second, by phase."""
    content = os.urandom(size_bytes)
    top = Path(base) / f"load-{os.getpid()}-{time.time_ns():x}"
    loads = [Load(str(top / str(number)), files, content, synced) for number in range(processes)]
    for load in loads:
        Path(load.directory).mkdir(parents=True)
    rates = {}
    with get_context("fork").Pool(processes) as pool:
        for number, phase in enumerate(PHASES):
            if phase is not create:
                drop_caches()
            started = time.perf_counter()
            pool.map(_run, [(number, load) for load in loads], chunksize=1)
            rates[phase.__name__] = processes * files / (time.perf_counter() - started)
    for load in loads:
        Path(load.directory).rmdir()
    top.rmdir()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("directories", nargs="+", metavar="DIRECTORY")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--files", type=int, default=500, help="of each process")
    parser.add_argument("--size", type=int, default=4096, help="bytes of a file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--synced", action="store_true", help="make each change durable before the next")
    options = parser.parse_args()
    for _ in range(options.rounds):
        for directory in options.directories:
            rates = measure(directory, options.processes, options.files, options.size, options.synced)
            shown = "  ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
            print(f"{directory}  {shown}", flush=True)


if __name__ == "__main__":
    main()
