"""What this process remembers of datanodes, their storages and other namenodes, for at most a second.

Placing and locating blocks needs these few rows with every call; reading them anew each time would
cost more than the call itself. What is remembered is a hint: nothing is decided by it that a later
report does not correct. Reads no clock: the time comes with each call.
"""

from __future__ import annotations

from typing import Final

from oastfs.core.types import Location
from oastfs.store.schema import DATANODE, NAMENODE, STORAGE, Datanode, NamenodeRow, Storage
from oastfs.store.transaction import Transaction

SECOND_NS: Final = 10**9
DEAD_AFTER_NS_DEFAULT: Final = 30 * SECOND_NS
"""A datanode is taken for dead when its last heartbeat is older than this."""

DATANODE_LIVE: Final = 0
DATANODE_DEAD: Final = 1
DATANODE_DECOMMISSIONING: Final = 2

DEFAULT_RACK: Final = "/default-rack"
"""Where a datanode is that was not told where it is (HDFS's name for it)."""

STORAGE_NORMAL: Final = 0
STORAGE_FAILED: Final = 1
"""Lost, with its datanode or alone; its blocks are still to be queued for replication."""
STORAGE_DRAINED: Final = 2
"""Lost, and all of its blocks have been queued."""

_REMEMBERED_NS: Final = SECOND_NS


class StorageView:
    """One storage with what readers and writers need of its datanode."""

    __slots__ = ("datanode", "datanode_id", "location", "storage", "storage_id")

    def __init__(self, storage_id: int, storage: Storage, datanode: Datanode) -> None:
        self.storage_id = storage_id
        self.storage = storage
        self.datanode_id = storage.datanode_id
        self.datanode = datanode
        self.location = Location(
            storage_id,
            storage.uuid,
            storage.datanode_id,
            datanode.uuid,
            datanode.host,
            datanode.data_port,
            datanode.control_port,
            datanode.local_socket,
            storage.storage_type,
            datanode.http_port,
        )

    @property
    def readable(self) -> bool:
        """Not known to be lost. After a restart of everything heartbeats are old, yet data is there."""
        return self.storage.state == STORAGE_NORMAL and self.datanode.state != DATANODE_DEAD


class Cluster:
    """The remembered rows, one object for each process; see the module for what they are good for."""

    __slots__ = ("_namenodes", "_read_ns", "_storages", "datanodes", "dead_after_ns")

    def __init__(self, dead_after_ns: int = DEAD_AFTER_NS_DEFAULT) -> None:
        self.dead_after_ns = dead_after_ns
        self.datanodes: dict[int, Datanode] = {}
        self._storages: dict[int, StorageView] = {}
        self._namenodes: list[NamenodeRow] = []
        self._read_ns = -_REMEMBERED_NS

    def forget(self) -> None:
        """Read anew at the next use: something was just changed by this process."""
        self._read_ns = -_REMEMBERED_NS

    def storages(self, tx: Transaction, now_ns: int) -> dict[int, StorageView]:
        """Every storage by its id."""
        if not 0 <= now_ns - self._read_ns < _REMEMBERED_NS:
            self._read(tx, now_ns)
        return self._storages

    def namenodes(self, tx: Transaction, now_ns: int) -> list[NamenodeRow]:
        """Namenodes that are there, or were a short while ago."""
        self.storages(tx, now_ns)
        return self._namenodes

    def find(self, tx: Transaction, now_ns: int, storage_id: int) -> StorageView | None:
        """One storage; one that registered a moment ago is found, too."""
        found = self.storages(tx, now_ns).get(storage_id)
        if found is None and tx.get(STORAGE, (storage_id,)) is not None:
            self._read(tx, now_ns)
            found = self._storages.get(storage_id)
        return found

    def is_live(self, view: StorageView, now_ns: int) -> bool:
        """Whether the storage can be written to now."""
        return view.readable and now_ns - view.datanode.heartbeat_ns < self.dead_after_ns

    def _read(self, tx: Transaction, now_ns: int) -> None:
        datanodes = {int(key[0]): row for key, row in tx.scan(DATANODE)}
        self._storages = {
            int(key[0]): StorageView(int(key[0]), row, datanodes[row.datanode_id])
            for key, row in tx.scan(STORAGE)
            if row.datanode_id in datanodes
        }
        self.datanodes = datanodes
        self._namenodes = [row for _, row in tx.scan(NAMENODE)]
        self._read_ns = now_ns
