"""Taking a store out to a file, into another store, and back: whole, in bounded memory, checked.

Everything goes through the interface that every driver has, so any store leads to any other. Rows are the
declared ones in the declared order: their digest is the same whatever engine holds them.

``rows.py`` is one table as bytes, ``file.py`` the format of export files, ``load.py`` fills an empty store.
"""

from oastfs.store.export.file import DamagedExport, ExportReader, ExportWriter, Header, inspect
from oastfs.store.export.load import Load, copy_store
from oastfs.store.export.rows import EXPORTED, Tally, chunks, read_once, summarize

__all__ = [
    "EXPORTED", "DamagedExport", "ExportReader", "ExportWriter", "Header", "Load", "Tally", "chunks",
    "copy_store", "inspect", "read_once", "summarize",
]  # fmt: skip
