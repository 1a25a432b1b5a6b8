"""The namenodes of a filesystem: each keeps a row of its own fresh, so that all know where the others are."""

from __future__ import annotations

from typing import Final, NamedTuple

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


class Ports(NamedTuple):
    """Where a namenode listens: for clients, for people, for datanodes."""

    rpc: int
    http: int
    control: int


def register(tx: Transaction, context: Context, host: str, ports: Ports) -> int:
    """The id of the namenode at an address: that of the row that is there, or a new one."""
    port = ports.rpc
    known = [int(key[0]) for key, row in tx.scan(NAMENODE) if (row.host, row.port) == (host, port)]
    if known:
        namenode_id = known[0]
    else:
        counter = tx.get(COUNTER, ("namenode",), Lock.EXCLUSIVE)
        namenode_id = 1 if counter is None else counter.value
        tx.put(COUNTER, ("namenode",), Counter(namenode_id + 1))
    tx.put(NAMENODE, (namenode_id,), _row(context, host, ports))
    return namenode_id


def beat(tx: Transaction, context: Context, namenode_id: int, host: str, ports: Ports) -> None:
    """Keep the row of a namenode fresh, and drop those of namenodes that are long gone."""
    tx.put(NAMENODE, (namenode_id,), _row(context, host, ports))
    for key, row in list(tx.scan(NAMENODE)):
        if context.now_ns - row.heartbeat_ns > FORGOTTEN_NS:
            tx.delete(NAMENODE, key)


def _row(context: Context, host: str, ports: Ports) -> NamenodeRow:
    return NamenodeRow(host, ports.rpc, ports.http, context.now_ns, ports.control)


def address(host: str, port: int) -> str:
    """As clients and datanodes are told it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def control_addresses(tx: Transaction, now_ns: int) -> list[tuple[str, str]]:
    """Where clients and where datanodes reach each namenode that lives."""
    return [
        (address(row.host, row.port), address(row.host, row.control_port))
        for _, row in tx.scan(NAMENODE)
        if row.control_port and is_live(row, now_ns)
    ]


def leave(tx: Transaction, namenode_id: int) -> None:
    """A namenode stops."""
    tx.delete(NAMENODE, (namenode_id,))


def is_live(row: NamenodeRow, now_ns: int) -> bool:
    """Whether the namenode was heard of lately."""
    return now_ns - row.heartbeat_ns < SILENT_NS
