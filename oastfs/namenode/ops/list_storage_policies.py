"""list_storage_policies: the policies that can be set."""

from __future__ import annotations

from oastfs.core.storage_policies import POLICIES, StoragePolicy
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def list_storage_policies(tx: Transaction, context: Context) -> list[StoragePolicy]:
    """HDFS getStoragePolicies."""
    return list(POLICIES)
