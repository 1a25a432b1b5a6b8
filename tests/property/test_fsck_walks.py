"""Long walks through the rules of ``test_fsck_blocks``: what hypothesis is too short-winded to meet.

A failure prints its seed and the last steps.
"""

from __future__ import annotations

import inspect
import random
import shutil
from collections.abc import Callable

import pytest

from tests.property.test_fsck_blocks import BLOCK_UNITS, FILE_UNITS, HOLDERS, Machine

OF_SESSIONS = ("write_on", "rebuild", "abandon", "truncate_what_is_written")


def walk(seed: int, steps: int) -> None:
    """So many rules, chosen by chance, with the same checks after each."""
    chance = random.Random(seed)
    machine = Machine()
    drawn: dict[str, Callable[[], object]] = {
        "holder": lambda: chance.choice(HOLDERS),
        "start": lambda: chance.randrange(0, FILE_UNITS, BLOCK_UNITS // 2),
        "dirty": lambda: chance.sample(range(BLOCK_UNITS), chance.randint(1, 3)),
        "reached": lambda: chance.choice([9, 9, 9, 9, 1, 0]),
        "fate": lambda: chance.choice(["commit", "commit", "commit and go on", "leave"]),
        "pick": lambda: chance.randrange(10),
        "cut": lambda: chance.randint(0, BLOCK_UNITS),
        "length": lambda: chance.randrange(FILE_UNITS),
        "seconds": lambda: chance.choice([1, 1, 20, 70]),
    }
    rare = ["truncate", "recover_lease", "complete", "report", "rot", "start_datanode", "stop_datanode"]
    names = [*["write"] * 12, *["write_on", "rebuild", "time_passes"] * 3, *rare, "abandon"]
    names += ["truncate_what_is_written", "start_datanode", "time_passes"]
    done: list[str] = []
    try:
        for _ in range(steps):
            name = "writers_die" if chance.random() < 0.005 else chance.choice(names)
            method = getattr(machine, name)
            if name in OF_SESSIONS and not machine.sessions:
                continue
            arguments = {one: drawn[one]() for one in inspect.signature(method).parameters}
            done.append(f"{name}({arguments})")
            method(**arguments)
            machine.readers_see_what_was_committed()
            machine.the_tables_are_whole()
    except BaseException:
        print(f"seed {seed}, the last steps:", *done[-30:], sep="\n")
        machine.store.close()
        shutil.rmtree(machine.directory)
        raise
    machine.teardown()


@pytest.mark.parametrize("seed", range(3))
def test_a_long_walk(seed: int) -> None:
    walk(seed, 300)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_very_long_walks(seed: int) -> None:
    walk(seed, 2_000)
