"""Asking datanodes for a digest of every replica: that it is there, whole, and the same as the others.

Works page by page outside of any transaction, for networks are slow; what looks wrong is reported only
if the block has not changed meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from oastfs.core.errors import BlockNotFound, CorruptBlock, OastError
from oastfs.namenode.blocks.replicas import mark_corrupt
from oastfs.namenode.cluster import Cluster, StorageView
from oastfs.namenode.context import Context
from oastfs.namenode.fsck.report import Problem, Repair, Report, where
from oastfs.store.schema import BLOCK, REPLICA, Block
from oastfs.store.table import Key
from oastfs.store.transaction import Store, Transaction
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, TransferConnection, check_response
from oastfs.wire.transfer.messages import checksum_request

PAGE_BLOCKS: Final = 200
TIMEOUT_SECONDS: Final = 60.0


class _Item(NamedTuple):
    key: Key
    block: Block
    path: str
    replicas: list[StorageView]


def ask_datanodes(store: Store, report: Report, now_ns: int, dead_after_ns: int) -> None:
    """Add what datanodes say of their replicas to the report's ``health``."""
    datanodes = _Datanodes()
    cluster = Cluster(dead_after_ns)
    after: Key | None = None
    try:
        while True:
            items, after = store.read(partial(_page, cluster=cluster, now_ns=now_ns, after=after))
            for item in items:
                _check_block(store, report, datanodes, item)
            if after is None:
                return
    finally:
        datanodes.close()


def _page(
    tx: Transaction, cluster: Cluster, now_ns: int, after: Key | None
) -> tuple[list[_Item], Key | None]:
    rows = list(tx.scan(BLOCK, after=after, limit=PAGE_BLOCKS))
    items = []
    for key, block in rows:
        if not block.generation_stamp or block.pending_stamp or not block.length:
            continue
        views = []
        for (_, storage_id), row in tx.scan(REPLICA, (block.block_id,)):
            view = cluster.find(tx, now_ns, int(storage_id))
            good = not row.corrupt and row.generation_stamp >= block.generation_stamp
            if good and view is not None and cluster.is_live(view, now_ns):
                views.append(view)
        items.append(_Item(key, block, where(tx, int(key[0])), views))
    return items, rows[-1][0] if len(rows) == PAGE_BLOCKS else None


def _check_block(store: Store, report: Report, datanodes: _Datanodes, item: _Item) -> None:
    block = item.block
    digests: dict[bytes, list[int]] = {}
    found: list[Problem] = []
    for view in item.replicas:
        report.checked["replica on its datanode"] += 1
        name = f"replica of block {block.block_id} on storage {view.storage_id}"
        try:
            digest = datanodes.digest(view, block)
        except (BlockNotFound, CorruptBlock) as error:
            code = "lost" if isinstance(error, BlockNotFound) else "corrupt"
            text = f"{name}: {error.message}"
            found.append(Problem(code, item.path, text, _give_up_replica(block.block_id, view.storage_id)))
        except OastError as error:
            found.append(Problem("unreachable", item.path, f"{name}: {error.message}"))
        else:
            digests.setdefault(digest, []).append(view.storage_id)
    if len(digests) > 1:
        text = f"replicas of block {block.block_id} differ: storages {sorted(digests.values())}"
        found.append(Problem("differs", item.path, text))
    if found and store.read(lambda tx: tx.get(BLOCK, item.key)) == block:
        report.health += found
        report.health_counts.update(problem.code for problem in found)


def _give_up_replica(block_id: int, storage_id: int) -> Repair:
    """Have the replica replaced by a copy of a good one."""

    def mend_it(tx: Transaction, context: Context) -> None:
        mark_corrupt(tx, context, block_id, storage_id)

    return mend_it


class _Datanodes:
    """Connections that are kept from one question to the next."""

    def __init__(self) -> None:
        self._connections: dict[int, TransferConnection] = {}

    def digest(self, view: StorageView, block: Block) -> bytes:
        """CRC32C of the committed bytes and their number, of the bytes as they are on disk now."""
        connection = self._connections.pop(view.datanode_id, None)
        if connection is None:
            datanode = view.datanode
            connection = TransferConnection.open(datanode.host, datanode.data_port, TIMEOUT_SECONDS)
        try:
            name = BlockId(block.block_id, block.generation_stamp, block.length)
            connection.send(checksum_request(name, composite=True))
            response = connection.receive_message(pb.BlockOpResponse)
            check_response(response)
        except BaseException:
            connection.close()
            raise
        self._connections[view.datanode_id] = connection
        answer = response.checksumResponse
        if answer.crcPerBlock < -(-block.length // answer.bytesPerCrc):
            raise CorruptBlock(f"it has fewer than the committed {block.length} bytes")
        return answer.blockChecksum

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
