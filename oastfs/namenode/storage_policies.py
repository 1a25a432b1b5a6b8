"""Which storage policy an inode has: its own, or that of the nearest directory above that has one.

An inode's own policy is four bits of its flags (``core/storage_policies.py``). A setting tells whether any
was ever set, so a filesystem without policies pays one look.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.storage_policies import BY_ID, DEFAULT, POLICY_MASK, POLICY_SHIFT, StoragePolicy
from oastfs.store.schema import INODE, PLACE, ROOT_ID, SETTING, Inode, Setting
from oastfs.store.transaction import Transaction

_KEY: Final = ("storage_policies",)
_ROOT_KEY: Final = (0, "")
_DEPTH_MAX: Final = 100_000


def in_use(tx: Transaction) -> bool:
    """Whether any inode may have a policy of its own."""
    return tx.get(SETTING, _KEY) is not None


def note_use(tx: Transaction) -> None:
    """A policy is being set."""
    if not in_use(tx):
        tx.put(SETTING, _KEY, Setting("in use"))


def own_id(flags: int) -> int:
    """Id of an inode's own policy; 0: none."""
    return (flags & POLICY_MASK) >> POLICY_SHIFT


def with_own(flags: int, policy_id: int) -> int:
    """The flags with another policy of its own."""
    return flags & ~POLICY_MASK | policy_id << POLICY_SHIFT


def effective_id(tx: Transaction, flags: int, parent_id: int) -> int:
    """Id of the policy that holds for an inode with these flags in this directory; 0: none was set."""
    found = own_id(flags)
    if found or not in_use(tx):
        return found
    return inherited_id(tx, parent_id)


def inherited_id(tx: Transaction, directory_id: int) -> int:
    """Id of the policy that holds in a directory; 0: none was set on it or above."""
    for _ in range(_DEPTH_MAX):
        place = None if directory_id == ROOT_ID else tx.get(PLACE, (directory_id,))
        key = _ROOT_KEY if place is None else (place.parent_id, place.name)
        entry = tx.get(INODE, key) if place is not None or directory_id == ROOT_ID else None
        if entry is None:
            return 0
        found = own_id(entry.flags)
        if found or place is None:
            return found
        directory_id = place.parent_id
    return 0


def of_file(tx: Transaction, inode: Inode) -> StoragePolicy:
    """The policy by which a file's replicas are placed."""
    place = tx.get(PLACE, (inode.id,)) if in_use(tx) else None
    found = own_id(inode.flags) if place is None else effective_id(tx, inode.flags, place.parent_id)
    return BY_ID.get(found, DEFAULT)
