"""What a table is: a key of typed columns and a value struct.

Drivers compile these declarations to their own form: LMDB to ordered byte keys and MessagePack
values, SQL to columns. The first key column decides the partition, in every table: an integer id
carries its partition in its low ``PARTITION_BITS`` bits, a text is hashed. Rows with equal partition
live on one shard, always.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

PARTITION_BITS = 10
PARTITIONS = 1 << PARTITION_BITS
PARTITION_MASK = PARTITIONS - 1

Key = tuple[int | str, ...]
"""Values of a table's key columns, in order. A prefix of them selects a range."""


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of value structs. New fields go at the end with defaults: old rows stay readable."""


V = TypeVar("V", bound=Row)


class Column(enum.Enum):
    """Types of key columns."""

    ID = "id"
    """Unsigned 63-bit integer, ordered by value."""
    TEXT = "text"
    """UTF-8 without NUL, ordered by bytes; at most 255 bytes."""


class Lock(enum.Enum):
    """How a read locks its rows until the transaction ends. Drivers with one writer ignore it."""

    NONE = 0
    SHARED = 1
    EXCLUSIVE = 2


_shapes: dict[tuple[Column, ...], tuple[Column, ...]] = {}


def shape_of(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Types of a key's columns. Equal ones are the same object, so that hot code may compare identities."""
    shape = tuple(columns)
    return _shapes.setdefault(shape, shape)


@dataclass(frozen=True)
class Index:
    """A second order of a table: a permutation of its key columns, kept by the driver.

    Scanning it gives the table's own keys and values. Its entries live on the row's shard, so a scan
    of an index asks every shard.
    """

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table(Generic[V]):
    """Declaration of one table; see ``schema.py`` for them all."""

    name: str
    key: tuple[tuple[str, Column], ...]
    value: type[V]
    indexes: tuple[Index, ...] = ()
    remembered: Callable[[Any], bool] | None = None
    """Which rows (by their values) ``Transaction.memo`` may rest upon; without it none of the table's."""
    kept: bool = False
    """Whether its rows are small, and read by most changes: a driver may keep some of them in mind."""
    shape: tuple[Column, ...] = field(init=False)
    """Types of the key's columns; the same object for equal ones."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", shape_of(column for _, column in self.key))

    def partition(self, key: Key) -> int:
        """The partition of a row, 0 to PARTITIONS - 1."""
        first = key[0]
        if isinstance(first, int):
            return first & PARTITION_MASK
        return zlib.crc32(first.encode()) & PARTITION_MASK
