"""Telling namenodes what changed here: promptly, in batches, and in full from time to time.

Any one namenode suffices. What could not be told is kept until one answers. Changes go to the same one for as
long as it takes them, each datanode beginning with another; full reports go to one after the other, volume by
volume, so that all namenodes have their share. A namenode may put a report off.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import grpc
import structlog

from oastfs.datanode.block_store import BlockStore, Change
from oastfs.datanode.replica import Replica
from oastfs.datanode.volume import Volume
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.proto.control_pb2_grpc import ControlStub

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.05
"""Changes that come this close together go in one message."""
REPORT_BATCH = 10_000
CHANGES_MAX = 5_000
RETRY_SECONDS = 1.0
PUT_OFF_SECONDS_MIN, PUT_OFF_SECONDS_MAX = 0.2, 1.0
"""How long to wait after namenodes have enough reports to take in."""
CALL_SECONDS = 30.0
LAST_CALL_SECONDS = 2.0
REPORT_CALL_SECONDS = 600.0


class _Item(NamedTuple):
    change: Change
    storage_id: int
    volume: Volume | None
    block_id: int
    generation_stamp: int
    length: int


class Registered(NamedTuple):
    """A namenode that this datanode is registered with."""

    stub: ControlStub
    datanode_id: int
    address: str
    inline_limit: int = 0
    """Longest content that it keeps in the metadata."""
    rpc_address: str = ""
    """Its own port ("host:port"), if it has told."""


class Reporter:
    """Sends changes and block reports in a thread of its own."""

    def __init__(self, namenodes: Callable[[], list[Registered]]) -> None:
        self._namenodes = namenodes
        self._store: BlockStore | None = None
        self._lock = threading.Lock()
        self._items: list[_Item] = []
        self._wake = threading.Event()
        self._stopping = False
        self._report_wanted = False
        self._report_to = ""
        """The namenode that asked for the report, if one did."""
        self._unreported: list[Volume] = []
        """Volumes that a report which was begun has yet to tell of."""
        self._joined = False
        self._next_report = math.inf
        self._not_before = 0.0
        """When a report that was put off is to be tried again."""
        self._turn = random.randrange(1 << 16)
        self._place = self._turn
        self.report_interval_seconds = 3600.0
        self.reports_sent = 0
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self, store: BlockStore) -> None:
        """Begin to send; full reports come from ``store``."""
        self._store = store
        self._thread.start()

    def stop(self) -> None:
        """Send what there is if a namenode answers, and end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- what there is to tell --------------------------------------------------------------------

    def changed(self, change: Change, replica: Replica) -> None:
        """Something happened to a replica."""
        self._add(
            _Item(change, 0, replica.volume, replica.block_id, replica.generation_stamp, replica.length)
        )

    def not_here(self, change: Change, storage_id: int, block: pb.BlockRef) -> None:
        """A command named a replica that is not here."""
        self._add(_Item(change, storage_id, None, block.block_id, block.generation_stamp, 0))

    def _add(self, item: _Item) -> None:
        with self._lock:
            self._items.append(item)
        self._wake.set()

    def report_soon(self, address: str = "") -> None:
        """Send a full report as soon as a namenode takes it, preferably the one at ``address``."""
        self._report_to = address
        self._report_wanted = True
        self._wake.set()

    def joined(self, again: bool) -> None:
        """A namenode has registered this datanode. What another knows already is not told once more."""
        if again or not self._joined:
            self._joined = True
            self.report_soon()
        self._wake.set()

    def retry(self) -> None:
        """A namenode answers (again)."""
        self._wake.set()

    # --- telling it -------------------------------------------------------------------------------

    @property
    def _report_due(self) -> bool:
        return self._report_wanted or bool(self._unreported) or time.monotonic() >= self._next_report

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._wait_seconds())
            self._wake.clear()
            if self._items and not self._stopping:
                time.sleep(GATHER_SECONDS)
            if self._tell_changes() and self._report_due and time.monotonic() >= self._not_before:
                self._report()
        self._tell_changes()

    def _wait_seconds(self) -> float | None:
        if not self._namenodes():
            return None  # one that answers wakes us
        now = time.monotonic()
        if self._items:
            return RETRY_SECONDS
        if self._report_due:
            return max(0.0, self._not_before - now)
        return None if self._next_report == math.inf else max(0.0, self._next_report - now)

    def _in_turn(self, first: int) -> list[Registered]:
        """All namenodes that answer, beginning with another one for each ``first``."""
        namenodes = self._namenodes()
        start = first % len(namenodes) if namenodes else 0
        return namenodes[start:] + namenodes[:start]

    def _tell_changes(self) -> bool:
        """To the first namenode that takes them; nothing is lost if none does. Whether one did."""
        for namenode in self._in_turn(self._place):
            try:
                self._send_changes(namenode)
                return True
            except grpc.RpcError as error:
                log.info("changes were not taken", namenode=namenode.address, error=_reason(error))
        return False

    def _report(self) -> None:
        """All that is due, to one namenode; another one will be next."""
        self._turn += 1
        namenodes = self._in_turn(self._turn)
        namenodes.sort(key=lambda namenode: namenode.address != self._report_to)
        self._not_before = time.monotonic() + RETRY_SECONDS
        for namenode in namenodes:
            try:
                self._send_report(namenode)
                self._not_before = 0.0
                return
            except grpc.RpcError as error:
                log.info("a report was not taken", namenode=namenode.address, error=_reason(error))
                if _code(error) is grpc.StatusCode.RESOURCE_EXHAUSTED:  # the others would say the same
                    pause = random.uniform(PUT_OFF_SECONDS_MIN, PUT_OFF_SECONDS_MAX)
                    self._not_before = time.monotonic() + pause
                    return

    def _send_changes(self, namenode: Registered) -> None:
        while True:
            with self._lock:
                items = self._items[:CHANGES_MAX]
            if not items:
                return
            request = pb.BlocksChangedRequest(datanode_id=namenode.datanode_id)
            for item in items:
                storage_id = item.volume.storage_id if item.volume is not None else item.storage_id
                replicas = getattr(request, item.change.value)
                replicas.add(
                    storage_id=storage_id,
                    block_id=item.block_id,
                    generation_stamp=item.generation_stamp,
                    length=item.length,
                )
            try:
                namenode.stub.BlocksChanged(
                    request, timeout=LAST_CALL_SECONDS if self._stopping else CALL_SECONDS
                )
            except grpc.RpcError as error:
                if _code(error) is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                # Sending it again would fail again; the next full report puts right what matters.
                log.error("changes were refused", namenode=namenode.address, error=_reason(error))
            with self._lock:
                del self._items[: len(items)]

    def _send_report(self, namenode: Registered) -> None:
        """Go on with the report that was begun, or with a new one."""
        assert self._store is not None
        begun = time.monotonic()
        if self._report_wanted or not self._unreported:
            self._report_wanted = False
            self._unreported = list(self._store.volumes)
        count = 0
        while self._unreported:
            count += self._send_volume(namenode, self._unreported[0])
            del self._unreported[0]
        self._report_to = ""
        self.reports_sent += 1
        self._next_report = begun + self.report_interval_seconds
        log.info("block report sent", namenode=namenode.address, replicas=count)

    def _send_volume(self, namenode: Registered, volume: Volume) -> int:
        """Tell of all replicas of a volume; how many there are."""
        assert self._store is not None
        if volume.failed or not volume.storage_id:
            return 0
        replicas = list(self._store.replicas(volume))
        messages = report_messages(namenode.datanode_id, volume.storage_id, replicas)
        namenode.stub.BlockReport(messages, timeout=REPORT_CALL_SECONDS)
        for replica in replicas:
            if replica.corrupt:
                self.changed(Change.CORRUPT, replica)
        return len(replicas)


def report_messages(
    datanode_id: int, storage_id: int, replicas: list[Replica]
) -> Iterator[pb.BlockReportRequest]:
    """A storage's report in batches, in order of block id; one message even if there are no replicas."""
    for first in range(0, max(1, len(replicas)), REPORT_BATCH):
        batch = [
            pb.ReplicaReport(
                storage_id=storage_id,
                block_id=replica.block_id,
                generation_stamp=replica.generation_stamp,
                length=replica.length,
            )
            for replica in replicas[first : first + REPORT_BATCH]
        ]
        yield pb.BlockReportRequest(datanode_id=datanode_id, storage_id=storage_id, replicas=batch)


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    return error.code() if isinstance(error, grpc.Call) else None


def _reason(error: grpc.RpcError) -> str:
    if isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return str(error)
