"""Filling an empty store with the rows of another, so that it cannot be mistaken for whole before it is.

First the store is claimed: one transaction sees that it is empty and leaves a setting, with which nobody
opens a filesystem. Then rows come in, by whatever way is fastest for the driver. In the end everything is
read back and its digests are compared with what came in; only then is the setting removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from oastfs.core.errors import AlreadyExists, StoreError
from oastfs.store.export.file import DamagedExport, ExportReader, same_form
from oastfs.store.export.rows import (
    EXPORTED,
    Counting,
    Rows,
    Tally,
    chunks,
    decoder,
    encode_rows,
    read_once,
    summarize,
)
from oastfs.store.schema import IMPORT_UNFINISHED, SETTING, TABLES, Setting
from oastfs.store.table import Table
from oastfs.store.transaction import Store, Transaction

_CLEARED_ROWS: Final = 1000

Told = Callable[[str, int], None]
"""Hears of progress: name of the table, and rows that were moved since."""


def _tell_nobody(table: str, rows: int) -> None:
    return


class Load:
    """One filling of a store."""

    def __init__(self, store: Store, told: Told = _tell_nobody) -> None:
        self._store = store
        self._told = told
        self._counting = {table.name: Counting() for table in EXPORTED}

    def begin(self, restart: bool = False) -> None:
        """Claim the store; with ``restart``, take away first what an unfinished one left.

        Raises AlreadyExists unless it is empty, or such.
        """
        if restart:
            self._clear()

        def claim(tx: Transaction) -> None:
            if tx.get(SETTING, IMPORT_UNFINISHED) is not None and not restart:
                raise AlreadyExists(
                    "an import into this store was begun and not finished: --restart clears it first"
                )
            for table in TABLES:
                if any(key != IMPORT_UNFINISHED for key, _ in tx.scan(table, limit=1)):
                    raise AlreadyExists("the store is not empty: metadata is imported into new stores only")
            tx.put(SETTING, IMPORT_UNFINISHED, Setting("an import fills this store"))

        self._store.write(claim)

    def _clear(self) -> None:
        if self._store.read(lambda tx: tx.get(SETTING, IMPORT_UNFINISHED)) is None:
            return

        def clear_some(tx: Transaction, table: Table[Any]) -> int:
            keys = [key for key, _ in tx.scan(table, limit=_CLEARED_ROWS) if key != IMPORT_UNFINISHED]
            for key in keys:
                tx.delete(table, key)
            return len(keys)

        for table in TABLES:
            while self._store.write(lambda tx, table=table: clear_some(tx, table)):  # type: ignore[misc]
                pass

    def add(self, table: Table[Any], rows: Rows, chunk: bytes) -> None:
        """Put the next rows of a table, which are ``chunk`` when encoded."""
        self._counting[table.name].add(chunk, len(rows))
        self._store.load(table, rows)
        self._told(table.name, len(rows))

    def add_all(self, table: Table[Any], found: Iterable[Rows]) -> None:
        """Put all rows of a table."""
        for rows in found:
            self.add(table, rows, encode_rows(rows))

    def add_export(self, reader: ExportReader) -> None:
        """Put what an export holds. Raises DamagedExport, with the store left unfinished."""
        decoders = {table: (decoder(table), same_form(reader, table)) for table in reader.tables}
        for table, chunk, _ in reader.chunks():
            decode, same = decoders[table]
            try:
                rows = decode(chunk)
            except msgspec.DecodeError as error:
                raise DamagedExport(f"the export is damaged: a row of {table.name}: {error}") from error
            self.add(table, rows, chunk if same else encode_rows(rows))

    def finish(self) -> dict[str, Tally]:
        """Read everything back, compare, and make the store usable; what is in it. Raises StoreError."""
        expected = {name: counting.tally() for name, counting in self._counting.items()}
        found = read_once(self._store, summarize)
        wrong = [name for name, tally in expected.items() if found[name] != tally]
        if wrong:
            raise StoreError(f"what was read back is not what was put in, of tables {', '.join(wrong)}")
        self._store.write(lambda tx: tx.delete(SETTING, IMPORT_UNFINISHED))
        return found


def copy_store(
    source: Store, target: Store, *, restart: bool = False, told: Told = _tell_nobody
) -> dict[str, Tally]:
    """Copy one snapshot of ``source`` into the empty store ``target``; what is there now.

    Raises AlreadyExists, StoreError.
    """
    load = Load(target, told)
    load.begin(restart)

    def run(tx: Transaction) -> None:
        for table in EXPORTED:
            load.add_all(table, chunks(tx, table))

    read_once(source, run)
    return load.finish()
