"""Durability of one open environment: a write-ahead log with one sync for a group, and checkpoints.

LMDB itself is never synced. A group's rows are put into its write transaction and appended to the log as
one record, and the transaction is committed; then the log is synced, and then the callers are answered. The
sync is outside the transaction, so that others, in this process or another, write meanwhile, and one sync may
serve several groups. So for the moment of a sync readers may see what a power failure would undo, though
nothing that a process's death would: as in HDFS, whose namesystem changes before its edit log is synced. Who
changed nothing because of what was there (it was asked again, say) is answered after that is durable, too.

The position in the log is a row that is written in the same transaction: LMDB's writer mutex orders the
writers of all processes, and each finds where the one before it ended. A record whose writer died before it
committed is overwritten by the next, or applied by recovery if there is no next.

*Pins.* While any process writes, the snapshot of the newest checkpoint must stay whole (see
``checkpoint.py``). So each process that writes holds a snapshot that is not newer than the newest
checkpoint: before its first write it takes one, and makes a checkpoint if that snapshot has none yet. A
checkpoint takes a new pin first and lets the old one go when it is on disk. Whatever loses the pin (a map
that grows, an environment opened again) is followed by a checkpoint before the next write.

*Errors.* After a sync that failed nobody knows what is on the disk, and the next one may claim success. So
the environment writes no more; opening the store again recovers what was answered.

The leader of a group calls everything here but ``sync`` and ``synced``, and but for the thread that finishes
checkpoints.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from oastfs.core.errors import StoreError, StoreFull
from oastfs.store.lmdb_driver.checkpoint import Checkpoint, CheckpointFile, read_metas
from oastfs.store.lmdb_driver.presence import WAL, exclusively
from oastfs.store.lmdb_driver.records import POSITION_KEY, Changes, Position, encode_record
from oastfs.store.lmdb_driver.segments import Segments
from oastfs.store.lmdb_driver.writeout import write_back

CHECKPOINT_LOG_BYTES = 8 << 20
CHECKPOINT_GROUPS = 2048
CHECKPOINT_SECONDS = 5.0

_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)


class _Held(NamedTuple):
    """A snapshot that is held, as a checkpoint to be."""

    pin: Any
    checkpoint: Checkpoint


class Journal:
    """The log of one environment, as this process writes it."""

    def __init__(self, path: Path, directory: int, begin_write: Callable[[], Any]) -> None:
        self._path = path
        self._begin_write = begin_write
        self._directory = directory
        self._segments = Segments(directory)
        self._checkpoints = CheckpointFile(directory, path / WAL)
        self._data_file = os.open(path / "data.mdb", os.O_RDONLY | os.O_CLOEXEC)
        self._making = threading.Lock()
        self._handle: Any = None
        self._pin: Any = None
        self._salt = -1
        self._failure: str = ""
        self._placed = (0, 0)
        self._known: bytes | None = None
        """The last position that this process has seen; what is before it is synced by the next sync."""
        self._next: Position | None = None
        """The same as this process made it, if it did."""
        self._log_bytes = self._groups = 0
        self._begun: _Held | None = None
        self._completed: _Held | None = None
        """What was begun and is on the disk. The thread may come to say so of one that has been given up."""
        self._due = self._idle = False
        self._wake = threading.Event()
        self._stopping = False
        self._nudge: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None

    def attach(self, handle: Any) -> None:
        """Use an environment that was just opened. Snapshots of the one before are gone."""
        self._handle = handle
        self.lose_pins()

    def lose_pins(self) -> None:
        """The environment was closed or its map resized, which ends all snapshots."""
        self._pin = self._begun = self._completed = None

    def start(self, nudge: Callable[[], None]) -> None:
        """Make checkpoints from now on. ``nudge`` has the leader begin a group soon, if only an empty one."""
        self._nudge = nudge

    def close(self, alone: bool) -> None:
        """Stop; the last process to leave makes the data file whole by itself. The environment is still
        open."""
        self._stopping = True
        if self._thread is not None:
            self._wake.set()
            self._thread.join()
        try:
            newest = self._checkpoints.read() if alone and not self._failure else None
            if newest is not None and not newest.clean:
                self._checkpoint_now(clean=True)
            self._segments.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the files and nothing else, as in a forked child."""
        self._segments.abandon()
        self._segments.end()
        self._checkpoints.close()
        if self._data_file >= 0:
            os.close(self._data_file)
            self._data_file = -1

    # --- a group ------------------------------------------------------------------------------------

    def entered(self, txn: Any) -> None:
        """A write transaction has begun: begin a checkpoint if it is time."""
        if self._begun is not None and self._completed is self._begun:
            self._release()
            self._pin, self._begun, self._completed = self._begun.pin, None, None
        if self._due:
            self._due = False
            if self._begun is None and self._pin is not None:
                self._begun = self._hold(txn)
                self._log_bytes = self._groups = 0
                self._wake.set()

    def rest(self) -> None:
        """Let the pin go, if nothing has been written for a while. The group that begins writes nothing."""
        if self._idle:
            self._idle = False
            if self._begun is None and not self._groups:
                self._release()

    @property
    def ready(self) -> bool:
        """Whether a transaction may put rows. If not, ``establish`` first."""
        return self._pin is not None

    def is_quick(self) -> bool:
        """Whether a group is likely to be logged within a moment: nothing has to be prepared for it."""
        return self._pin is not None and self._segments.is_quick()

    def syncs_quickly(self) -> bool:
        """Whether ``sync`` is likely to take but a moment: no checkpoint is written beside it, and the disk
        was quick of late."""
        return self._begun is None and self._segments.syncs_quickly()

    def establish(self) -> None:
        """Take a pin, and make a checkpoint of its snapshot if there is none. No transaction is open."""
        self._check()
        held, newest = self._hold_now()
        if (
            newest is None
            or newest.clean
            or newest.meta.transaction != held.checkpoint.meta.transaction
            or not self._checkpoints.is_durable(newest)
        ):
            self._complete(held.checkpoint)
        self._pin = held.pin

    def sync_meanwhile(self, meanwhile: bool) -> None:
        """Whether ``begin_sync`` is going to follow what is appended next: then another thread begins with it
        at once."""
        self._segments.syncs_meanwhile = meanwhile

    def append(self, txn: Any, changes: Changes) -> bytes:
        """Log what was put into a transaction. It is to be committed then, or kept, and ``sync``ed; or else
        ``retract``ed. The row that says where the log goes on, which has been put, too."""
        self._check()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="oastfs-checkpoint", daemon=True)
            self._thread.start()
        position = self._position(txn)
        record = encode_record(position, changes)
        try:
            placed = self._placed = self._segments.place(position, record)
            self._segments.write(position, placed, record)
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFull(path=str(self._path)) from error
            raise self._fail("the log could not be written", error) from error
        try:
            after = position.after(*placed, record)
            self._next = after if after.salt == self._salt else None
            known = self._known = after.to_bytes()
            txn.put(POSITION_KEY, known)
        except BaseException:
            self.retract()
            raise
        self._log_bytes += len(record.data)
        self._groups += 1
        if self._log_bytes >= CHECKPOINT_LOG_BYTES or self._groups >= CHECKPOINT_GROUPS:
            self._due = True
        return known

    @property
    def is_due(self) -> bool:
        """Whether a transaction should begin soon, with which a checkpoint begins or ends."""
        return self._due or (self._begun is not None and self._completed is self._begun)

    @staticmethod
    def move(txn: Any, position: bytes) -> None:
        """Put the row of where the log goes on behind what was kept in a transaction that failed."""
        txn.put(POSITION_KEY, position)

    def depend(self, txn: Any) -> None:
        """A group changed nothing because of what others wrote: the next ``sync`` is to cover that."""
        row = txn.get(POSITION_KEY)
        if row != self._known:
            try:
                self._segments.distrust(Position.from_bytes(row).segment)
            except OSError as error:  # the segment before could not be synced
                raise self._fail("the log could not be synced", error) from error
            self._known, self._next = row, None

    def sync(self) -> None:
        """Make durable what was appended before. For any thread."""
        try:
            self._segments.sync()
        except OSError as error:
            raise self._fail("the log could not be synced", error) from error

    def begin_sync(self) -> int:
        """Have what was appended made durable meanwhile: it is when ``synced`` is as much as this; 0 if it is
        already."""
        try:
            return self._segments.begin_sync()
        except OSError as error:
            raise self._fail("the log could not be synced", error) from error

    def synced(self) -> int:
        """How much of what was appended is durable. For any thread."""
        try:
            return self._segments.synced()
        except OSError as error:
            raise self._fail("the log could not be synced", error) from error

    def synced_descriptor(self) -> int:
        """It is readable once ``synced`` may have grown."""
        return self._segments.synced_descriptor()

    def retract(self) -> None:
        """The transaction could not be committed: see that recovery does not apply it."""
        try:
            self._segments.void(self._placed)
        except OSError as error:
            raise self._fail("a record could not be taken back", error) from error

    def disk_bytes(self) -> int:
        """What the log takes on the disk."""
        return self._segments.disk_bytes()

    def relieve(self) -> bool:
        """Give back what the disk holds for the last checkpoint's sake; whether there was anything."""
        if self._failure or self._pin is None or not self._groups:
            return False
        self._checkpoint_now()
        return True

    # --- checkpoints --------------------------------------------------------------------------------

    def _hold(self, txn: Any) -> _Held:
        """Take the snapshot before a write transaction that has not put anything yet."""
        pin = self._handle.begin()
        meta = read_metas(self._data_file)[0]
        if meta.transaction != pin.id() or meta.transaction != txn.id() - 1:
            raise StoreError(
                "the data file is written by somebody who does not hold its lock", path=str(self._path)
            )
        return _Held(pin, Checkpoint(meta, self._position(txn)))

    def _position(self, txn: Any) -> Position:
        """Where the next record goes."""
        row = txn.get(POSITION_KEY)
        if self._next is not None and row == self._known:
            return self._next
        position = None if row is None else Position.from_bytes(row)
        if position is not None and position.salt == self._salt:
            return position
        newest = self._checkpoints.read()
        if newest is None or newest.clean:
            # Nobody has written since the store was opened: a new log.
            used = [*self._segments.numbers(), 0 if newest is None else newest.position.segment]
            return Position(secrets.randbits(64), max(used) + 1, 0, 0, 0)
        self._salt = newest.position.salt
        return position if position is not None and position.salt == self._salt else newest.position

    def _write_back(self) -> None:
        """Have most of the data file on disk before it is synced, without holding up syncs of the log."""
        try:
            write_back(self._data_file)
        except OSError as error:
            raise self._fail("a checkpoint could not be made", error) from error

    def _complete(self, checkpoint: Checkpoint) -> None:
        """Sync the data file, write the checkpoint, and recycle the log before it. If another process has
        written a newer one, see that it is on the disk."""
        with self._making, exclusively(self._directory):
            try:
                newest = self._checkpoints.read()
                if (
                    newest is None
                    or newest.clean
                    or checkpoint.clean
                    or newest.meta.transaction < checkpoint.meta.transaction
                ):
                    os.fdatasync(self._data_file)
                    self._write(checkpoint)
                    newest = checkpoint
                else:
                    self._checkpoints.settle()
            except OSError as error:
                if isinstance(error, StoreFull):
                    raise
                raise self._fail("a checkpoint could not be made", error) from error
            with suppress(OSError):  # they are in nobody's way, and the next checkpoint tries again
                self._segments.recycle(newest.position.segment + newest.clean)

    def _write(self, checkpoint: Checkpoint) -> None:
        try:
            self._checkpoints.write(checkpoint)
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFull(path=str(self._path)) from error  # the old one is still there
            raise

    def _checkpoint_now(self, clean: bool = False) -> None:
        """Make a checkpoint of the present state and wait for it. No transaction is open on this thread."""
        held, _ = self._hold_now()
        self._complete(held.checkpoint._replace(clean=clean))
        self._release()
        self._pin, self._begun, self._completed = held.pin, None, None
        self._log_bytes = self._groups = 0

    def _hold_now(self) -> tuple[_Held, Checkpoint | None]:
        """The present snapshot, held, and the newest checkpoint."""
        txn = self._begin_write()
        with self._making:
            held, newest = self._hold(txn), self._checkpoints.read()
        # The transaction ends here; its method ``abort`` would wait for a moment without readers.
        del txn
        return held, newest

    def _run(self) -> None:
        """The thread: finish what the leader began, and have it begin when it is time."""
        while not self._stopping:
            self._wake.wait(CHECKPOINT_SECONDS)
            self._wake.clear()
            begun = self._begun
            if begun is not None and self._completed is not begun:
                try:
                    self._write_back()
                    self._complete(begun.checkpoint)
                except StoreFull:
                    continue  # again, some time later
                except StoreError:
                    return  # it has been said, and nothing will be written any more
                self._completed = begun
            elif self._groups:
                self._due = True
            elif self._pin is not None:
                self._idle = True
            else:
                continue
            self._nudge()

    def _release(self) -> None:
        pin, self._pin = self._pin, None
        if pin is not None:
            pin.abort()

    def _check(self) -> None:
        if self._failure:
            raise StoreError(f"the store must be opened again: {self._failure}", path=str(self._path))

    def _fail(self, what: str, error: OSError) -> StoreError:
        if not self._failure:
            self._failure = f"{what}: {error.strerror or error}"
            _log.error(
                "%s: %s; the store takes no more changes until it is opened again", self._path, self._failure
            )
        return StoreError(self._failure, path=str(self._path))
