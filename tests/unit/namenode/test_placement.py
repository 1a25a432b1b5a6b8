from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from oastfs.namenode import placement
from oastfs.namenode.cluster import StorageView
from oastfs.store.schema import Datanode, Storage

GIB = 1 << 30


def storage(number: int, rack: str = "/r", host: str = "", remaining: int = GIB) -> StorageView:
    datanode = Datanode(f"d{number}", host or f"h{number}", 1, 0, "", 0, 0, 0, rack)
    row = Storage(f"s{number}", number, "DISK", GIB, GIB - remaining, remaining)
    return StorageView(number, row, datanode)


def choose(views: Sequence[StorageView], count: int, seed: int = 0, **more: Any) -> list[StorageView]:
    return placement.choose(views, count, 1024, random.Random(seed).randrange, **more)


@pytest.mark.parametrize("seed", range(20))
def test_three_replicas_are_on_two_racks(seed: int) -> None:
    views = [storage(number, f"/rack{number % 3}") for number in range(9)]
    first, second, third = choose(views, 3, seed)
    assert first.datanode.rack != second.datanode.rack == third.datanode.rack
    assert len({one.datanode.host for one in (first, second, third)}) == 3


@pytest.mark.parametrize("seed", range(10))
def test_one_rack_is_no_hindrance(seed: int) -> None:
    views = [storage(number) for number in range(3)]
    assert {one.storage_id for one in choose(views, 3, seed)} == {0, 1, 2}
    assert len(choose(views, 5, seed)) == 3


@pytest.mark.parametrize("seed", range(10))
def test_what_is_missing_goes_beside_what_is_there(seed: int) -> None:
    views = [storage(number, f"/rack{number % 2}") for number in range(6)]
    (second,) = choose(views, 1, seed, exclude=[0], beside=[views[0]])
    assert second.datanode.rack == "/rack1"
    (third,) = choose(views, 1, seed, exclude=[0, 1], beside=views[:2])
    assert third.datanode.rack == "/rack1"


def test_the_writers_own_machine_comes_first() -> None:
    views = [storage(number, f"/rack{number % 2}") for number in range(6)]
    for seed in range(10):
        first, second = choose(views, 2, seed, local_host="h3")
        assert first.storage_id == 3 and second.datanode.rack == "/rack0"


def test_favoured_datanodes_come_before_all_others() -> None:
    views = [storage(number, f"/rack{number % 2}") for number in range(6)]
    for seed in range(10):
        chosen = choose(views, 3, seed, local_host="h3", favored=[2, 4])
        assert {one.storage_id for one in chosen[:2]} == {2, 4} and len(chosen) == 3
        assert choose(views, 1, seed, local_host="h3", favored=[5], exclude=[5])[0].storage_id == 3


def test_machines_are_repeated_only_when_there_is_no_other() -> None:
    views = [storage(0, host="a"), storage(1, host="a"), storage(2, host="b")]
    for seed in range(10):
        assert {one.datanode.host for one in choose(views, 2, seed)} == {"a", "b"}
    assert len(choose(views, 3)) == 3


def test_full_storages_are_left_out() -> None:
    assert [one.storage_id for one in choose([storage(0, remaining=0), storage(1)], 2)] == [1]
