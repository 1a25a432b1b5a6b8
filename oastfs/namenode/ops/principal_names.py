"""principal_names: what users and groups are called."""

from __future__ import annotations

from oastfs.namenode import principals
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def principal_names(
    tx: Transaction, context: Context, uids: list[int], gids: list[int]
) -> tuple[list[str], list[str]]:
    """Names by id, from the table, else the namenode's own system, else digits."""
    users = [principals.name_of(tx, principals.USER, uid) for uid in uids]
    return users, [principals.name_of(tx, principals.GROUP, gid) for gid in gids]
