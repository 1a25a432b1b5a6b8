"""forget: let go of files that were kept after their last name went."""

from __future__ import annotations

from oastfs.namenode import removal
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def forget(tx: Transaction, context: Context, inode_ids: list[int], holder: str) -> None:
    """The end of what ``unlink`` with ``keep_for`` began."""
    for inode_id in inode_ids:
        removal.release_orphan(tx, inode_id, holder)
