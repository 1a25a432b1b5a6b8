"""The background check of checksums: finds bytes that went bad on disk before a reader needs them.

Goes through all final replicas in order of block id at a limited rate, again and again; each volume
remembers how far it got. Replicas that readers complained of come first.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque

import structlog

from oastfs.core.errors import BlockNotFound, CorruptBlock
from oastfs.core.limits import BYTES_PER_CHECKSUM
from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.disk import drop_cache
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.reader import ReplicaReader
from oastfs.datanode.replica import Replica
from oastfs.datanode.volume import Volume
from oastfs.wire.transfer.checksum import ChecksumKind, first_bad_chunk

log = structlog.get_logger(__name__)

PROGRESS_NAME = "scrub.json"
_BATCH_BYTES = 1024 * 1024
_SAVE_SECONDS = 30.0
_RECHECKS = 2


class Scrubber:
    """Checks replicas in a thread of its own. ``bytes_per_second`` 0: only what is asked for."""

    def __init__(
        self, store: BlockStore, metrics: Metrics, bytes_per_second: int, period_seconds: float
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._rate = bytes_per_second
        self._period_seconds = period_seconds
        self._wanted: deque[Replica] = deque()
        self._pass_wanted = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scrubber", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; progress is kept."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def check_soon(self, replica: Replica) -> None:
        """Check this one next, at full speed."""
        self._wanted.append(replica)
        self._wake.set()

    def request_pass(self) -> None:
        """Check everything now, at full speed, in the background."""
        self._pass_wanted = True
        self._wake.set()

    # --- one replica ----------------------------------------------------------------------------

    def check(self, replica: Replica, *, limited: bool = False) -> bool:
        """Whether the replica matches its checksums; if not, it is marked and reported.

        True as well for one that is being written or was removed meanwhile: there is nothing to say of it.
        """
        if not replica.final or replica.removed:
            return True
        try:
            good = self._matches(replica, limited)
        except BlockNotFound:
            if not replica.removed:
                self._store.mark_missing(replica)
            return True
        except OSError as error:
            if replica.volume.failed:
                return True
            log.error("a replica cannot be read", error=str(error), **replica.fields)
            good = False
        if not good:
            self._metrics.corrupt.inc()
            self._store.mark_corrupt(replica)
        return good

    def _matches(self, replica: Replica, limited: bool) -> bool:
        for _ in range(_RECHECKS):
            epoch = replica.epoch
            try:
                with ReplicaReader(replica) as reader:
                    drop_cache(reader.data_fd)
                    if self._read_through(reader, limited):
                        return True
            except BlockNotFound:
                if replica.epoch == epoch:
                    raise
            except CorruptBlock:
                pass  # shorter than it should be
            if replica.epoch != epoch or not replica.final:
                return True  # a writer came; its blocks are checked another time
        return False

    def _read_through(self, reader: ReplicaReader, limited: bool) -> bool:
        for data, checksums in reader.batches(reader.replica.length, _BATCH_BYTES):
            if first_bad_chunk(ChecksumKind.CRC32C, BYTES_PER_CHECKSUM, data, checksums) is not None:
                return False
            self._metrics.bytes_scrubbed.inc(len(data))
            if limited and self._rate:
                self._stopping.wait(len(data) / self._rate)
        return True

    # --- all of them ----------------------------------------------------------------------------

    def run_pass(self) -> int:
        """Check every replica now, at full speed; how many are bad."""
        return sum(not self.check(replica) for replica in list(self._store.replicas()))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self._check_wanted()
            if self._pass_wanted:
                self._pass_wanted = False
                self.run_pass()
            wait_seconds = self._continue_pass() if self._rate else None
            if wait_seconds is None or wait_seconds > 0:
                self._wake.wait(wait_seconds)

    def _check_wanted(self) -> None:
        while self._wanted and not self._stopping.is_set():
            self.check(self._wanted.popleft())

    def _continue_pass(self) -> float:
        """Go on with each volume until something is asked for; seconds until there is more to do."""
        waits = [self._continue_volume(volume) for volume in self._store.volumes if not volume.failed]
        return min(waits, default=self._period_seconds)

    def _continue_volume(self, volume: Volume) -> float:
        progress = _Progress(volume)
        wait_seconds = progress.begun + self._period_seconds - time.time()
        if progress.complete:
            if wait_seconds > 0:
                return wait_seconds
            progress.restart()
        for replica in self._store.replicas(volume):
            if replica.block_id <= progress.last_block_id:
                continue
            if self._wake.is_set() or self._stopping.is_set():
                progress.save()
                return 0.0
            self.check(replica, limited=True)
            progress.passed(replica.block_id)
        progress.complete = True
        progress.save()
        return max(1.0, progress.begun + self._period_seconds - time.time())


class _Progress:
    """How far the present pass over a volume has come, on the volume itself."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._path = volume.path / PROGRESS_NAME
        self._saved = time.monotonic()
        self.begun = time.time()
        self.last_block_id = 0
        self.complete = False
        try:
            known = json.loads(self._path.read_text())
            self.begun = float(known["begun"])
            self.last_block_id = int(known["last_block_id"])
            self.complete = bool(known["complete"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or torn by a crash: from the beginning

    def restart(self) -> None:
        self.begun, self.last_block_id, self.complete = time.time(), 0, False

    def passed(self, block_id: int) -> None:
        self.last_block_id = block_id
        if time.monotonic() - self._saved >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        self._saved = time.monotonic()
        content = {"begun": self.begun, "last_block_id": self.last_block_id, "complete": self.complete}
        try:
            self._path.write_text(json.dumps(content))
        except OSError as error:
            self._volume.suspect(error)
