"""The machine loses power, or the process its life, at any moment: what was acknowledged is there."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from oastfs.cli.stores import FormatRequest, format_new
from tests.harness.power import (
    KILL_POINTS,
    Evidence,
    lose_power,
    start_worker,
    verify,
    wait_for_acknowledgements,
)

ROUNDS = 6
IN_RECOVERY = ("snapshot restored", "records applied")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    format_new([f"lmdb://{tmp_path}/store"], FormatRequest(replication=1, inline_limit=None, block_size=None))
    return tmp_path / "store"


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "evidence")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_power_fails_again_and_again(path: Path, evidence: Evidence, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        worker = start_worker(path, evidence, 1)
        wait_for_acknowledgements(evidence, 1, chance.choice((1, 20, 200)))
        time.sleep(chance.random() / 50)
        worker.kill()
        worker.join(30)
        lose_power(path, evidence, chance)
        verify(path, evidence)


@pytest.mark.parametrize("seed", [1, 2])
def test_one_of_two_processes_dies_and_the_other_goes_on(path: Path, evidence: Evidence, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS // 2):
        first, second = (start_worker(path, evidence, number) for number in (1, 2))
        for number in (1, 2):
            wait_for_acknowledgements(evidence, number, chance.choice((1, 50)))
        first.kill()
        first.join(30)
        wait_for_acknowledgements(evidence, 2, chance.choice((1, 100, 200)))
        second.kill()
        second.join(30)
        lose_power(path, evidence, chance)
        verify(path, evidence)


@pytest.mark.parametrize("hits", [1, 7])
@pytest.mark.parametrize("point", sorted(KILL_POINTS))
def test_death_at_a_point(path: Path, evidence: Evidence, point: str, hits: int) -> None:
    chance = random.Random(point)
    for power_fails in (False, True):
        if point in IN_RECOVERY:
            worker = start_worker(path, evidence, 1, checkpoint_groups=1_000_000)
            wait_for_acknowledgements(evidence, 1, 100)
            worker.kill()
            worker.join(30)
        worker = start_worker(path, evidence, 1, point, _hits(point, hits))
        worker.join(60)
        assert worker.exitcode == -9, f"never came to the point, or ended otherwise: {worker.exitcode}"
        if power_fails:
            lose_power(path, evidence, chance)
        verify(path, evidence)


def _hits(point: str, hits: int) -> int:
    """A recovery comes to its points only so often."""
    return {"snapshot restored": 1, "records applied": min(hits, 2)}.get(point, hits)


def test_two_processes_open_at_once(path: Path, evidence: Evidence) -> None:
    """After each crash both come to a store that has to be repaired."""
    chance = random.Random(1)
    for _ in range(50):
        workers = [start_worker(path, evidence, number) for number in (1, 2)]
        for number in (1, 2):
            wait_for_acknowledgements(evidence, number, 1)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join(30)
            assert not worker.is_alive(), "a killed process is still there after 30 s"
        lose_power(path, evidence, chance)
    assert verify(path, evidence) >= 50
