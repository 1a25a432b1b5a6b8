"""What this process remembers of datanodes, their storages and other namenodes, for at most a second.

Placing and locating blocks needs these few rows with every call; reading them anew each time would
cost more than the call itself. What is remembered is a hint: nothing is decided by it that a later
report does not correct. Reads no clock: the time comes with each call.

Whether a datanode is silent is told by its row not changing, as this process's own clock has it: stamps in
rows come from whichever namenode was sent the heartbeat, and machines' clocks differ.
"""

from __future__ import annotations

from typing import Final, NamedTuple

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


class Heard(NamedTuple):
    """What this process has seen of a datanode's heartbeats."""

    stamp_ns: int
    """The heartbeat in its row, by the clock of the namenode that wrote it."""
    since_ns: int
    """When that was, by the clock of this process, as well as it can know."""
    witnessed: bool
    """This process has seen it change: the datanode has been heard of since this process began."""


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

    __slots__ = (
        "_looked_ns", "_namenodes", "_read_ns", "_storages", "datanodes", "dead_after_ns", "heard",
    )  # fmt: skip

    def __init__(self, dead_after_ns: int = DEAD_AFTER_NS_DEFAULT) -> None:
        self.dead_after_ns = dead_after_ns
        self.datanodes: dict[int, Datanode] = {}
        self.heard: dict[int, Heard] = {}
        self._storages: dict[int, StorageView] = {}
        self._namenodes: list[NamenodeRow] = []
        self._read_ns = -_REMEMBERED_NS
        """When the rows were read, unless they are to be read anew."""
        self._looked_ns = 0
        """When they were read."""

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
        return view.readable and self.silence_ns(view.datanode_id, view.datanode, now_ns) < self.dead_after_ns

    def silence_ns(self, datanode_id: int, row: Datanode, now_ns: int) -> int:
        """How long nothing was heard of a datanode."""
        heard = self.heard.get(datanode_id)
        if heard is None or heard.stamp_ns != row.heartbeat_ns:
            return now_ns - row.heartbeat_ns  # a row that is newer than the last look
        return now_ns - heard.since_ns

    def _read(self, tx: Transaction, now_ns: int) -> None:
        datanodes = {int(key[0]): row for key, row in tx.scan(DATANODE)}
        self._storages = {
            int(key[0]): StorageView(int(key[0]), row, datanodes[row.datanode_id])
            for key, row in tx.scan(STORAGE)
            if row.datanode_id in datanodes
        }
        self._listen(datanodes, now_ns)
        self._looked_ns = now_ns
        self.datanodes = datanodes
        self._namenodes = [row for _, row in tx.scan(NAMENODE)]
        self._read_ns = now_ns

    def _listen(self, datanodes: dict[int, Datanode], now_ns: int) -> None:
        """Note whose heartbeat is another than at the last look: it came since then, whatever its stamp."""
        first = not self._looked_ns
        heard: dict[int, Heard] = {}
        for datanode_id, row in datanodes.items():
            known = self.heard.get(datanode_id)
            if known is not None and known.stamp_ns == row.heartbeat_ns:
                heard[datanode_id] = known
                continue
            earliest_ns = self._looked_ns if known is not None else 0
            since_ns = min(max(row.heartbeat_ns, earliest_ns), now_ns)
            heard[datanode_id] = Heard(row.heartbeat_ns, since_ns, known is not None or not first)
        self.heard = heard
