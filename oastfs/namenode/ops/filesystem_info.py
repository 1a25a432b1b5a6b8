"""filesystem_info: constants of the filesystem."""

from __future__ import annotations

from oastfs.core.types import FilesystemInfo
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def filesystem_info(tx: Transaction, context: Context) -> FilesystemInfo:
    """What was fixed when it was formatted (HDFS getServerDefaults and more)."""
    return context.info
