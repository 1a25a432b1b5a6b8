"""Telling an OastFS store from whatever else a path may be, before and after LMDB has opened it."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import lmdb

from oastfs.core.errors import StoreError, StoreFull, WrongStore
from oastfs.store.schema import SCHEMA_VERSION

_MARKER = b"oastfs schema version"
"""A key of the unnamed database, beside LMDB's own entries for the named ones."""

_MAGIC = 0xBEEFC0DE
"""In LMDB's first page, behind the page's own header."""

_FILES = {"data.mdb", "lock.mdb"}


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
    """Raise WrongStore unless the environment is ours and of a version that we know; mark a new one."""
    with environment.begin() as txn:
        version = txn.get(_MARKER)
        empty = txn.stat()["entries"] == 0
    if version is None and empty and create:
        with environment.begin(write=True) as txn:
            txn.put(_MARKER, str(SCHEMA_VERSION).encode(), overwrite=False)
        return
    if version is None:
        raise WrongStore("this LMDB environment is not an OastFS store", path=str(path))
    if not version.isdigit() or int(version) > SCHEMA_VERSION:
        raise WrongStore(
            f"the store is of a newer version (schema {version.decode(errors='replace')}, "
            f"known here: {SCHEMA_VERSION}): upgrade oastfs",
            path=str(path),
        )


def refused(error: lmdb.Error, path: Path) -> StoreError:
    """What LMDB's refusal to open a file means: its own codes are negative, the system's are not."""
    code = getattr(error, "code", 0)
    if code == errno.ENOSPC:
        return StoreFull(path=str(path))
    if code > 0:
        return StoreError(f"the store cannot be opened: {error}", path=str(path))
    return WrongStore(f"data.mdb is damaged or of another version of LMDB ({error})", path=str(path))
