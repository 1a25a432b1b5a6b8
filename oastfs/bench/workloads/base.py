"""What a workload is: phases, one after the other, each a series of operations that callers draw.

Every caller works in a directory of its own, made before the clock runs.
"""

from __future__ import annotations

import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from oastfs.bench.targets import Target
from oastfs.core.errors import InvalidArgument

FILES_PER_DIRECTORY = 1000
BATCH_FILES = 1000


class Operation(NamedTuple):
    """Something to do under the clock: its kind, and a call that answers how many units it did."""

    kind: str
    call: Callable[[], int]


Draw = Callable[[int], Operation]
"""A caller's n-th operation of a phase, drawn before the clock runs."""


@dataclass(frozen=True)
class Phase:
    """One measured series. ``steps`` is how many operations each caller does; None: until time is up."""

    name: str
    draw: Draw
    steps: int | None
    timed: bool = True
    """Ends when the run's time is up, if that is before its steps are done."""


class PhaseKind(NamedTuple):
    """What is known of a phase beforehand: its name, what its amounts are of, and its place on axes."""

    name: str
    unit: str = "operations"
    axes: tuple[tuple[str, float], ...] = ()


@dataclass
class Part:
    """One caller's part: the target, who it is among how many, and the run's settings."""

    target: Target
    number: int
    callers: int
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    expected_steps: int = 0
    """About how many operations there will be at most, where arrivals decide and not the phase; else 0."""

    @property
    def directory(self) -> str:
        """The caller's directory, not yet made."""
        return f"caller{self.number}"

    def random(self, purpose: str = "") -> random.Random:
        """A source of random numbers that the seed and the caller decide."""
        return random.Random(f"{self.seed}/{self.number}/{purpose}")


class Workload(ABC):
    """A workload by name. ``settings`` are its own options with their defaults."""

    name: str
    summary: str
    phases: tuple[PhaseKind, ...]
    settings: Mapping[str, Any] = {}
    seconds: float = 0.0
    """How long its phases run unless told otherwise; 0: until their steps are done."""

    def phases_of(self, settings: Mapping[str, Any]) -> tuple[PhaseKind, ...]:
        """The phases that these settings, all filled in, lead to."""
        return self.phases

    @abstractmethod
    def prepare(self, part: Part) -> Sequence[Phase]:
        """Make what one caller needs; its phases, as many and in the order of ``phases_of``."""

    def check(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings with defaults filled in. Raises InvalidArgument for one that is not known."""
        unknown = settings.keys() - self.settings.keys()
        if unknown:
            raise InvalidArgument(f"{self.name} has no setting {', '.join(sorted(unknown))}")
        return {**self.settings, **settings}


def write_in_batches(target: Target, files: Iterable[tuple[str, bytes]]) -> None:
    """Make many files before the clock runs, by the target's batches."""
    batch: list[tuple[str, bytes]] = []
    for file in files:
        batch.append(file)
        if len(batch) == BATCH_FILES:
            target.write_many(batch)
            batch = []
    if batch:
        target.write_many(batch)


class Files:
    """A caller's numbered files, at most ``FILES_PER_DIRECTORY`` a directory, four levels deep."""

    def __init__(self, part: Part, count: int, size_bytes: int) -> None:
        self.target, self.count, self.size_bytes = part.target, count, size_bytes
        self.data = os.urandom(size_bytes)
        self._directory = f"{part.directory}/a/b"

    def path(self, number: int) -> str:
        """The file of this number."""
        return f"{self._directory}/{number // FILES_PER_DIRECTORY}/f{number:07}"

    def directories(self, count: int) -> list[str]:
        """Directories of the first ``count`` files."""
        return [f"{self._directory}/{n}" for n in range(-(-count // FILES_PER_DIRECTORY))]

    def make_directories(self, count: int) -> None:
        """Directories for ``count`` files."""
        self.target.make_directories(self.directories(count))

    def make(self) -> None:
        """All of them."""
        write_in_batches(self.target, ((self.path(number), self.data) for number in range(self.count)))

    def shuffled(self, rng: random.Random) -> list[int]:
        """All numbers in random order."""
        order = list(range(self.count))
        rng.shuffle(order)
        return order
