"""One kind of operation each, on small files of the caller's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from oastfs.bench.targets import Target
from oastfs.bench.workloads.base import BATCH_FILES, Draw, Files, Operation, Part, Phase, PhaseKind, Workload

COUNT = 5000
LISTINGS = 20


class SingleOperation(Workload):
    """One phase of the workload's name. Where arrivals decide, ``draw`` is asked for more than ``count``."""

    def __init__(self, name: str, summary: str, size_bytes: int = 0, count: int = COUNT) -> None:
        self.name, self.summary = name, summary
        self.phases = (PhaseKind(name),)
        self.settings = {"count": count, "size_bytes": size_bytes}

    def prepare(self, part: Part) -> Sequence[Phase]:
        count = part.settings["count"]
        files = Files(part, count, part.settings["size_bytes"])
        return [Phase(self.name, self.draw(part, files), self.steps(count))]

    def steps(self, count: int) -> int:
        """Operations of each caller."""
        return count

    @abstractmethod
    def draw(self, part: Part, files: Files) -> Draw:
        """Make what is needed, and give the operations."""


class OnNew(SingleOperation):
    """Makes something new each time."""

    def __init__(
        self, name: str, summary: str, act: Callable[[Target, str, bytes], None], size_bytes: int = 0
    ) -> None:
        super().__init__(name, summary, size_bytes)
        self._act = act

    def draw(self, part: Part, files: Files) -> Draw:
        files.make_directories(max(files.count, part.expected_steps))
        act, target, data, name = self._act, part.target, files.data, self.name

        def make(path: str) -> int:
            act(target, path, data)
            return 1

        return lambda number: Operation(name, partial(make, files.path(number)))


class OnExisting(SingleOperation):
    """Does something to files that are there, in random order, as often as it is asked to."""

    def __init__(
        self, name: str, summary: str, act: Callable[[Target, str], object], size_bytes: int = 0
    ) -> None:
        super().__init__(name, summary, size_bytes)
        self._act = act

    def draw(self, part: Part, files: Files) -> Draw:
        files.make()
        order = files.shuffled(part.random())
        act, target, name, count = self._act, part.target, self.name, files.count

        def do(path: str) -> int:
            act(target, path)
            return 1

        return lambda number: Operation(name, partial(do, files.path(order[number % count])))


class Remove(OnExisting):
    """Removes each file once, so there have to be as many as there are steps."""

    def draw(self, part: Part, files: Files) -> Draw:
        files.count = max(files.count, part.expected_steps)
        return super().draw(part, files)


class Rename(SingleOperation):
    """Gives files another name, and their first one again in the next round."""

    def draw(self, part: Part, files: Files) -> Draw:
        files.make()
        order = files.shuffled(part.random())
        target, name, count = part.target, self.name, files.count

        def do(source: str, new: str) -> int:
            target.rename(source, new)
            return 1

        def draw(number: int) -> Operation:
            path = files.path(order[number % count])
            names = (path, path + "r") if number // count % 2 == 0 else (path + "r", path)
            return Operation(name, partial(do, *names))

        return draw


class List(SingleOperation):
    """Whole directories with all attributes; amounts are entries."""

    def steps(self, count: int) -> int:
        return LISTINGS

    def draw(self, part: Part, files: Files) -> Draw:
        files.make()
        directories, target, name = files.directories(files.count), part.target, self.name
        return lambda number: Operation(name, partial(target.list, directories[number % len(directories)]))


class ReadMany(SingleOperation):
    """Batches of files; amounts are files."""

    def steps(self, count: int) -> int:
        return -(-count // BATCH_FILES)

    def draw(self, part: Part, files: Files) -> Draw:
        files.make()
        order = files.shuffled(part.random())
        target, name, batches = part.target, self.name, self.steps(files.count)

        def read(paths: list[str]) -> int:
            return len(target.read_many(paths))

        def draw(number: int) -> Operation:
            start = number % batches * BATCH_FILES
            paths = [files.path(file) for file in order[start : start + BATCH_FILES]]
            return Operation(name, partial(read, paths))

        return draw


def _write(target: Target, path: str, data: bytes) -> None:
    target.write(path, data)


SINGLE: tuple[SingleOperation, ...] = (
    OnNew("create", "create empty files", _write),
    OnNew("write", "create files of 1 KiB", _write, 1024),
    OnNew("mkdir", "make directories", lambda target, path, _: target.mkdir(path)),
    OnExisting("stat", "stat files in random order", lambda target, path: target.stat(path)),
    OnExisting("open", "open and close files in random order", lambda target, path: target.open(path)),
    OnExisting("read", "open, read and close files of 1 KiB", lambda target, path: target.read(path), 1024),
    ReadMany("read-many", "read files of 1 KiB, 1,000 a batch", 1024),
    List("list", "list directories of 1,000 files (entries)", count=1000),
    Rename("rename", "rename files"),
    OnExisting("chmod", "chmod files", lambda target, path: target.chmod(path, 0o600)),
    Remove("remove", "remove files", lambda target, path: target.remove(path)),
)
