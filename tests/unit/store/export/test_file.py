"""Export files: what is whole is read as it was written, and nothing else is read at all."""

from __future__ import annotations

import io
import random
from typing import Any

import msgspec
import pytest

from oastfs.core.version import VERSION
from oastfs.store.export.file import (
    MAGIC,
    DamagedExport,
    ExportReader,
    ExportWriter,
    Header,
    TableForm,
    form,
    inspect,
    new_header,
)
from oastfs.store.export.rows import EXPORTED, Counting, Rows, decoder, encode_rows
from oastfs.store.schema import (
    CLAIM,
    FILE_LOCK,
    INODE,
    NAMENODE,
    PLACE,
    SETTING,
    TABLES,
    Inode,
    Place,
    Setting,
)
from oastfs.store.table import Table

INODES: Rows = [((7, f"name-{n}"), Inode(n, 0o100644, n, 1, 2, 3, 4, 5)) for n in range(40)]
SETTINGS: Rows = [(("filesystem_id",), Setting("f-1"))]


def export(*parts: tuple[Table[Any], Rows], header: Header | None = None) -> bytes:
    stream = io.BytesIO()
    writer = ExportWriter(stream, header or new_header("f-1", 0))
    for table, rows in parts:
        writer.add(table, encode_rows(rows), len(rows))
    writer.finish()
    assert writer.size_bytes == len(stream.getvalue())
    return stream.getvalue()


WHOLE = export((INODE, INODES[:25]), (INODE, INODES[25:]), (SETTING, SETTINGS))


def test_what_was_written_is_read() -> None:
    reader = ExportReader(io.BytesIO(WHOLE))
    assert reader.header.filesystem_id == "f-1"
    found: dict[str, Rows] = {}
    for table, chunk, rows in reader.chunks():
        decoded = decoder(table)(chunk)
        assert len(decoded) == rows
        found.setdefault(table.name, []).extend(decoded)
    assert found == {"inode": INODES, "setting": SETTINGS}
    assert reader.tallies["inode"].rows == 40
    assert reader.tallies["place"].rows == 0


@pytest.mark.parametrize("sizes", [(40,), (15, 25), (16, 24), (1,) * 40])
def test_a_digest_does_not_depend_on_how_rows_were_cut(sizes: tuple[int, ...]) -> None:
    counting, at = Counting(), 0
    for size in sizes:
        counting.add(encode_rows(INODES[at : at + size]), size)
        at += size
    whole = Counting()
    whole.add(encode_rows(INODES), 40)
    assert counting.tally() == whole.tally()


def test_a_digest_is_of_many_rows_too() -> None:
    rows: Rows = [((n,), Place(n, "x")) for n in range(70_000)]
    halves, whole = Counting(), Counting()
    halves.add(encode_rows(rows[:35_000]), 35_000)
    halves.add(encode_rows(rows[35_000:]), 35_000)
    whole.add(encode_rows(rows), 70_000)
    assert halves.tally() == whole.tally()
    header, tallies = inspect(io.BytesIO(export((PLACE, rows))))
    assert tallies["place"] == whole.tally()
    assert header.made_by == VERSION


def test_wherever_it_is_cut_off_it_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(DamagedExport):
            inspect(io.BytesIO(WHOLE[:length]))


def test_whatever_bit_is_flipped_it_is_refused() -> None:
    chance = random.Random(1)
    for place in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[place] ^= 1 << chance.randrange(8)
        with pytest.raises(DamagedExport):
            inspect(io.BytesIO(bytes(damaged)))


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(DamagedExport, match="follows the end"):
        inspect(io.BytesIO(WHOLE + b"x"))


def test_chunks_that_are_missing_or_out_of_order_are_refused() -> None:
    first, second = export((INODE, INODES[:20])), export((INODE, INODES[20:]))
    with pytest.raises(DamagedExport):
        inspect(io.BytesIO(first + second[len(MAGIC) :]))
    with pytest.raises(DamagedExport, match="out of order"):
        inspect(io.BytesIO(export((SETTING, SETTINGS), (INODE, INODES))))


@pytest.mark.parametrize("content", [b"", b"OAST", b"\x1f\x8b\x08 something else", b"x" * 5000])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(DamagedExport, match="not an export"):
        inspect(io.BytesIO(content))


def test_exports_of_newer_versions_are_refused() -> None:
    header = new_header("f-1", 0)
    for newer in (
        msgspec.structs.replace(header, format=2),
        msgspec.structs.replace(header, schema_version=99),
        msgspec.structs.replace(header, tables=(TableForm("of_tomorrow", ("id",), ("x",)),)),
        msgspec.structs.replace(header, tables=(TableForm("place", ("inode_id",), ("parent_id", "nom")),)),
    ):
        with pytest.raises(DamagedExport, match=r"upgrade oastfs|not one that is known"):
            ExportReader(io.BytesIO(export(header=newer)))


def test_an_older_table_with_fewer_fields_is_read() -> None:
    """Rows are arrays: what they lack at the end has its default."""
    now = form(INODE)
    header = msgspec.structs.replace(
        new_header("f-1", 0), tables=(TableForm("inode", now.key, now.fields[:8]),)
    )
    stream = io.BytesIO()
    writer = ExportWriter(stream, header)
    writer.add(INODE, msgspec.msgpack.encode([[[7, "old"], [1, 0o100644, 2, 3, 4, 5, 6, 7]]]), 1)
    writer.finish()
    stream.seek(0)
    ((table, chunk, rows),) = ExportReader(stream).chunks()
    assert rows == 1
    assert decoder(table)(chunk) == [((7, "old"), Inode(1, 0o100644, 2, 3, 4, 5, 6, 7))]


def test_all_but_what_is_of_running_namenodes_is_exported() -> None:
    assert set(TABLES) - set(EXPORTED) == {NAMENODE, CLAIM, FILE_LOCK}
