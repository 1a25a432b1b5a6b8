"""Rows of several tables in one trip: one statement that is the union of a ``get_many`` for each table.

The parts of a union have the same columns. So its columns are as many of each type as any of the tables has,
and each table's part has its own columns among them and nulls in the others.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from oastfs.store.sql_driver.layout import Layout
from oastfs.store.sql_driver.statements import Statement, pruning
from oastfs.store.table import Table

_FIRST_VALUE = 2
"""Behind the number of the table and the place of the key."""


class Batch:
    """The statement for some tables. Its arguments are an array for each key column of each of them."""

    def __init__(self, name: str, layouts: dict[Table[Any], Layout]) -> None:
        self.layouts = layouts
        most: Counter[str] = Counter()
        for layout in layouts.values():
            most |= Counter(layout.value_types)
        slots = [(kind, number) for kind in sorted(most) for number in range(most[kind])]
        at = {slot: position for position, slot in enumerate(slots)}
        self._decoders: list[tuple[Table[Any], Any, Any]] = []
        parts: list[str] = []
        types: list[str] = []
        for part, (table, layout) in enumerate(layouts.items()):
            used: Counter[str] = Counter()
            picked: dict[int, str] = {}
            for column, kind in zip(layout.quoted_values, layout.value_types, strict=True):
                picked[at[kind, used[kind]]] = f"t.{column}"
                used[kind] += 1
            columns = [picked.get(position, f"NULL::{kind}") for position, (kind, _) in enumerate(slots)]
            parts.append(_part(layout, part, len(types), columns))
            types += [f"{kind}[]" for kind in layout.key_types]
            self._decoders.append((table, _picker([_FIRST_VALUE + one for one in picked]), layout.decode))
        parameters = f"({', '.join(types)})"
        marks = ", ".join(["%s"] * len(types))
        body = " UNION ALL ".join(parts)
        if any(layout.partitioned for layout in layouts.values()):
            # It goes to the shards as a whole if the partition is a column of each part, at the same place.
            body = f"SELECT {', '.join(_names(len(slots)))} FROM ({body}) AS u"
        self.statement = Statement(
            name, f"PREPARE {name}{parameters} AS {body}; ", f"EXECUTE {name}({marks})"
        )

    def decode(self, row: tuple[Any, ...]) -> tuple[Table[Any], int, Any]:
        """The table, the place of the key among those asked for (from 1), and the value."""
        table, pick, decode = self._decoders[row[0]]
        return table, row[1], decode(pick(row))


def array(column: Sequence[Any]) -> str:
    """A key column of several rows as PostgreSQL writes arrays: the driver takes longer over lists."""
    if type(column[0]) is int:
        return f"{{{','.join(map(str, column))}}}"
    joined = '","'.join(column)
    if "\\" in joined or joined.count('"') != 2 * len(column) - 2:
        joined = '","'.join([one.replace("\\", "\\\\").replace('"', '\\"') for one in column])
    return f'{{"{joined}"}}'


def _part(layout: Layout, part: int, arguments_before: int, columns: list[str]) -> str:
    names = ", ".join(layout.quoted_key)
    arrays = ", ".join(f"${arguments_before + number}" for number in range(1, len(layout.key) + 1))
    selected = [str(part), "k.place", *columns]
    pruned = ""
    if layout.partitioned:
        selected = [f"{one} AS {name}" for one, name in zip(selected, _names(len(columns)), strict=True)]
        selected.append(f"t.{layout.quoted_key[-1]}")
        pruned = pruning(layout, f"${arguments_before + len(layout.key)}")
    return (
        f"SELECT {', '.join(selected)} FROM unnest({arrays}) WITH ORDINALITY AS k ({names}, place) "
        f"JOIN {layout.name} AS t USING ({names}){pruned}"
    )


def _names(values: int) -> list[str]:
    """Of a part's columns."""
    return ["part", "place", *(f"value_{number}" for number in range(values))]


def _picker(positions: list[int]) -> Any:
    """Takes these of a row, as a tuple."""
    if len(positions) == 1:
        (only,) = positions
        return lambda row: (row[only],)
    return itemgetter(*positions) if positions else lambda row: ()


class Batches:
    """The batches that a store was asked for; there are as many as operations want different tables."""

    def __init__(self, layouts: dict[Table[Any], Layout]) -> None:
        self._layouts = layouts
        self._numbers = itertools.count(1)
        self._made: dict[tuple[Table[Any], ...], Batch] = {}

    def of(self, tables: tuple[Table[Any], ...]) -> Batch:
        """The batch for these tables, in this order."""
        batch = self._made.get(tables)
        if batch is None:
            layouts = {table: self._layouts[table] for table in tables}
            batch = self._made[tables] = Batch(f"batch_{next(self._numbers)}", layouts)
        return batch
