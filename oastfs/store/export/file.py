"""The format of an export: one stream of frames, which says itself whether it is whole.

    file    = MAGIC frame*
    frame   = kind (1 byte), length of the body (4 bytes), CRC32C of those five bytes and the body (4), body
    'H'     first; JSON: format, schema version, filesystem, when and by which version, tables
    'R'     number of the table in the header's list (2 bytes), then a chunk of its rows, compressed (zstd)
    'T'     last; JSON: for each table the count of its rows and the SHA-256 of them all

Numbers are big-endian. Tables come in the header's order, rows in key order. A table names its key columns
and value fields, so a newer program, whose tables have more of them, reads older exports. Whoever reads
must get to the trailer and compare before believing anything: a file that was cut off has none.
"""

from __future__ import annotations

import functools
import io
import struct
import time
from collections.abc import Iterator
from typing import IO, Any, Final

import google_crc32c
import msgspec
import zstandard

from oastfs.core.errors import StoreError
from oastfs.core.version import VERSION
from oastfs.store.export.rows import EXPORTED, Counting, Tally
from oastfs.store.schema import SCHEMA_VERSION, TABLES
from oastfs.store.table import Table

MAGIC: Final = b"OASTMETA"
FORMAT: Final = 1
LEVEL: Final = 3
BODY_BYTES_MAX: Final = 1 << 28
_FRAME: Final = struct.Struct(">cII")
_TABLE: Final = struct.Struct(">H")


class DamagedExport(StoreError):
    """The file is not a whole export."""


class TableForm(msgspec.Struct, frozen=True):
    """What a table was when it was exported: names of its key columns and of its value's fields."""

    name: str
    key: tuple[str, ...]
    fields: tuple[str, ...]


class Header(msgspec.Struct, frozen=True):
    """What an export is of. ``namenodes``: how many were serving the store meanwhile."""

    format: int
    schema_version: int
    filesystem_id: str
    made_ns: int
    made_by: str
    tables: tuple[TableForm, ...]
    namenodes: int = 0


class Trailer(msgspec.Struct, frozen=True):
    """What must have been read before it."""

    tables: dict[str, Tally]


@functools.cache
def form(table: Table[Any]) -> TableForm:
    """A table as it is now."""
    fields = tuple(field.name for field in msgspec.structs.fields(table.value))
    return TableForm(table.name, tuple(name for name, _ in table.key), fields)


def new_header(filesystem_id: str, namenodes: int) -> Header:
    """Of an export that is made now, by this program."""
    forms = tuple(map(form, EXPORTED))
    return Header(FORMAT, SCHEMA_VERSION, filesystem_id, time.time_ns(), VERSION, forms, namenodes)


class ExportWriter:
    """Writes an export to a stream: chunks of tables in the header's order, then ``finish``."""

    def __init__(self, stream: IO[bytes], header: Header) -> None:
        self._stream = stream
        self._numbers = {one.name: number for number, one in enumerate(header.tables)}
        self._counting = {one.name: Counting() for one in header.tables}
        self._compress = zstandard.ZstdCompressor(level=LEVEL).compress
        self.size_bytes = 0
        self._write(MAGIC)
        self._frame(b"H", msgspec.json.encode(header))

    def add(self, table: Table[Any], chunk: bytes, rows: int) -> None:
        """The next chunk of a table."""
        self._counting[table.name].add(chunk, rows)
        self._frame(b"R", _TABLE.pack(self._numbers[table.name]) + self._compress(chunk))

    def finish(self) -> dict[str, Tally]:
        """Write the trailer; what is in the export."""
        tallies = {name: counting.tally() for name, counting in self._counting.items()}
        self._frame(b"T", msgspec.json.encode(Trailer(tallies)))
        self._stream.flush()
        return tallies

    def _frame(self, kind: bytes, body: bytes) -> None:
        start = _FRAME.pack(kind, len(body), 0)[:5]
        self._write(start + _checksum(start, body))
        self._write(body)

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self.size_bytes += len(data)


class ExportReader:
    """Reads an export from a stream: ``header`` at once, then ``chunks`` to the end. Raises DamagedExport."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decompress = zstandard.ZstdDecompressor().decompress
        if stream.read(len(MAGIC)) != MAGIC:
            raise DamagedExport("this is not an export of OastFS")
        kind, body = self._next_frame()
        if kind != b"H":
            raise DamagedExport("the export has no header")
        self.header = _decoded(body, Header)
        if self.header.format != FORMAT or self.header.schema_version > SCHEMA_VERSION:
            raise DamagedExport(
                f"the export was made by a newer version ({self.header.made_by}, format "
                f"{self.header.format}, schema {self.header.schema_version}): upgrade oastfs"
            )
        self.tables = [_known(one) for one in self.header.tables]
        self.tallies: dict[str, Tally] = {}
        """Of what was read, once ``chunks`` has come to its end."""

    def chunks(self) -> Iterator[tuple[Table[Any], bytes, int]]:
        """Each chunk with its table and number of rows. It ends only if all agrees with the trailer."""
        counting = {table.name: Counting() for table in self.tables}
        current = 0
        while (frame := self._next_frame())[0] == b"R":
            number, chunk = self._chunk(frame[1])
            if number < current:
                raise DamagedExport("tables of the export are out of order")
            current = number
            table, rows = self.tables[number], _length(chunk)
            counting[table.name].add(chunk, rows)
            yield table, chunk, rows
        if frame[0] != b"T":
            raise DamagedExport("the export holds a frame of no known kind")
        self.tallies = {name: one.tally() for name, one in counting.items()}
        expected = _decoded(frame[1], Trailer).tables
        wrong = [
            name for name in {**expected, **self.tallies} if expected.get(name) != self.tallies.get(name)
        ]
        if wrong:
            raise DamagedExport(f"rows of the export are not those that were written: {', '.join(wrong)}")
        if self._stream.read(1):
            raise DamagedExport("something follows the end of the export")

    def _next_frame(self) -> tuple[bytes, bytes]:
        start = self._exactly(_FRAME.size)
        kind, length, _ = _FRAME.unpack(start)
        if length > BODY_BYTES_MAX:
            raise DamagedExport("the export is damaged: a frame has no possible length")
        body = self._exactly(length)
        if _checksum(start[:5], body) != start[5:]:
            raise DamagedExport("the export is damaged: a checksum does not agree")
        return kind, body

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        if len(data) < size:
            raise DamagedExport("the export is cut off")
        return data

    def _chunk(self, body: bytes) -> tuple[int, bytes]:
        try:
            (number,) = _TABLE.unpack_from(body)
            compressed = memoryview(body)[_TABLE.size :]
            if zstandard.frame_content_size(compressed) > BODY_BYTES_MAX:
                raise DamagedExport("the export is damaged: a chunk has no possible length")
            chunk = self._decompress(compressed)
        except (struct.error, zstandard.ZstdError) as error:
            raise DamagedExport(f"the export is damaged: {error}") from error
        if number >= len(self.tables):
            raise DamagedExport("the export is damaged: it has rows of no table")
        return number, chunk


def inspect(stream: IO[bytes]) -> tuple[Header, dict[str, Tally]]:
    """Read a whole export: what it is of and what is in it. Raises DamagedExport if anything is wrong."""
    reader = ExportReader(stream)
    for _ in reader.chunks():
        pass
    return reader.header, reader.tallies


def same_form(reader: ExportReader, table: Table[Any]) -> bool:
    """Whether rows of the table are encoded today as they are in the export."""
    return form(table) in reader.header.tables


def is_seekable(stream: IO[bytes]) -> bool:
    """Whether it can be read twice."""
    try:
        return stream.seekable()
    except (AttributeError, io.UnsupportedOperation):
        return False


def _known(found: TableForm) -> Table[Any]:
    """The table of today for one of the export."""
    for table in TABLES:
        now = form(table)
        if now.name == found.name:
            if now.key != found.key or now.fields[: len(found.fields)] != found.fields:
                raise DamagedExport(f"the export's table {found.name} is not one that is known here")
            return table
    raise DamagedExport(f"the export's table {found.name} is not known here: upgrade oastfs")


def _length(chunk: bytes) -> int:
    """How many elements the array has."""
    first = chunk[0] if chunk else 0
    if 0x90 <= first <= 0x9F:
        return first & 0x0F
    if first == 0xDC:
        return int.from_bytes(chunk[1:3])
    if first == 0xDD:
        return int.from_bytes(chunk[1:5])
    raise DamagedExport("the export is damaged: a chunk is no list of rows")


def _decoded(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise DamagedExport(f"the export is damaged: {error}") from error


def _checksum(start: bytes, body: bytes) -> bytes:
    return int(google_crc32c.extend(google_crc32c.value(start), body)).to_bytes(4)
