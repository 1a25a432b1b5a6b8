"""namenodes: the namenodes that serve the filesystem."""

from __future__ import annotations

from oastfs.core.types import NamenodeReport
from oastfs.namenode import claims, registry
from oastfs.namenode.context import Context
from oastfs.store.schema import NAMENODE
from oastfs.store.transaction import Transaction


def namenodes(tx: Transaction, context: Context) -> list[NamenodeReport]:
    """Every namenode that is there, or was a short while ago."""
    leader = claims.holder(tx, registry.LEADER)
    return [
        NamenodeReport(
            int(key[0]),
            row.host,
            row.port,
            row.http_port,
            registry.is_live(row, context.now_ns),
            row.heartbeat_ns,
            int(key[0]) == leader,
        )
        for key, row in tx.scan(NAMENODE)
    ]
