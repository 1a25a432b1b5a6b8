"""Small files with real contents: written, read one by one, by batches, and as a training epoch."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from oastfs.bench.workloads.base import Draw, Operation, Part, Phase, PhaseKind, Workload
from oastfs.bench.workloads.samples import decode, samples
from oastfs.core.errors import OastError

FILES_PER_DIRECTORY = 1000

PHASES = (
    PhaseKind("write", "files"),
    PhaseKind("read", "files"),
    PhaseKind("read-batch", "files"),
    PhaseKind("epoch", "files"),
)


class SmallFiles(Workload):
    """``files`` in all. Callers write their own and read a random share of everybody's."""

    def __init__(self) -> None:
        self.name, self.summary = "smallfiles", "real images or other small files, written and read"
        self.phases = PHASES
        self.settings = {"files": 5000, "data": "images", "distinct": 2048, "batch": 256}

    def prepare(self, part: Part) -> Sequence[Phase]:
        share = _Share(part)
        part.target.make_directories(share.directories())
        mine, batch = share.count, part.settings["batch"]
        batches = -(-mine // batch)
        decoded = part.settings["data"] == "images"
        return [
            Phase("write", share.write, mine),
            Phase("read", share.read, mine),
            Phase("read-batch", share.batches("read-batch", None), batches),
            Phase("epoch", share.batches("epoch", decode if decoded else None), batches),
        ]


class _Share:
    """One caller's files, and its part of every shuffled order."""

    def __init__(self, part: Part) -> None:
        settings = part.settings
        self._part = part
        self.count = max(1, int(settings["files"]) // part.callers)
        self._batch = settings["batch"]
        distinct = min(settings["distinct"], self.count * part.callers)
        self._samples: tuple[bytes, ...] = samples(settings["data"], distinct, part.seed)
        self._order = self.shuffled("read")

    def shuffled(self, purpose: str) -> list[tuple[int, int]]:
        """This caller's share of all files, as (caller, number), in an order that the seed decides."""
        callers = self._part.callers
        order = list(range(self.count * callers))
        # The same for all callers, so that each file is in one share.
        random.Random(f"{self._part.seed}/{purpose}").shuffle(order)
        return [divmod(position, self.count) for position in order[self._part.number :: callers]]

    def path(self, caller: int, number: int) -> str:
        """The path of a file."""
        return f"caller{caller}/{number // FILES_PER_DIRECTORY:05}/image{number:08}.jpg"

    def content(self, caller: int, number: int) -> bytes:
        """What a file holds."""
        return self._samples[(caller * self.count + number) % len(self._samples)]

    def directories(self) -> list[str]:
        """Directories of the caller's own files."""
        return [
            self.path(self._part.number, number).rpartition("/")[0]
            for number in range(0, self.count, FILES_PER_DIRECTORY)
        ]

    def write(self, number: int) -> Operation:
        """Write one of the caller's own."""
        path, data = self.path(self._part.number, number), self.content(self._part.number, number)
        target = self._part.target

        def call() -> int:
            target.write(path, data)
            return 1

        return Operation("write", call)

    def read(self, number: int) -> Operation:
        """Read the next one of this caller's share."""
        file = self._order[number % self.count]
        return Operation("read", partial(self._read, [file], None, self._one))

    def batches(self, purpose: str, use: Callable[[bytes], int] | None) -> Draw:
        """Draws batches of an order of their own; ``use`` is applied to each content, under the clock."""
        order = self.shuffled(purpose)

        def draw(number: int) -> Operation:
            start = number * self._batch % self.count
            chosen = order[start : start + self._batch]
            return Operation(purpose, partial(self._read, chosen, use, self._part.target.read_many))

        return draw

    def _one(self, paths: Sequence[str]) -> list[bytes]:
        return [self._part.target.read(paths[0])]

    def _read(
        self,
        files: Sequence[tuple[int, int]],
        use: Callable[[bytes], int] | None,
        read: Callable[[Sequence[str]], list[bytes]],
    ) -> int:
        contents = read([self.path(*file) for file in files])
        for file, data in zip(files, contents, strict=True):
            if data != self.content(*file):
                raise OastError("a file does not hold what was written to it", path=self.path(*file))
            if use is not None:
                use(data)
        return len(contents)
