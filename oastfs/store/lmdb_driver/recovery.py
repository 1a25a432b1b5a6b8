"""Bringing a store that was not closed to the state of everything that was answered.

Whoever opens a store alone does this, after a power failure and after ``kill -9`` alike, so that it is one
path and often used. The data file is led back to the snapshot of the newest checkpoint, whose pages are
whole; the log's records are applied to it in order, up to the first that is not valid; the result is synced
and becomes a checkpoint that says so. Until then the old snapshot is held, so a recovery that is
interrupted starts again from the same state and ends in the same.

A record that was synced but never answered is applied, too: its changes were made to just this state.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

from oastfs.core.errors import StoreError, WrongStore
from oastfs.store.lmdb_driver.checkpoint import Checkpoint, CheckpointFile, read_metas, restore_meta
from oastfs.store.lmdb_driver.presence import WAL, Presence, used_by_others
from oastfs.store.lmdb_driver.records import POSITION_KEY, Changes, Position
from oastfs.store.lmdb_driver.segments import Segments

_BATCH_ROWS = 10_000
_log = logging.getLogger(__name__)

Opener = Callable[[int], Any]
"""Opens the LMDB environment, its map enlarged by a factor."""


def recover(path: Path, presence: Presence, opener: Opener) -> None:
    """Repair the store, if it needs it. The caller has it alone, and not open."""
    if presence.directory < 0:
        return
    checkpoints = CheckpointFile(presence.directory, path / WAL)
    segments = Segments(presence.directory)
    try:
        segments.tidy()
        checkpoint = checkpoints.read()
        if checkpoint is None or checkpoint.clean:
            return
        if used_by_others(path):
            # Some tool is looking. As long as the machine runs, what was committed is there to be read.
            if presence.machine_ran_on() and _is_complete(checkpoint, segments, opener):
                return
            raise StoreError("the store is to be repaired, but another program has it open", path=str(path))
        checkpoints.settle()
        end = _restore(path, checkpoint, segments, opener)
        checkpoints.write(end)
        segments.recycle(end.position.segment + 1)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"the store cannot be repaired: {error.strerror}", path=str(path)) from error
    finally:
        checkpoints.close()
        segments.close()


def _is_complete(checkpoint: Checkpoint, segments: Segments, opener: Opener) -> bool:
    """Whether the data file has all that the log says, as long as the machine runs."""
    handle = opener(1)
    try:
        with handle.begin() as txn:
            row = txn.get(POSITION_KEY)
    finally:
        handle.close()
    position = checkpoint.position if row is None else Position.from_bytes(row)
    if position.salt != checkpoint.position.salt:
        position = checkpoint.position
    return next(segments.read(position), None) is None


def _restore(path: Path, checkpoint: Checkpoint, segments: Segments, opener: Opener) -> Checkpoint:
    """Make the data file whole; the checkpoint that says so."""
    try:
        data_file = os.open(path / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise WrongStore("data.mdb is missing, but not the log in wal", path=str(path)) from None
    try:
        _check_origin(path, data_file, checkpoint)
        position = checkpoint.position
        if next(segments.read(position), None) is not None:
            position = _replay(checkpoint, segments, opener, data_file)
        else:
            restore_meta(data_file, checkpoint.meta)
        os.fdatasync(data_file)
        return Checkpoint(read_metas(data_file)[0], position, clean=True)
    finally:
        os.close(data_file)


def _check_origin(path: Path, data_file: int, checkpoint: Checkpoint) -> None:
    """Refuse a data file that is older than the checkpoint: it was put there from elsewhere."""
    metas = read_metas(data_file)
    same = any(meta.transaction > checkpoint.meta.transaction for meta in metas) or any(
        meta.data[8:] == checkpoint.meta.data[8:] for meta in metas
    )
    if not same:
        raise WrongStore(
            "data.mdb and the log in wal are not of one store; after restoring a copy, remove wal",
            path=str(path),
        )


def _replay(checkpoint: Checkpoint, segments: Segments, opener: Opener, data_file: int) -> Position:
    """Apply the log to the checkpoint's snapshot; the position behind the last record."""
    factor = 1
    while True:
        restore_meta(data_file, checkpoint.meta)
        handle = opener(factor)
        try:
            return _apply(handle, checkpoint.position, segments)
        except lmdb.MapFullError:
            factor *= 2  # from the start: growing the map lets go of the snapshot
        finally:
            handle.close()


def _apply(handle: Any, position: Position, segments: Segments) -> Position:
    """Put what the records say, batch by batch; of several values of a row only the last."""
    pinned = handle.begin()
    batch: Changes = {}
    count = rows = 0
    for changes, after in segments.read(position):
        for name, changed in changes.items():
            batch.setdefault(name, {}).update(changed)
            rows += len(changed)
        position = after
        count += 1
        if rows >= _BATCH_ROWS:
            _put(handle, batch)
            batch, rows = {}, 0
    _put(handle, batch)
    pinned.abort()
    _log.info("applied %d records of the log", count)
    return position


def _put(handle: Any, batch: Changes) -> None:
    with handle.begin(write=True) as txn:
        for name, rows in batch.items():
            database = handle.open_db(name.encode(), txn=txn)
            for key, value in rows.items():
                if value is None:
                    txn.delete(key, b"", database)
                else:
                    txn.put(key, value, True, True, False, database)
