"""All replicas of a datanode: which there are, on which volume, and who may write them.

Set-ups, deletions and recoveries of one block follow each other; different blocks go in parallel.
Nothing here knows the network. Changes that namenodes should hear of go to ``on_change``.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterator

import structlog

from oastfs.core.errors import (
    AlreadyExists,
    BlockNotFound,
    CorruptBlock,
    InvalidArgument,
    NoDatanodes,
    StaleBlock,
)
from oastfs.core.local_files import is_there
from oastfs.datanode import layout
from oastfs.datanode.held import Held, Memory, put_into_files
from oastfs.datanode.journal import Journal
from oastfs.datanode.lending import end_loan
from oastfs.datanode.reader import sync_files
from oastfs.datanode.replica import Replica
from oastfs.datanode.scan import scan_volume
from oastfs.datanode.small_writer import SmallWriter
from oastfs.datanode.volume import Volume
from oastfs.datanode.writer import ReplicaWriter

log = structlog.get_logger(__name__)

FENCE_SECONDS = 15.0
"""Longest wait for a superseded writer to let go."""
REMAINING_BYTES_MIN = 4 * 1024 * 1024
"""A volume with less than this left takes no new blocks."""
_STRIPES = 64


class Change(enum.Enum):
    """What happened to a replica, as namenodes are told."""

    RECEIVED = "received"
    DELETED = "deleted"
    CORRUPT = "corrupt"
    RECOVERED = "recovered"
    MISSING = "missing"


class BlockStore:
    """Replicas of all volumes. Safe to use from many threads."""

    def __init__(
        self,
        volumes: list[Volume],
        on_change: Callable[[Change, Replica], None],
        memory_bytes: int = 0,
    ) -> None:
        self.volumes = volumes
        self.on_change = on_change
        self.memory = Memory(memory_bytes)
        self._replicas: dict[int, Replica] = {}
        self._next_volume = 0
        self._stripes = tuple(threading.Lock() for _ in range(_STRIPES))

    def load(self) -> None:
        """Find every replica on disk, settling those that a crash left in the middle of a write."""
        for volume in self.volumes:
            used_bytes = 0
            for replica in scan_volume(volume):
                other = self._replicas.get(replica.block_id)
                if other is not None and other.generation_stamp >= replica.generation_stamp:
                    log.warning("a replica is on two volumes; the older is ignored", **replica.fields)
                    continue
                self._replicas[replica.block_id] = replica
                used_bytes += replica.length
                if replica.corrupt:
                    self.on_change(Change.CORRUPT, replica)
            volume.add_used(used_bytes)
            log.info("volume opened", volume=str(volume.path), used_bytes=used_bytes)

    def close(self) -> None:
        """End every writer and give the volumes back."""
        for replica in list(self._replicas.values()):
            if writer := replica.writer:
                writer.fence()
                writer.closed.wait(FENCE_SECONDS)
        for volume in self.volumes:
            volume.close()

    # --- looking up -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._replicas)

    def find(self, block_id: int) -> Replica | None:
        """The replica, complete or not, unless its volume failed."""
        replica = self._replicas.get(block_id)
        return None if replica is None or replica.volume.failed else replica

    def get(self, block_id: int, generation_stamp: int = 0) -> Replica:
        """A replica with that stamp or a later one. Raises BlockNotFound."""
        replica = self.find(block_id)
        if replica is None or replica.temporary:
            raise BlockNotFound(f"block {block_id} is not here")
        if replica.generation_stamp < generation_stamp:
            raise BlockNotFound(
                f"block {block_id} has stamp {replica.generation_stamp} here, older than {generation_stamp}"
            )
        return replica

    def replicas(self, volume: Volume | None = None) -> Iterator[Replica]:
        """Those to report, in order of block id; of one volume or of all."""
        for block_id in sorted(self._replicas):
            replica = self._replicas.get(block_id)
            if replica is None or replica.temporary or replica.volume.failed:
                continue
            if volume is None or replica.volume is volume:
                yield replica

    def volume_of_storage(self, storage_uuid: str) -> Volume | None:
        """The working volume with this uuid."""
        for volume in self.volumes:
            if volume.storage_uuid == storage_uuid and not volume.failed:
                return volume
        return None

    # --- writing --------------------------------------------------------------------------------

    def create(
        self,
        block_id: int,
        generation_stamp: int,
        storage_uuid: str = "",
        *,
        temporary: bool = False,
        held_bytes_max: int = 0,
    ) -> ReplicaWriter:
        """Begin a new replica on the given storage, or on one with room.

        It is held in memory while it has no more than ``held_bytes_max`` bytes, if there is room.
        A replica of the block that is here must be an older, incomplete attempt (or known to be bad),
        which is replaced; otherwise AlreadyExists. NoDatanodes when there is no room.
        """
        with self._stripe(block_id):
            old = self.find(block_id)
            if old is not None:
                self._replace(old, generation_stamp, temporary)
            volume = self._choose_volume(storage_uuid, held=held_bytes_max > 0)
            replica = Replica(volume, block_id, generation_stamp, 0, final=False)
            replica.temporary = temporary
            held = Held.begin(self.memory, held_bytes_max)
            writer = self._new_writer(replica) if held is None else self._small_writer(replica, held)
            replica.writer = writer
            self._replicas[block_id] = replica
            return writer

    def _new_writer(self, replica: Replica) -> ReplicaWriter:
        with replica.volume.guard():
            layout.make_directory(replica.volume.blocks, replica.block_id)
            journal = Journal.create(replica.journal_path, 0, replica.temporary)
            try:
                return ReplicaWriter(replica, journal, self.mark_corrupt, new=True)
            except OSError:
                self._remove(replica)
                raise

    def _small_writer(self, replica: Replica, held: Held) -> ReplicaWriter:
        return SmallWriter(replica, held, self.mark_corrupt, self._lose)

    def _replace(self, old: Replica, generation_stamp: int, temporary: bool) -> None:
        stale = old.generation_stamp < generation_stamp
        if old.corrupt or (stale and (temporary or not old.final)):
            self._fence(old)
            self._remove(old)
        else:
            raise AlreadyExists(f"block {old.block_id} is here already with stamp {old.generation_stamp}")

    def reopen(
        self, block_id: int, generation_stamp: int, new_stamp: int, committed_length: int
    ) -> ReplicaWriter:
        """Begin to append to a replica or to update it in place, under ``new_stamp``.

        An older writer is fenced. The replica is cut to ``committed_length``. Raises BlockNotFound,
        StaleBlock (either stamp is too old), CorruptBlock (it is bad, or shorter than what was committed).
        """
        with self._stripe(block_id):
            replica = self.get(block_id, generation_stamp)
            current = replica.generation_stamp
            if new_stamp < current or (new_stamp == current and replica.writer is not None):
                raise StaleBlock(
                    f"block {block_id} has stamp {current} here; {new_stamp} is too old to write it"
                )
            self._fence(replica)
            if replica.corrupt or replica.length < committed_length:
                raise CorruptBlock(
                    f"block {block_id} is corrupt here, or its {replica.length} bytes are fewer than"
                    f" the committed {committed_length}"
                )
            put_into_files(replica)
            with replica.volume.guard():
                return self._reopen(replica, new_stamp, committed_length)

    def _reopen(self, replica: Replica, new_stamp: int, committed_length: int) -> ReplicaWriter:
        journal = self._open_journal(replica, committed_length)
        try:
            end_loan(replica, journal)
        except OSError:
            journal.close()
            raise
        writer = ReplicaWriter(replica, journal, self.mark_corrupt, new=False)
        replica.writer = writer
        replica.epoch += 1
        replica.final = False
        try:
            writer.set_stamp(new_stamp)
            writer.truncate(committed_length)
        except BaseException:
            writer.abort()
            raise
        return writer

    def _open_journal(self, replica: Replica, committed_length: int) -> Journal:
        if replica.final or not is_there(replica.journal_path):
            return Journal.create(replica.journal_path, committed_length)
        # Its marks still count: what the last writer overwrote may not be on disk yet.
        return Journal.load(replica.journal_path)

    def _fence(self, replica: Replica) -> None:
        writer = replica.writer
        if writer is not None:
            writer.fence()
            if not writer.closed.wait(FENCE_SECONDS):
                raise StaleBlock(f"the last writer of block {replica.block_id} does not let go")

    # --- settling and removing ------------------------------------------------------------------

    def recover(self, block_id: int, committed_length: int, new_stamp: int, *, sync: bool = True) -> Replica:
        """Make the replica of a writer that is gone final, with ``new_stamp``, at the length it holds.

        Raises BlockNotFound, StaleBlock, or CorruptBlock if it holds less than what was committed.
        """
        with self._stripe(block_id):
            replica = self.get(block_id)
            if replica.generation_stamp > new_stamp:
                raise StaleBlock(f"block {block_id} has stamp {replica.generation_stamp}, above {new_stamp}")
            if replica.generation_stamp == new_stamp and replica.final:
                if replica.held is not None:
                    put_into_files(replica)
                    if sync:
                        sync_files(replica)
                return replica
            self._fence(replica)
            put_into_files(replica)
            if replica.length < committed_length:
                raise CorruptBlock(f"block {block_id} has only {replica.length} of {committed_length} bytes")
            with replica.volume.guard():
                writer = self._reopen(replica, new_stamp, replica.length)
                try:
                    writer.finalize(sync=sync)
                finally:
                    writer.abort()
            return replica

    def delete(self, block_id: int, generation_stamp: int) -> Replica | None:
        """Remove a replica whose stamp is not above the given one; None if there is none.

        Raises StaleBlock for a newer one.
        """
        with self._stripe(block_id):
            replica = self.find(block_id)
            if replica is None:
                return None
            if replica.generation_stamp > generation_stamp:
                raise StaleBlock(
                    f"block {block_id} has stamp {replica.generation_stamp}, newer than the deletion"
                )
            self._fence(replica)
            self._remove(replica)
            return replica

    def discard(self, replica: Replica) -> None:
        """Remove what a failed set-up or copy began. Its writer has let go."""
        with self._stripe(replica.block_id):
            if (
                self._replicas.get(replica.block_id) is replica
                and replica.writer is None
                and not replica.final
            ):
                self._remove(replica)

    def _remove(self, replica: Replica) -> None:
        """Data first: without it the rest is litter that the next start clears."""
        if self._forget(replica):
            return
        with replica.volume.guard():
            replica.data_path.unlink(missing_ok=True)
            replica.meta_path.unlink(missing_ok=True)
            if not replica.final:
                replica.journal_path.unlink(missing_ok=True)

    def _forget(self, replica: Replica) -> bool:
        """Take a replica off the list; whether it was in memory only."""
        replica.removed = True
        if self._replicas.get(replica.block_id) is replica:
            del self._replicas[replica.block_id]
        replica.volume.add_used(-replica.length)
        with replica.lock:
            held, replica.held = replica.held, None
        if held is not None:
            held.release()
        return held is not None

    def _lose(self, replica: Replica) -> None:
        """What a writer leaves behind that cannot be put into files."""
        self._forget(replica)
        replica.volume.check()

    def announce_received(self, replica: Replica) -> None:
        """Report a copy that became final here."""
        self.on_change(Change.RECEIVED, replica)

    def mark_corrupt(self, replica: Replica) -> None:
        """Remember and report that a replica's checksums do not match."""
        if not replica.corrupt and not replica.removed:
            replica.corrupt = True
            log.error("a replica does not match its checksums", **replica.fields)
        self.on_change(Change.CORRUPT, replica)

    def mark_missing(self, replica: Replica) -> None:
        """Forget a replica whose files have disappeared, and report it."""
        with self._stripe(replica.block_id):
            if self._replicas.get(replica.block_id) is not replica or not replica.volume.check():
                return
            if replica.held is not None:
                return  # it is in memory
            if is_there(replica.data_path) and is_there(replica.meta_path):
                return
            self._remove(replica)
        log.error("the files of a replica are gone", **replica.fields)
        self.on_change(Change.MISSING, replica)

    def drop_failed(self) -> int:
        """Forget the replicas of failed volumes; how many there were."""
        lost = [replica for replica in list(self._replicas.values()) if replica.volume.failed]
        for replica in lost:
            if writer := replica.writer:
                replica.removed = True
                writer.fence()
                if self._replicas.get(replica.block_id) is replica:
                    del self._replicas[replica.block_id]
            else:
                self._forget(replica)
        return len(lost)

    # --- volumes --------------------------------------------------------------------------------

    def _stripe(self, block_id: int) -> threading.Lock:
        # Ids of neighbouring blocks differ above the low ten bits, which hold a partition.
        return self._stripes[(block_id ^ block_id >> 10) % _STRIPES]

    def _choose_volume(self, storage_uuid: str, *, held: bool = False) -> Volume:
        """The asked one; else the next in turn among those that are not much fuller than the emptiest.

        For what is ``held`` in memory it need not be known to the moment how full they are.
        """
        if storage_uuid:
            volume = self.volume_of_storage(storage_uuid)
            if volume is None:
                raise InvalidArgument(f"storage {storage_uuid} is not here or has failed")
            candidates = [volume]
        else:
            candidates = [volume for volume in self.volumes if not volume.failed]
        remaining = {
            id(volume): volume.recent_remaining() if held else volume.space()[1] for volume in candidates
        }
        room = [volume for volume in candidates if remaining[id(volume)] >= REMAINING_BYTES_MIN]
        if not room:
            raise NoDatanodes("no volume of this datanode has room for a block")
        enough = max(remaining[id(volume)] for volume in room) // 2
        room = [volume for volume in room if remaining[id(volume)] >= enough]
        self._next_volume += 1
        return room[self._next_volume % len(room)]
