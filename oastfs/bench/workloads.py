"""Workloads: what each caller does, step by step.

Every caller works in a directory of its own, four levels deep, made before the clock runs.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from oastfs.bench.targets import Target

FILES_PER_DIRECTORY = 1000
BATCH_FILES = 1000


@dataclass
class Plan:
    """One caller's part: where it works, how many files, how large (bytes)."""

    target: Target
    directory: str
    count: int
    size_bytes: int
    seed: int

    def path(self, number: int) -> str:
        """The caller's file of this number."""
        return f"{self.directory}/{number // FILES_PER_DIRECTORY}/f{number:07}"

    def make_directories(self) -> None:
        """Directories for all of the caller's files."""
        above = ""
        for name in self.directory.split("/"):
            above = f"{above}/{name}" if above else name
            self.target.mkdir(above)
        for number in range(0, self.count, FILES_PER_DIRECTORY):
            self.target.mkdir(f"{self.directory}/{number // FILES_PER_DIRECTORY}")

    def make_files(self) -> None:
        """All of the caller's files."""
        self.make_directories()
        data = os.urandom(self.size_bytes)
        for number in range(self.count):
            self.target.write(self.path(number), data)

    def shuffled(self) -> list[int]:
        """Numbers of all files in a random order that the seed decides."""
        order = list(range(self.count))
        random.Random(self.seed).shuffle(order)
        return order


Step = Callable[[int], int]
"""Does step n; answers how many operations, or bytes for streams, that were."""


@dataclass(frozen=True)
class Workload:
    """``prepare`` runs before the clock and gives the steps; ``steps`` says how many there are."""

    summary: str
    prepare: Callable[[Plan], Step]
    steps: Callable[[Plan], int]
    unit: str = "operations"
    count: int = 5000
    size_bytes: int = 0


def _each(plan: Plan) -> int:
    return plan.count


def _create(plan: Plan) -> Step:
    plan.make_directories()
    data = os.urandom(plan.size_bytes)

    def step(number: int) -> int:
        plan.target.write(plan.path(number), data)
        return 1

    return step


def _mkdir(plan: Plan) -> Step:
    plan.make_directories()

    def step(number: int) -> int:
        plan.target.mkdir(plan.path(number))
        return 1

    return step


def _on_files(act: Callable[[Target, str], object]) -> Callable[[Plan], Step]:
    def prepare(plan: Plan) -> Step:
        plan.make_files()
        order = plan.shuffled()

        def step(number: int) -> int:
            act(plan.target, plan.path(order[number]))
            return 1

        return step

    return prepare


def _list(plan: Plan) -> Step:
    plan.make_files()
    directories = -(-plan.count // FILES_PER_DIRECTORY)
    return lambda number: plan.target.list(f"{plan.directory}/{number % directories}")


def _read_many(plan: Plan) -> Step:
    plan.make_files()
    order = plan.shuffled()

    def step(number: int) -> int:
        chosen = order[number * BATCH_FILES : (number + 1) * BATCH_FILES]
        plan.target.read_many([plan.path(file) for file in chosen])
        return len(chosen)

    return step


def _write_stream(plan: Plan) -> Step:
    plan.make_directories()

    def step(number: int) -> int:
        plan.target.write_stream(plan.path(number), plan.size_bytes)
        return plan.size_bytes

    return step


def _read_stream(plan: Plan) -> Step:
    plan.make_directories()
    for number in range(plan.count):
        plan.target.write_stream(plan.path(number), plan.size_bytes)

    def step(number: int) -> int:
        return plan.target.read_stream(plan.path(number))

    return step


def _batches(plan: Plan) -> int:
    return -(-plan.count // BATCH_FILES)


WORKLOADS: dict[str, Workload] = {
    "create": Workload("create empty files", _create, _each),
    "write": Workload("create files of 1 KiB", _create, _each, size_bytes=1024),
    "mkdir": Workload("make directories", _mkdir, _each),
    "stat": Workload("stat files in random order", _on_files(lambda t, path: t.stat(path)), _each),
    "open": Workload("open and close files in random order", _on_files(lambda t, path: t.open(path)), _each),
    "read": Workload(
        "open, read and close files of 1 KiB in random order",
        _on_files(lambda t, path: t.read(path)),
        _each,
        size_bytes=1024,
    ),
    "read-many": Workload(
        "read files of 1 KiB in random order, 1,000 a batch", _read_many, _batches, size_bytes=1024
    ),
    "list": Workload("list directories of 1,000 files (entries)", _list, lambda plan: 20, count=1000),
    "rename": Workload("rename files", _on_files(lambda t, path: t.rename(path, path + "r")), _each),
    "chmod": Workload("chmod files", _on_files(lambda t, path: t.chmod(path, 0o600)), _each),
    "remove": Workload("remove files", _on_files(lambda t, path: t.remove(path)), _each),
    "stream-write": Workload(
        "write a large file, durable at the end", _write_stream, _each, "bytes", 1, 1 << 30
    ),
    "stream-read": Workload("read a large file", _read_stream, _each, "bytes", 1, 1 << 30),
}
