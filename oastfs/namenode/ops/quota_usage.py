"""quota_usage: quotas of a directory, and what is taken of them."""

from __future__ import annotations

from oastfs.core.types import QuotaUsage
from oastfs.namenode import quotas, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.content_summary import content_summary
from oastfs.namenode.permissions import EXECUTE, READ, require
from oastfs.store.schema import QUOTA
from oastfs.store.transaction import Transaction


def quota_usage(tx: Transaction, context: Context, path: str) -> QuotaUsage:
    """HDFS getQuotaUsage: from the row if there is one, else by counting."""
    node = tree.resolve(tx, context, path)
    row = tx.get(QUOTA, (node.inode.id,)) if node.is_directory else None
    if row is None or not quotas.is_counted(row):
        summary = content_summary(tx, context, path)
        return QuotaUsage(summary.file_count + summary.directory_count, summary.space_consumed)
    require(context, node.inode, READ | EXECUTE, path)
    # What single types take is not kept, so it has to be counted.
    types = content_summary(tx, context, path).type_quotas if row.type_limits else ()
    return QuotaUsage(row.names, row.space, row.names_max, row.space_max, types)
