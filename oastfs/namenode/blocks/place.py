"""Which storages a new block of a file goes to."""

from __future__ import annotations

from collections.abc import Collection

from oastfs.core.errors import NoDatanodes
from oastfs.namenode import placement, storage_policies
from oastfs.namenode.cluster import StorageView
from oastfs.namenode.context import Context
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction


def place(
    tx: Transaction,
    context: Context,
    inode: Inode,
    exclude: list[int],
    local_host: str,
    favored: Collection[int] = (),
) -> list[StorageView]:
    """Live storages by the file's replication and policy, at least one. Raises NoDatanodes."""
    cluster, now_ns = context.cluster, context.now_ns
    live = [view for view in cluster.storages(tx, now_ns).values() if cluster.is_live(view, now_ns)]
    policy = storage_policies.of_file(tx, inode)
    replication = inode.replication or context.info.replication
    targets = placement.choose(
        live,
        replication,
        inode.block_size or context.info.block_size,
        context.environment.random_below,
        exclude,
        local_host,
        wanted_types=policy.types_of(replication),
        fallback_types=policy.creation_fallbacks,
        favored=favored,
    )
    if not targets:
        raise NoDatanodes(_why_none(live, exclude))
    return targets


def _why_none(live: list[StorageView], exclude: list[int]) -> str:
    datanodes = {view.datanode_id for view in live}
    if not datanodes:
        return "no datanode is live: start one with `oastfs datanode`"
    if datanodes <= set(exclude):
        return f"all {len(datanodes)} live datanodes have failed this writer"
    return f"none of {len(datanodes)} live datanodes has room for a block: add space or remove files"
