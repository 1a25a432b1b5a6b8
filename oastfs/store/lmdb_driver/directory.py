"""Telling an OastFS store from whatever else a path may be, before and after LMDB has opened it."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import lmdb

from oastfs.core.errors import StoreError, StoreFull, WrongStore
from oastfs.store.lmdb_driver.presence import WAL
from oastfs.store.schema import SCHEMA_VERSION

_MARKER = b"oastfs schema version"
"""A key of the unnamed database, beside LMDB's own entries for the named ones."""

_MAGIC = 0xBEEFC0DE
"""In LMDB's first page, behind the page's own header."""

_FILES = {"data.mdb", "lock.mdb", WAL}

_FORMAT = 1
"""Of what is beside the data file: 1 has a write-ahead log. Without one (0) the marker is the schema's
version alone, and programs of that time refuse what is not a number."""


class Unprepared(StoreError):
    """The store is empty, or of an older format."""


def check_directory(path: Path, create: bool) -> None:
    """Raise WrongStore unless the directory holds a store, or ``create`` may make one; make the directory."""
    try:
        names = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        if not create:
            raise WrongStore("there is no store: make one first (create)", path=str(path)) from None
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    except NotADirectoryError:
        raise WrongStore("a store is a directory, and this is a file", path=str(path)) from None
    except OSError as error:
        raise StoreError(f"the store cannot be opened: {error.strerror}", path=str(path)) from error
    if "data.mdb" not in names or not _is_lmdb(path):
        if names - _FILES:
            raise WrongStore("the directory holds other things than a store", path=str(path))
        if not create:
            raise WrongStore("the directory is empty: make a store first (create)", path=str(path))


def _is_lmdb(path: Path) -> bool:
    """Whether the data file is LMDB's, without opening it (which would leave a lock file beside it)."""
    try:
        with (path / "data.mdb").open("rb") as file:
            start = file.read(24)
    except OSError as error:
        raise StoreError(f"the store cannot be opened: {error.strerror}", path=str(path)) from error
    if start and int.from_bytes(start[16:20], sys.byteorder) != _MAGIC:
        raise WrongStore("data.mdb is not an LMDB file, nor a store", path=str(path))
    return bool(start)


def check_marker(environment: Any, path: Path, create: bool) -> None:
    """Raise WrongStore unless the environment is ours and of a version that we know.

    Raises Unprepared for one that ``mark`` would make a store: empty, if ``create``, or of an older format.
    """
    with environment.begin() as txn:
        marker = txn.get(_MARKER)
        empty = txn.stat()["entries"] == 0
    if marker is None and empty and create:
        raise Unprepared("the store is empty", path=str(path))
    if marker is None:
        raise WrongStore("this LMDB environment is not an OastFS store", path=str(path))
    version, _, log_format = marker.partition(b".")
    if not version.isdigit() or int(version) > SCHEMA_VERSION or log_format not in (b"", b"%d" % _FORMAT):
        raise WrongStore(
            f"the store is of a newer version (schema {marker.decode(errors='replace')}, "
            f"known here: {SCHEMA_VERSION}.{_FORMAT}): upgrade oastfs",
            path=str(path),
        )
    if not log_format:
        raise Unprepared("the store is of an older format", path=str(path))


def mark(environment: Any) -> None:
    """Make an environment a store of our format."""
    with environment.begin(write=True) as txn:
        txn.put(_MARKER, b"%d.%d" % (SCHEMA_VERSION, _FORMAT))


def refused(error: lmdb.Error, path: Path) -> StoreError:
    """What LMDB's refusal to open a file means: its own codes are negative, the system's are not."""
    code = getattr(error, "code", 0)
    if code == errno.ENOSPC:
        return StoreFull(path=str(path))
    if code > 0:
        return StoreError(f"the store cannot be opened: {error}", path=str(path))
    return WrongStore(f"data.mdb is damaged or of another version of LMDB ({error})", path=str(path))
