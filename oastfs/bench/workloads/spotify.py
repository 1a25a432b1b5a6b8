"""The mix of operations of Spotify's HDFS cluster, over a namespace that is made for it.

Shares and the shape of the namespace are those of HopsFS's published load generator. Each caller has a tree
of its own, in which nothing but itself makes, renames and removes; so none of its operations fails, however
long it runs.
"""

from __future__ import annotations

import os
import random
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate

from oastfs.bench.targets import Target
from oastfs.bench.workloads.base import Operation, Part, Phase, PhaseKind, Workload, write_in_batches
from oastfs.bench.workloads.sizes import size_drawer

MIX_PERCENT: dict[str, float] = {
    "read": 68.73,
    "stat file": 13.04,
    "stat directory": 3.96,
    "list directory": 8.52,
    "list file": 0.49,
    "create": 2.70,
    "rename": 1.30,
    "delete": 0.75,
    "chown directory": 0.32,
    "set replication": 0.14,
    "chmod file": 0.02,
    "chmod directory": 0.01,
    "mkdir": 0.02,
}
"""Share of each operation, in per cent. A read asks where a file's content is (and gets it, if small)."""

FILES_PER_DIRECTORY = 16
SUBDIRECTORIES = 2


class Pool:
    """A caller's directories and files. Files are numbers: the directory's, and a serial number in it."""

    def __init__(self, root: str, files: int, files_per_directory: int, subdirectories: int) -> None:
        self.directories = [root]
        for number in range(1, max(1, -(-files // files_per_directory))):
            self.directories.append(f"{self.directories[(number - 1) // subdirectories]}/d{number}")
        self.trees = len(self.directories)
        """Directories that hold files; those that the mix makes besides stay empty."""
        self.files = list(range(files))
        self._next = files

    def path(self, number: int) -> str:
        """The path of a file."""
        return f"{self.directories[number % self.trees]}/f{number // self.trees}"

    def any_file(self, rng: random.Random) -> str:
        """A file that is there."""
        return self.path(self.files[int(rng.random() * len(self.files))])

    def any_directory(self, rng: random.Random) -> str:
        """A directory with files."""
        return self.directories[int(rng.random() * self.trees)]

    def add(self) -> str:
        """A file that is not there yet, counted as there."""
        number, self._next = self._next, self._next + 1
        self.files.append(number)
        return self.path(number)

    def take(self, rng: random.Random) -> str:
        """A file that is there, no longer counted as there."""
        position = int(rng.random() * len(self.files))
        number, last = self.files[position], self.files.pop()
        if position < len(self.files):
            self.files[position] = last
        return self.path(number)

    def rename(self, rng: random.Random) -> tuple[str, str]:
        """A file that is there, and what it is called from now on, in the same directory."""
        position = int(rng.random() * len(self.files))
        number = self.files[position]
        # The next serial number that belongs to the same directory.
        new = self._next + (number - self._next) % self.trees
        self._next = new + 1
        self.files[position] = new
        return self.path(number), self.path(new)

    def new_directory(self) -> str:
        """A directory that is not there yet."""
        self.directories.append(f"{self.directories[0]}/n{len(self.directories)}")
        return self.directories[-1]


class Mix:
    """Draws a caller's operations in the shares of ``MIX_PERCENT``."""

    def __init__(
        self, target: Target, pool: Pool, sizes: Callable[[random.Random], int], rng: random.Random
    ) -> None:
        self._pool, self._rng, self._sizes = pool, rng, sizes
        shares = dict(MIX_PERCENT)
        if not target.has_replication:
            del shares["set replication"]
        self._kinds = list(shares)
        self._cumulated = list(accumulate(shares.values()))
        self._content = os.urandom(1 << 20)
        self._makers: dict[str, Callable[[], Callable[[], object]]] = {
            "read": lambda: partial(target.open, pool.any_file(rng)),
            "stat file": lambda: partial(target.stat, pool.any_file(rng)),
            "stat directory": lambda: partial(target.stat, pool.any_directory(rng)),
            "list directory": lambda: partial(target.list, pool.any_directory(rng)),
            "list file": lambda: partial(target.list_file, pool.any_file(rng)),
            "create": lambda: partial(target.write, pool.add(), self.content()),
            "rename": lambda: partial(target.rename, *pool.rename(rng)),
            "delete": lambda: partial(target.remove, pool.take(rng)),
            "chown directory": lambda: partial(target.chown, pool.any_directory(rng)),
            "set replication": lambda: partial(target.set_replication, pool.any_file(rng), 1),
            "chmod file": lambda: partial(target.chmod, pool.any_file(rng), 0o644),
            "chmod directory": lambda: partial(target.chmod, pool.any_directory(rng), 0o755),
            "mkdir": lambda: partial(target.mkdir, pool.new_directory()),
        }

    def content(self) -> bytes:
        """A new file's bytes."""
        size = self._sizes(self._rng)
        return self._content[:size] if size <= len(self._content) else os.urandom(size)

    def __call__(self, number: int) -> Operation:
        kind = self._kinds[bisect(self._cumulated, self._rng.random() * self._cumulated[-1])]
        if kind == "delete" and len(self._pool.files) == 1:
            kind = "create"  # one file has to stay, for the others to read
        act = self._makers[kind]()

        def call() -> int:
            act()
            return 1

        return Operation(kind, call)


class Spotify(Workload):
    """``files`` in all, shared out among the callers; runs until its time is up."""

    def __init__(self) -> None:
        self.name, self.summary = "spotify", "the mix of Spotify's HDFS cluster"
        self.phases = (PhaseKind("spotify"),)
        self.seconds = 10.0
        self.settings = {
            "files": 20_000,
            "files_per_directory": FILES_PER_DIRECTORY,
            "subdirectories": SUBDIRECTORIES,
            "sizes": "0",
        }

    def prepare(self, part: Part) -> Sequence[Phase]:
        settings = part.settings
        rng = part.random()
        files = max(1, settings["files"] // part.callers)
        pool = Pool(part.directory, files, settings["files_per_directory"], settings["subdirectories"])
        mix = Mix(part.target, pool, size_drawer(settings["sizes"]), rng)
        write_in_batches(part.target, self._files(pool, mix))
        return [Phase(self.name, mix, None)]

    @staticmethod
    def _files(pool: Pool, mix: Mix) -> Iterator[tuple[str, bytes]]:
        # Directory after directory, as they are near each other in the store.
        for directory in range(pool.trees):
            for number in range(directory, len(pool.files), pool.trees):
                yield pool.path(number), mix.content()
