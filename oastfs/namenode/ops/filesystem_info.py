"""filesystem_info: constants of the filesystem."""

from __future__ import annotations

import msgspec

from oastfs.core.types import FilesystemInfo
from oastfs.namenode import trash
from oastfs.namenode.context import Context
from oastfs.store.transaction import Transaction


def filesystem_info(tx: Transaction, context: Context) -> FilesystemInfo:
    """What was fixed when it was formatted (HDFS getServerDefaults and more)."""
    return msgspec.structs.replace(context.info, trash_interval_minutes=trash.settings(tx).interval)
