"""Checkpoints: which snapshot of the data file is whole on disk, and where the log goes on from it.

Facts of LMDB's format 1 that this relies on (64-bit, the machine's byte order):

* Pages 0 and 1 are meta pages: 16 bytes of header that begin with the page's number, then magic, version,
  an address, the map's size, two database records of 48 bytes (the first field of the first is the page
  size), the last page and the transaction's number. The transaction n writes into page n mod 2. Whoever
  opens an environment that nobody has open takes the one with the higher number.
* Pages of a committed snapshot are never changed: a transaction writes to pages that were free before the
  oldest snapshot which a slot of the reader table holds. So while a reader is registered at snapshot n, all
  pages of n, its free list included, stay as they are, whatever is committed and whatever the system writes
  to disk, in whatever order.

Once the data file has been synced after n was committed, n is on disk, and its meta page, kept here, leads
to it.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from oastfs.core.errors import WrongStore
from oastfs.store.lmdb_driver.records import POSITION_BYTES, Position

_META = struct.Struct("=QHHI IIQQ II40s48s QQ")
"""A meta page: header (number, padding, flags, bounds), then magic, version, address, map size; page size
and the rest of the first database record; the second; last page, transaction."""
_NUMBER = struct.Struct("=Q")
_MAGIC = 0xBEEFC0DE
_FORMAT = 1
_BODY = struct.Struct(f"<8sB{POSITION_BYTES}s{_META.size}s")
_CHECKSUM_BYTES = 4
_LABEL = b"oastckpt"
_NAME = "checkpoint"
_SLOT_BYTES = 4096
_SLOTS = 2


class Meta(NamedTuple):
    """A meta page of the data file: a snapshot."""

    data: bytes
    page_bytes: int
    last_page: int
    transaction: int

    @classmethod
    def parse(cls, data: bytes) -> Meta | None:
        if len(data) != _META.size:
            return None
        fields = _META.unpack(data)
        if fields[4] != _MAGIC or fields[5] != _FORMAT:
            return None
        return cls(data, fields[8], fields[12], fields[13])


def read_metas(data_file: int) -> list[Meta]:
    """The meta pages of a data file, the newest first."""
    first = Meta.parse(os.pread(data_file, _META.size, 0))
    if first is None:
        return []
    second = Meta.parse(os.pread(data_file, _META.size, first.page_bytes))
    metas = [first] if second is None else [first, second]
    return sorted(metas, key=lambda meta: meta.transaction, reverse=True)


def restore_meta(data_file: int, meta: Meta) -> None:
    """Lead whoever opens the data file to a snapshot, durably, by either of the pages."""
    for number in range(2):
        transaction = meta.transaction - (meta.transaction - number) % 2
        middle = meta.data[_NUMBER.size : -_NUMBER.size]
        page = _NUMBER.pack(number) + middle + _NUMBER.pack(transaction)
        if os.pwrite(data_file, page, number * meta.page_bytes) != len(page):
            raise OSError(errno.EIO, "a meta page was not written")
    os.fdatasync(data_file)


class Checkpoint(NamedTuple):
    """A snapshot that is on disk, and the position of the log that belongs to it.

    ``clean``: nobody had the store open for writing any more; the data file is whole by itself.
    """

    meta: Meta
    position: Position
    clean: bool = False

    def to_bytes(self) -> bytes:
        body = _BODY.pack(_LABEL, self.clean, self.position.to_bytes(), self.meta.data)
        return body + int(google_crc32c.value(body)).to_bytes(_CHECKSUM_BYTES, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint | None:
        body, checksum = data[: _BODY.size], data[_BODY.size : _BODY.size + _CHECKSUM_BYTES]
        if len(body) != _BODY.size or int(google_crc32c.value(body)).to_bytes(4, "little") != checksum:
            return None
        label, clean, position, meta_data = _BODY.unpack(body)
        meta = Meta.parse(meta_data)
        if label != _LABEL or meta is None:
            return None
        return cls(meta, Position.from_bytes(position), bool(clean))

    @property
    def _age(self) -> tuple[int, int, bool]:
        return (self.position.segment, self.meta.transaction, self.clean)

    def supersedes(self, other: Checkpoint | None) -> bool:
        """Whether this one is the newer."""
        return other is None or self._age > other._age


class CheckpointFile:
    """The newest checkpoints of a store, in two slots that are written in turn.

    Who writes holds a lock on the directory, but may die before what it wrote is on the disk. So whoever is
    to rest upon a checkpoint that it did not write (change pages of the snapshot before, recycle the log,
    write over the other slot) makes it durable first.
    """

    def __init__(self, directory: int, path: Path) -> None:
        self._directory = directory
        self._path = path
        self._file = -1
        self._durable: Checkpoint | None = None
        """The last one that is known to be on the disk."""

    def read(self) -> Checkpoint | None:
        """The newest one. Raises WrongStore if there is a file without any."""
        if not self._open():
            return None
        newest, _ = self._slots()
        if newest is None:
            raise WrongStore("the store's checkpoint is damaged", path=str(self._path / _NAME))
        return newest

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the older one, durably. Raises OSError."""
        if self._open():
            self.settle()
            _, older_slot = self._slots()
            self._put(older_slot, checkpoint)
            self._sync()
        else:
            self._create(checkpoint)
        self._durable = checkpoint

    def settle(self) -> None:
        """Make the newest one durable, if it may not be. For who may write. Raises OSError."""
        newest, _ = self._slots()
        if newest != self._durable:
            self._sync()
            self._durable = newest

    def is_durable(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint that was read is known to be on the disk."""
        return checkpoint == self._durable

    def _put(self, slot: int, checkpoint: Checkpoint) -> None:
        data = checkpoint.to_bytes()
        if os.pwrite(self._file, data, slot * _SLOT_BYTES) != len(data):
            raise OSError(errno.EIO, "a checkpoint was not written")

    def _sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _slots(self) -> tuple[Checkpoint | None, int]:
        """The newest checkpoint, and the number of the other slot."""
        newest, other = None, 0
        for slot in range(_SLOTS):
            data = os.pread(self._file, _SLOT_BYTES, slot * _SLOT_BYTES)
            found = Checkpoint.from_bytes(data)
            if found is not None and found.supersedes(newest):
                newest, other = found, 1 - slot
        return newest, other

    def _open(self) -> bool:
        if self._file < 0:
            with suppress(FileNotFoundError):
                self._file = os.open(_NAME, os.O_RDWR | os.O_CLOEXEC, dir_fd=self._directory)
        return self._file >= 0

    def _create(self, checkpoint: Checkpoint) -> None:
        """Make the file in one step, so that it is never without a checkpoint."""
        name = f"{_NAME}-{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=self._directory)
        try:
            slot = checkpoint.to_bytes().ljust(_SLOT_BYTES, b"\0")
            os.pwrite(file, slot + bytes(_SLOT_BYTES), 0)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(name, _NAME, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)
        self._open()
