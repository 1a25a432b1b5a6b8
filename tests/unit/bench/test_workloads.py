"""What workloads do to a target: shares, sizes and paths, on one that keeps everything in memory."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from oastfs.bench.targets.base import Target
from oastfs.bench.workloads import WORKLOADS
from oastfs.bench.workloads.base import Part, Phase
from oastfs.bench.workloads.samples import decode, samples
from oastfs.bench.workloads.sizes import SPOTIFY_KIB_PERCENT, SPOTIFY_MEAN_BYTES, size_drawer, spotify_size
from oastfs.bench.workloads.spotify import MIX_PERCENT, Pool
from oastfs.bench.workloads.trees import tree
from oastfs.core.errors import InvalidArgument, OastError
from tests.harness.noting import noting


class MemoryTarget(Target):
    """A strict filesystem in memory: what should not happen on a real one fails here."""

    def __init__(self) -> None:
        self.directories = {""}
        self.files: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()

    def _require_parent(self, path: str) -> None:
        if path.rpartition("/")[0] not in self.directories:
            raise FileNotFoundError(path)

    def _require_free(self, path: str) -> None:
        if path in self.files or path in self.directories:
            raise FileExistsError(path)

    def mkdir(self, path: str) -> None:
        self._require_parent(path)
        self._require_free(path)
        self.directories.add(path)

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            while path:
                self.directories.add(path)
                path = path.rpartition("/")[0]

    def write(self, path: str, data: bytes) -> None:
        self._require_parent(path)
        self._require_free(path)
        self.files[path] = data

    def open(self, path: str) -> None:
        self.read(path)

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def stat(self, path: str) -> None:
        if path not in self.directories:
            self.read(path)

    def list(self, path: str) -> int:
        if path not in self.directories:
            raise NotADirectoryError(path)
        return sum(name.rpartition("/")[0] == path for name in [*self.files, *self.directories])

    def first_entries(self, path: str) -> int:
        return self.list(path)

    def rename(self, source: str, target: str) -> None:
        self._require_free(target)
        assert source.rpartition("/")[0] == target.rpartition("/")[0]
        self.files[target] = self.files.pop(source)

    def chmod(self, path: str, mode: int) -> None:
        self.stat(path)

    def chown(self, path: str) -> None:
        self.stat(path)

    def set_replication(self, path: str, replication: int) -> None:
        self.read(path)

    def remove(self, path: str) -> None:
        del self.files[path]

    def rmdir(self, path: str) -> None:
        if self.list(path):
            raise OSError(f"not empty: {path}")
        self.directories.remove(path)

    def write_stream(self, path: str, size_bytes: int) -> None:
        self.files[path] = bytes(size_bytes)

    def read_stream(self, path: str) -> int:
        return len(self.read(path))

    def remove_all(self) -> None:
        self.files.clear()

    def close(self) -> None:
        return


def part_of(name: str, target: Target, number: int = 0, callers: int = 1, **settings: Any) -> Part:
    return Part(target, number, callers, 7, WORKLOADS[name].check(settings))


def run_phase(phase: Phase, steps: int = 40) -> int:
    """All steps of a phase; so many of one that runs for a time."""
    count = steps if phase.steps is None else phase.steps
    return sum(phase.draw(number).call() for number in range(count))


SMALL: dict[str, dict[str, Any]] = {
    "smallfiles": {"files": 60, "data": "files", "distinct": 20, "batch": 7},
    "mdtest": {"depth": 2, "branch": 2, "items": 3},
    "scale": {"points": [20, 70], "operations": ["stat", "list"]},
    "stream": {"size_bytes": 2 << 20},
    "stream-write": {"size_bytes": 1 << 20},
    "stream-read": {"size_bytes": 1 << 20},
}


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "spotify"])
def test_every_workload_runs_with_several_callers(name: str) -> None:
    target, workload = MemoryTarget(), WORKLOADS[name]
    settings = SMALL.get(name, {"count": 30})
    callers = [workload.prepare(part_of(name, target, number, 3, **settings)) for number in range(3)]
    for number, kind in enumerate(workload.phases_of(workload.check(settings))):
        # All callers do a phase before any does the next, as it is with a real run.
        amounts = [run_phase(phases[number]) for phases in callers]
        assert all(amounts), f"{kind.name}: a caller did nothing"
        assert [phases[number].name for phases in callers] == [kind.name] * 3


def test_single_operations_do_what_they_say() -> None:
    target = MemoryTarget()
    (create,) = WORKLOADS["create"].prepare(part_of("create", target, count=20))
    run_phase(create)
    assert len(target.files) == 20
    (remove,) = WORKLOADS["remove"].prepare(part_of("remove", target, 1, 2, count=10))
    assert len(target.files) == 30
    run_phase(remove)
    assert len(target.files) == 20


@pytest.mark.parametrize("name", ["rename", "stat", "chmod", "list", "read-many", "create", "remove"])
def test_operations_go_on_as_long_as_arrivals_do(name: str) -> None:
    part = part_of(name, MemoryTarget(), count=10)
    part.expected_steps = 35
    (phase,) = WORKLOADS[name].prepare(part)
    assert all(phase.draw(number).call() for number in range(35))


def test_the_shares_of_the_mix() -> None:
    assert sum(MIX_PERCENT.values()) == pytest.approx(100)
    target, count = MemoryTarget(), 30_000
    (phase,) = WORKLOADS["spotify"].prepare(part_of("spotify", target, files=300))
    drawn: Counter[str] = Counter()
    for number in range(count):
        operation = phase.draw(number)
        operation.call()
        drawn[operation.kind] += 1
    assert drawn.keys() == MIX_PERCENT.keys()
    for kind, percent in MIX_PERCENT.items():
        expected = count * percent / 100
        # Five standard deviations: a fault in 1.7 million runs, were the seed not fixed.
        assert abs(drawn[kind] - expected) < 5 * (expected + 1) ** 0.5, (
            f"{kind}: {drawn[kind]}, not {expected:.0f}"
        )
    assert len(target.files) == 300 + drawn["create"] - drawn["delete"]


def test_targets_without_replicas_are_not_asked_to_set_them() -> None:
    target = MemoryTarget()
    target.has_replication = False
    (phase,) = WORKLOADS["spotify"].prepare(part_of("spotify", target, files=50))
    assert "set replication" not in {phase.draw(number).kind for number in range(5000)}


def test_the_namespace_of_the_mix() -> None:
    target = MemoryTarget()
    for number in range(2):
        WORKLOADS["spotify"].prepare(part_of("spotify", target, number, 2, files=2000, sizes="100"))
    assert len(target.files) == 2000
    by_directory = Counter(path.rpartition("/")[0] for path in target.files)
    assert max(by_directory.values()) <= 16
    subdirectories = Counter(path.rpartition("/")[0] for path in by_directory if path.count("/"))
    assert max(subdirectories.values()) <= 2
    assert set(map(len, target.files.values())) == {100}


def test_a_pool_of_one_file_stays_usable() -> None:
    target = MemoryTarget()
    (phase,) = WORKLOADS["spotify"].prepare(part_of("spotify", target, files=1))
    for number in range(5000):
        phase.draw(number).call()
    assert target.files


def test_a_pool_never_gives_a_name_twice() -> None:
    rng, pool = random.Random(1), Pool("root", 100, 16, 2)
    names = {pool.path(number) for number in pool.files}
    for _ in range(2000):
        action = rng.random()
        if action < 0.4:
            new = pool.add()
        elif action < 0.7 and len(pool.files) > 1:
            names.remove(pool.take(rng))
            continue
        else:
            old, new = pool.rename(rng)
            names.remove(old)
        assert new not in names
        names.add(new)
    assert names == {pool.path(number) for number in pool.files}


def test_the_sizes_of_the_mix() -> None:
    rng, count = random.Random(2), 50_000
    drawn = Counter(spotify_size(rng) // 1024 for _ in range(count))
    assert drawn.keys() == SPOTIFY_KIB_PERCENT.keys()
    for kib, percent in SPOTIFY_KIB_PERCENT.items():
        expected = count * percent / 100
        assert abs(drawn[kib] - expected) < 5 * expected**0.5, f"{kib} KiB: {drawn[kib]}, not {expected:.0f}"
    mean = sum(kib * 1024 * number for kib, number in drawn.items()) / count
    assert mean == pytest.approx(SPOTIFY_MEAN_BYTES, rel=0.02)
    assert size_drawer("123")(rng) == 123
    with pytest.raises(InvalidArgument):
        size_drawer("large")


def test_images_are_jpegs_of_a_few_kib() -> None:
    pytest.importorskip("sklearn")
    images = samples("images", 40, 1)
    assert len(set(images)) == 40
    assert all(decode(image) >= 48 * 48 for image in images)
    assert 1024 < sum(map(len, images)) / len(images) < 16 * 1024
    assert images == samples.__wrapped__("images", 40, 1), "the seed decides"


def test_every_file_is_in_one_share_of_an_epoch() -> None:
    target = MemoryTarget()
    settings = SMALL["smallfiles"]
    callers = [
        WORKLOADS["smallfiles"].prepare(part_of("smallfiles", target, n, 3, **settings)) for n in range(3)
    ]
    for phases in callers:
        run_phase(phases[0])
    read: list[str] = []
    target.read = noting(target.read, read)  # type: ignore[method-assign]  # the target then notes what is read
    for phases in callers:
        run_phase(phases[3])
    assert sorted(read) == sorted(target.files), "each file once"
    assert read != sorted(read), "shuffled"


def test_a_wrong_content_is_noticed() -> None:
    target = MemoryTarget()
    phases = WORKLOADS["smallfiles"].prepare(part_of("smallfiles", target, **SMALL["smallfiles"]))
    run_phase(phases[0])
    victim = next(path for path, data in target.files.items() if data)
    target.files[victim] = target.files[victim][:-1] + b"\0"
    with pytest.raises(OastError, match="does not hold what was written"):
        run_phase(phases[1])


def test_trees_are_full() -> None:
    assert tree(2, 2) == ["t", "t/t0", "t/t1", "t/t0/t0", "t/t0/t1", "t/t1/t0", "t/t1/t1"]
    assert tree(0, 5) == ["t"]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="no setting colour"):
        WORKLOADS["stat"].check({"colour": 1})


@pytest.mark.parametrize("axis", ["files", "directory", "depth"])
def test_a_namespace_grows_along_its_axis(axis: str) -> None:
    target, workload, callers = MemoryTarget(), WORKLOADS["scale"], 2
    points = [2, 5] if axis == "depth" else [2000, 5002]
    settings = workload.check({"axis": axis, "points": points})
    phases = [workload.prepare(Part(target, number, callers, 7, settings)) for number in range(callers)]
    kinds = workload.phases_of(settings)
    for number, kind in enumerate(kinds):
        point = int(dict(kind.axes)[axis])
        for caller in phases:
            run_phase(caller[number], steps=50)
        old = [path for path in target.files if "new" not in path]
        if axis == "depth":
            deep = [path for path in old if path.count("/") == point]
            assert len(deep) == callers * 1000, kind
        else:
            assert len(old) == point, kind
        if axis == "directory":
            assert {path.rpartition("/")[0] for path in target.files} == {"all"}
    assert len([path for path in target.files if "new" in path]) == 2 * callers * 50


def test_points_of_a_scale() -> None:
    wrong: dict[str, Any]
    for wrong in ({"axis": "colour"}, {"points": [5, 3]}, {"points": []}, {"operations": ["fly"]}):
        with pytest.raises(InvalidArgument):
            WORKLOADS["scale"].check(wrong)
