"""principal_ids: the numbers of users and groups."""

from __future__ import annotations

from oastfs.namenode import principals
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def principal_ids(
    tx: Transaction, context: Context, users: list[str], groups: list[str]
) -> tuple[list[int], list[int]]:
    """Ids by name; a name that is seen for the first time is given one."""
    uids = [principals.id_of(tx, principals.USER, name) for name in users]
    return uids, [principals.id_of(tx, principals.GROUP, name) for name in groups]
