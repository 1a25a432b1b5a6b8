"""set_storage_policy: on which kinds of storage a file, or what is in a directory, is to be."""

from __future__ import annotations

from oastfs.core.errors import InvalidArgument
from oastfs.core.storage_policies import BY_ID, BY_NAME, LAZY_PERSIST
from oastfs.namenode import storage_policies, tree
from oastfs.namenode.context import Context
from oastfs.namenode.permissions import WRITE, require
from oastfs.store.transaction import Transaction


def set_storage_policy(tx: Transaction, context: Context, path: str, policy: str) -> None:
    """HDFS setStoragePolicy, and unsetStoragePolicy where ``policy`` is empty.

    It holds for blocks that are written from now on; replicas that are there stay where they are.
    """
    chosen = BY_NAME.get(policy.upper())
    if policy and chosen is None:
        raise InvalidArgument(f"Cannot find a block policy with the name {policy}")
    node = tree.resolve(tx, context, path)
    inode = node.inode
    require(context, inode, WRITE, path)
    policy_id = 0 if chosen is None else chosen.policy_id
    if not node.is_directory:
        if policy_id == LAZY_PERSIST:
            raise InvalidArgument(f"Policy {chosen} cannot be set after file creation.")
        if storage_policies.own_id(inode.flags) == LAZY_PERSIST:
            known = BY_ID[LAZY_PERSIST].name
            raise InvalidArgument(f"Existing policy {known} cannot be changed after file creation.")
    flags = storage_policies.with_own(inode.flags, policy_id)
    if flags != inode.flags:
        storage_policies.note_use(tx)
        tree.save(tx, node, tree.with_attributes(inode, flags=flags, ctime_ns=context.now_ns))
