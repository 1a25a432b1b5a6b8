"""Rates against size: one namespace that grows from point to point, with a few operations measured at each.

The axis says what grows: files in all, entries of one directory, or the depth of paths. Growing is a phase
as well: it tells how fast a namespace is loaded, by the target's batches.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from oastfs.bench.workloads.base import BATCH_FILES, Draw, Operation, Part, Phase, PhaseKind, Workload
from oastfs.core.errors import InvalidArgument

OPERATIONS = ("stat", "open", "list", "create", "chmod", "rename")
DEPTH_FILES = 1000
"""Of each caller at each depth."""


class Ground(ABC):
    """The files of one caller on an axis: where the n-th is, and how many there are at a point."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._renamed: set[str] = set()

    @abstractmethod
    def count(self, point: int) -> int:
        """Files of this caller at the point, those of the points before included where they stay."""

    @abstractmethod
    def original(self, point: int, number: int) -> str:
        """The path that the n-th file is made with."""

    def directory(self, point: int, number: int) -> str:
        """The directory of the n-th file."""
        return self.original(point, number).rpartition("/")[0]

    def first_new(self, point: int, before: int) -> int:
        """The first of the files that growing from the point before has to make."""
        return self.count(before)

    def path(self, point: int, number: int) -> str:
        """Where the n-th file is now."""
        path = self.original(point, number)
        return path + "r" if path in self._renamed else path

    def rename(self, point: int, number: int) -> tuple[str, str]:
        """The n-th file's path, and the one that it has from now on."""
        before = self.path(point, number)
        self._renamed ^= {self.original(point, number)}
        return before, self.path(point, number)


class Files(Ground):
    """Files of a whole namespace, 1,000 a directory."""

    def count(self, point: int) -> int:
        return max(1, point // self.part.callers)

    def original(self, point: int, number: int) -> str:
        return f"{self.part.directory}/{number // 1_000_000}/{number // 1000 % 1000:03}/f{number:08}"


class Directory(Ground):
    """Entries of one directory, which all callers share."""

    def count(self, point: int) -> int:
        return max(1, point // self.part.callers)

    def original(self, point: int, number: int) -> str:
        # Numbers of all callers in turn, so that each has its files all over the directory.
        return f"all/f{number * self.part.callers + self.part.number:09}"


class Depth(Ground):
    """A few files below as many directories as the point says, a chain for each point."""

    def count(self, point: int) -> int:
        return DEPTH_FILES

    def first_new(self, point: int, before: int) -> int:
        return 0

    def original(self, point: int, number: int) -> str:
        # The base has a level or two of its own, which are the same at every point.
        chain = "/".join(f"level{n}" for n in range(point - 1))
        return f"{self.part.directory}-{point}/{chain}{'/' if chain else ''}f{number}"


AXES: dict[str, type[Ground]] = {"files": Files, "directory": Directory, "depth": Depth}


class Scale(Workload):
    """Phases ``grow`` and the operations, at each of the ``points`` in turn."""

    def __init__(self) -> None:
        self.name, self.summary = "scale", "rates against the size of the namespace"
        self.phases = ()
        self.settings = {"axis": "files", "points": (1000, 10_000), "operations": OPERATIONS}
        self.seconds = 3.0

    def check(self, settings: dict[str, Any]) -> dict[str, Any]:
        checked = super().check(settings)
        points = list(checked["points"])
        if checked["axis"] not in AXES:
            raise InvalidArgument(f"no axis {checked['axis']!r}; there are {', '.join(AXES)}")
        if not points or points != sorted(set(points)) or points[0] < 1:
            raise InvalidArgument("points of a scale are numbers from 1 on that grow")
        if unknown := set(checked["operations"]) - set(OPERATIONS):
            raise InvalidArgument(f"no operation {', '.join(unknown)}; there are {', '.join(OPERATIONS)}")
        return checked

    def phases_of(self, settings: Mapping[str, Any]) -> tuple[PhaseKind, ...]:
        axis = settings["axis"]
        return tuple(
            PhaseKind(name, "files" if name == "grow" else "operations", ((axis, float(point)),))
            for point in settings["points"]
            for name in ("grow", *settings["operations"])
        )

    def prepare(self, part: Part) -> Sequence[Phase]:
        ground = AXES[part.settings["axis"]](part)
        phases, before = [], 0
        for point in part.settings["points"]:
            first = ground.first_new(point, before) if before else 0
            batches = -(-(ground.count(point) - first) // BATCH_FILES)
            phases.append(Phase("grow", _grow(ground, point, first), batches, timed=False))
            phases += [
                Phase(name, _operations(name, ground, point), None) for name in part.settings["operations"]
            ]
            before = point
        return phases


def _grow(ground: Ground, point: int, first: int) -> Draw:
    def draw(number: int) -> Operation:
        start = first + number * BATCH_FILES
        numbers = range(start, min(start + BATCH_FILES, ground.count(point)))
        files = [(ground.original(point, file), b"") for file in numbers]

        def call() -> int:
            ground.part.target.write_many(files)
            return len(files)

        return Operation("grow", call)

    return draw


def _operations(name: str, ground: Ground, point: int) -> Draw:
    target, count = ground.part.target, ground.count(point)
    rng = ground.part.random(f"{name}/{point}")
    calls: dict[str, Callable[[int], Callable[[], object]]] = {
        "stat": lambda _: partial(target.stat, ground.path(point, _any(rng, count))),
        "open": lambda _: partial(target.open, ground.path(point, _any(rng, count))),
        "list": lambda _: partial(target.first_entries, ground.directory(point, _any(rng, count))),
        "chmod": lambda _: partial(target.chmod, ground.path(point, _any(rng, count)), 0o640),
        "rename": lambda _: partial(target.rename, *ground.rename(point, _any(rng, count))),
        # In a directory that is there, under a name that no other caller or point makes.
        "create": lambda number: partial(
            target.write,
            f"{ground.directory(point, _any(rng, count))}/new{ground.part.number}-{point}-{number}",
            b"",
        ),
    }
    make = calls[name]

    def draw(number: int) -> Operation:
        act = make(number)

        def call() -> int:
            act()
            return 1

        return Operation(name, call)

    return draw


def _any(rng: random.Random, count: int) -> int:
    return int(rng.random() * count)
