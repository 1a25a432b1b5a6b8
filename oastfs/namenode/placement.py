"""Choosing storages for new replicas. Pure: sees a view of the cluster and a source of randomness.

The writer's own machine comes first, then the better of two candidates drawn at random (Mitzenmacher,
"The Power of Two Choices"), which spreads load nearly as well as knowing everything and never sends
all writers to the one emptiest datanode. A datanode holds one replica of a block at most, and
machines are not repeated while there are others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from oastfs.namenode.cluster import StorageView


def choose(
    storages: Iterable[StorageView],
    count: int,
    size_bytes: int,
    random_below: Callable[[int], int],
    exclude: Collection[int] = (),
    local_host: str = "",
    used_hosts: Collection[str] = (),
) -> list[StorageView]:
    """At most ``count`` storages on different datanodes, the first one nearest to the writer.

    ``storages`` are live ones. ``exclude`` holds datanode ids; ``used_hosts`` machines that have a replica
    already. Fewer than ``count`` are given when there are not enough with ``size_bytes`` of room.
    """
    pool = _roomiest_by_datanode(storages, size_bytes, exclude)
    hosts = set(used_hosts)
    chosen: list[StorageView] = []
    while pool and len(chosen) < count:
        nearest = (
            [one for one in pool if one.datanode.host == local_host] if not chosen and local_host else []
        )
        fresh = nearest or [one for one in pool if one.datanode.host not in hosts] or pool
        best = _better_of_two(fresh, random_below)
        pool.remove(best)
        hosts.add(best.datanode.host)
        chosen.append(best)
    return chosen


def _roomiest_by_datanode(
    storages: Iterable[StorageView], size_bytes: int, exclude: Collection[int]
) -> list[StorageView]:
    best: dict[int, StorageView] = {}
    for one in storages:
        if one.storage.remaining < size_bytes or one.datanode_id in exclude:
            continue
        known = best.get(one.datanode_id)
        if known is None or one.storage.remaining > known.storage.remaining:
            best[one.datanode_id] = one
    return list(best.values())


def _better_of_two(pool: list[StorageView], random_below: Callable[[int], int]) -> StorageView:
    if len(pool) == 1:
        return pool[0]
    first = random_below(len(pool))
    second = random_below(len(pool) - 1)
    second += second >= first
    return max(pool[first], pool[second], key=merit)


def merit(one: StorageView) -> float:
    """The share of the storage that is free, less the busier its datanode is."""
    return one.storage.remaining / (one.storage.capacity or 1) / (1 + one.datanode.active_transfers)
