"""Rows of several tables in one trip: one statement that is the union of a ``get_many`` for each table.

The parts of a union have the same columns. So its columns are as many of each type as any of the tables has,
and each table's part has its own columns among them and nulls in the others.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from oastfs.store.sql_driver.layout import Layout
from oastfs.store.sql_driver.statements import STAMP, Statement, pruning
from oastfs.store.table import Key, Table

_PLACES = ("k.place",)
_STAMPED = "k.place", f"t.{STAMP}"
_SNAPSHOT = "hashtextextended(pg_current_snapshot()::text, 0)"
_HORIZON = f"SELECT -1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint, {_SNAPSHOT}"
SNAPSHOT = Statement(
    "snapshot", f"PREPARE snapshot AS SELECT -1, 0::bigint, {_SNAPSHOT}; ", "EXECUTE snapshot"
)
"""As a stamped batch for no table at all."""


class Batch:
    """The statement for some tables. Its arguments are an array for each key column of each of them.

    A ``stamped`` one gives the number of the transaction that made each row as well, in the third column.
    With ``horizon``, there is a row as if of table -1: with the number below which no transaction is under
    way, and one of the snapshot; where that is the same twice, no transaction has ended in between.
    """

    def __init__(self, name: str, layouts: dict[Table[Any], Layout], stamped: bool, horizon: bool) -> None:
        self.layouts = layouts
        self.stamped = stamped
        first = _STAMPED if stamped else _PLACES
        first_value = 1 + len(first)
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
            parts.append(_part(layout, len(types), [str(part), *first, *columns]))
            types += [f"{kind}[]" for kind in layout.key_types]
            self._decoders.append((table, _picker([first_value + one for one in picked]), layout.decode))
        if horizon:
            kinds = [kind for kind, _ in slots]
            if any(layout.partitioned for layout in layouts.values()):
                kinds.append("smallint")
            parts.append(", ".join([_HORIZON, *(f"NULL::{kind}" for kind in kinds)]))
        parameters = f"({', '.join(types)})"
        marks = ", ".join(["%s"] * len(types))
        body = " UNION ALL ".join(parts)
        if any(layout.partitioned for layout in layouts.values()):
            # It goes to the shards as a whole if the partition is a column of each part, at the same place.
            body = f"SELECT {', '.join(_names(first_value + len(slots)))} FROM ({body}) AS u"
        self.statement = Statement(
            name, f"PREPARE {name}{parameters} AS {body}; ", f"EXECUTE {name}({marks})"
        )

    def arguments(self, keys: Mapping[Table[Any], Sequence[Key]]) -> list[Any]:
        """Of its statement, for these keys of each of its tables."""
        arguments: list[Any] = []
        for table, layout in self.layouts.items():
            arguments += map(array, zip(*map(layout.key_arguments, keys[table]), strict=True))
        return arguments

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


def _part(layout: Layout, arguments_before: int, selected: list[str]) -> str:
    names = ", ".join(layout.quoted_key)
    arrays = ", ".join(f"${arguments_before + number}" for number in range(1, len(layout.key) + 1))
    pruned = ""
    if layout.partitioned:
        selected = [f"{one} AS {name}" for one, name in zip(selected, _names(len(selected)), strict=True)]
        selected.append(f"t.{layout.quoted_key[-1]}")
        pruned = pruning(layout, f"${arguments_before + len(layout.key)}")
    return (
        f"SELECT {', '.join(selected)} FROM unnest({arrays}) WITH ORDINALITY AS k ({names}, place) "
        f"JOIN {layout.name} AS t USING ({names}){pruned}"
    )


def _names(columns: int) -> list[str]:
    """Of a part's columns."""
    return ["part", "place", *(f"value_{number}" for number in range(columns - 2))]


def _picker(positions: list[int]) -> Any:
    """Takes these of a row, as a tuple."""
    if len(positions) == 1:
        (only,) = positions
        return lambda row: (row[only],)
    return itemgetter(*positions) if positions else lambda row: ()


class Batches:
    """The batches that a store was asked for; there are as many as operations want different tables."""

    def __init__(
        self, layouts: dict[Table[Any], Layout], stamped: bool = False, horizon: bool = False
    ) -> None:
        self._layouts = layouts
        self._stamped = stamped
        self._horizon = horizon
        self._numbers = itertools.count(1)
        self._made: dict[tuple[Table[Any], ...], Batch] = {}

    def of(self, tables: tuple[Table[Any], ...]) -> Batch:
        """The batch for these tables, in this order."""
        batch = self._made.get(tables)
        if batch is None:
            layouts = {table: self._layouts[table] for table in tables}
            name = f"{'look' if self._horizon else 'batch'}_{next(self._numbers)}"
            batch = self._made[tables] = Batch(name, layouts, self._stamped, self._horizon)
        return batch
