"""The namenodes of a filesystem: each keeps a row of its own fresh, so that all know where the others are."""

from __future__ import annotations

from typing import Final

from oastfs.namenode.context import Context
from oastfs.store.schema import COUNTER, NAMENODE, Counter, NamenodeRow
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

LEADER: Final = "leader"
"""The claim of the namenode that runs the jobs."""
HEARTBEAT_SECONDS: Final = 3.0
SILENT_NS: Final = 15 * 10**9
"""One that was not heard of for this long is not live."""
FORGOTTEN_NS: Final = 600 * 10**9
"""And its row is removed after this."""


def register(tx: Transaction, context: Context, host: str, port: int, http_port: int) -> int:
    """The id of the namenode at an address: that of the row that is there, or a new one."""
    known = [int(key[0]) for key, row in tx.scan(NAMENODE) if (row.host, row.port) == (host, port)]
    if known:
        namenode_id = known[0]
    else:
        counter = tx.get(COUNTER, ("namenode",), Lock.EXCLUSIVE)
        namenode_id = 1 if counter is None else counter.value
        tx.put(COUNTER, ("namenode",), Counter(namenode_id + 1))
    tx.put(NAMENODE, (namenode_id,), NamenodeRow(host, port, http_port, context.now_ns))
    return namenode_id


def beat(tx: Transaction, context: Context, namenode_id: int, host: str, port: int, http_port: int) -> None:
    """Keep the row of a namenode fresh, and drop those of namenodes that are long gone."""
    tx.put(NAMENODE, (namenode_id,), NamenodeRow(host, port, http_port, context.now_ns))
    for key, row in list(tx.scan(NAMENODE)):
        if context.now_ns - row.heartbeat_ns > FORGOTTEN_NS:
            tx.delete(NAMENODE, key)


def leave(tx: Transaction, namenode_id: int) -> None:
    """A namenode stops."""
    tx.delete(NAMENODE, (namenode_id,))


def is_live(row: NamenodeRow, now_ns: int) -> bool:
    """Whether the namenode was heard of lately."""
    return now_ns - row.heartbeat_ns < SILENT_NS
