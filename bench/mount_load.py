"""Small files through any directories in turn, as mdtest does it: create, stat, read, rename, remove.

Each process works in a directory of its own. What the kernel has cached of names and inodes is dropped before
each phase that only looks (that takes root), and files are looked at in random order.

    python bench/mount_load.py DIRECTORY... [--processes 4] [--files 500] [--size 4096] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

Phase = Callable[[str, int, bytes], None]


def create(directory: str, files: int, content: bytes) -> None:
    for number in range(files):
        descriptor = os.open(f"{directory}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(descriptor, content)
        os.close(descriptor)


def stat(directory: str, files: int, content: bytes) -> None:
    for number in _shuffled(files):
        os.stat(f"{directory}/{number}")


def read(directory: str, files: int, content: bytes) -> None:
    for number in _shuffled(files):
        descriptor = os.open(f"{directory}/{number}", os.O_RDONLY)
        if len(os.read(descriptor, len(content) + 1)) != len(content):
            raise SystemExit(f"{directory}/{number} has another length than what was written")
        os.close(descriptor)


def rename(directory: str, files: int, content: bytes) -> None:
    for number in range(files):
        os.rename(f"{directory}/{number}", f"{directory}/{number}r")


def remove(directory: str, files: int, content: bytes) -> None:
    for number in range(files):
        os.unlink(f"{directory}/{number}r")


PHASES: tuple[Phase, ...] = (create, stat, read, rename, remove)


def _shuffled(files: int) -> list[int]:
    order = list(range(files))
    random.Random(1).shuffle(order)
    return order


def _run(job: tuple[int, str, int, bytes]) -> None:
    phase, directory, files, content = job
    PHASES[phase](directory, files, content)


def measure(base: str, processes: int, files: int, size_bytes: int) -> dict[str, float]:
    """Operations a second, by phase."""
    content = os.urandom(size_bytes)
    top = Path(base) / f"load-{os.getpid()}-{time.time_ns():x}"
    directories = [top / str(number) for number in range(processes)]
    for directory in directories:
        directory.mkdir(parents=True)
    rates = {}
    with get_context("fork").Pool(processes) as pool:
        for number, phase in enumerate(PHASES):
            if phase is not create:
                Path("/proc/sys/vm/drop_caches").write_text("2")
            jobs = [(number, str(directory), files, content) for directory in directories]
            started = time.perf_counter()
            pool.map(_run, jobs, chunksize=1)
            rates[phase.__name__] = processes * files / (time.perf_counter() - started)
    for directory in (*directories, top):
        directory.rmdir()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("directories", nargs="+", metavar="DIRECTORY")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--files", type=int, default=500, help="of each process")
    parser.add_argument("--size", type=int, default=4096, help="bytes of a file")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for _ in range(options.rounds):
        for directory in options.directories:
            rates = measure(directory, options.processes, options.files, options.size)
            shown = "  ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
            print(f"{directory}  {shown}", flush=True)


if __name__ == "__main__":
    main()
