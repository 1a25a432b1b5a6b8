"""stat: attributes of one path."""

from __future__ import annotations

from oastfs.core.types import FileStatus
from oastfs.namenode import tree
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def stat(tx: Transaction, context: Context, path: str, follow: bool) -> FileStatus:
    """Resolve and describe (stat(2), lstat(2); HDFS getFileInfo)."""
    return tree.status_of(tx, context, tree.resolve(tx, context, path, follow))
