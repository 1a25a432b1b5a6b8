"""Choosing storages for new replicas. Pure: sees a view of the cluster and a source of randomness.

The writer's own machine comes first, then the better of two candidates drawn at random (Mitzenmacher,
"The Power of Two Choices"), which spreads load nearly as well as knowing everything and never sends
all writers to the one emptiest datanode. A datanode holds one replica of a block at most, and
machines are not repeated while there are others. Where there are several racks, the second replica goes to
another one and the third beside the second (HDFS's BlockPlacementPolicyDefault): the loss of a rack
loses no block, and only one copy crosses between racks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from oastfs.namenode.cluster import StorageView


def choose(
    storages: Iterable[StorageView],
    count: int,
    size_bytes: int,
    random_below: Callable[[int], int],
    exclude: Collection[int] = (),
    local_host: str = "",
    beside: Sequence[StorageView] = (),
    wanted_types: Sequence[str] = (),
    fallback_types: Sequence[str] = (),
    favored: Collection[int] = (),
) -> list[StorageView]:
    """At most ``count`` storages on different datanodes, the first one nearest to the writer.

    ``storages`` are live ones. ``exclude`` holds datanode ids; ``beside`` has those with a replica
    already. Fewer than ``count`` are given when there are not enough with ``size_bytes`` of room.
    ``wanted_types`` are the storage types of the replicas in order; where there is none left of a type, it is
    one of ``fallback_types``, and any other after that. Datanodes whose ids are ``favored`` come before all
    others, wherever they are.
    """
    pool = _roomiest(storages, size_bytes, exclude)
    hosts = {one.datanode.host for one in beside}
    racks = [one.datanode.rack for one in beside]
    chosen: list[StorageView] = []
    while pool and len(chosen) < count:
        number = len(chosen)
        fitting = _of_types(pool, [*wanted_types[number : number + 1], *fallback_types])
        preferred = [one for one in fitting if one.datanode_id in favored]
        if not preferred and not chosen and local_host:
            preferred = [one for one in fitting if one.datanode.host == local_host]
        fresh = preferred or [one for one in fitting if one.datanode.host not in hosts] or fitting
        fresh = preferred or _on_racks(fresh, racks)
        best = _better_of_two(fresh, random_below)
        pool = [one for one in pool if one.datanode_id != best.datanode_id]
        hosts.add(best.datanode.host)
        racks.append(best.datanode.rack)
        chosen.append(best)
    return chosen


def _on_racks(pool: list[StorageView], racks: list[str]) -> list[StorageView]:
    """Those on the rack where the next replica belongs, after replicas on ``racks``; all if there is none."""
    if not racks or len(racks) > 2:
        return pool
    if len(set(racks)) == 1:
        found = [one for one in pool if one.datanode.rack != racks[0]]
    else:
        found = [one for one in pool if one.datanode.rack == racks[1]]
    return found or pool


def _of_types(pool: list[StorageView], types: Sequence[str]) -> list[StorageView]:
    """Storages of the first type that there is, one of each datanode; of any if there is none of these."""
    for storage_type in types:
        found = [one for one in pool if one.storage.storage_type == storage_type]
        if found:
            return found
    best: dict[int, StorageView] = {}
    for one in pool:
        known = best.get(one.datanode_id)
        if known is None or one.storage.remaining > known.storage.remaining:
            best[one.datanode_id] = one
    return list(best.values())


def _roomiest(
    storages: Iterable[StorageView], size_bytes: int, exclude: Collection[int]
) -> list[StorageView]:
    """Of each datanode the storage of each type that has the most room."""
    best: dict[tuple[int, str], StorageView] = {}
    for one in storages:
        if one.storage.remaining < size_bytes or one.datanode_id in exclude:
            continue
        key = (one.datanode_id, one.storage.storage_type)
        known = best.get(key)
        if known is None or one.storage.remaining > known.storage.remaining:
            best[key] = one
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
