"""get_storage_policy: on which kinds of storage something is to be."""

from __future__ import annotations

from oastfs.core.storage_policies import BY_ID, DEFAULT, StoragePolicy
from oastfs.namenode import storage_policies, tree
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def get_storage_policy(tx: Transaction, context: Context, path: str) -> StoragePolicy:
    """HDFS getStoragePolicy: its own, or that of the nearest directory above that has one."""
    node = tree.resolve(tx, context, path)
    found = storage_policies.effective_id(tx, node.inode.flags, node.parent_id)
    return BY_ID.get(found, DEFAULT)
