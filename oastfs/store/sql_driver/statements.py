"""The statements of a table, prepared once for a connection and then executed by name.

Parsing and planning cost a small server as much as the work. So each statement has a name that says what
it is, a connection prepares it when it first needs it (in the same trip), and the planner is told to
make one plan for all arguments: every statement here is a walk of an index.

Each addresses rows by their whole key, or a range by the first columns of one; none spans tables. That is
what engines which shard by themselves take without a question.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from oastfs.store.keys import Columns
from oastfs.store.sql_driver.layout import Layout, _quote
from oastfs.store.table import Column, Lock

STAMP: Final = "xmin::text::bigint"
"""Of a row: the number of the transaction that made it, its low 32 bits."""


class Statement(NamedTuple):
    """``prepare`` makes it known to a connection, ``execute`` takes its arguments."""

    name: str
    prepare: str
    execute: str


def _statement(name: str, types: list[str], body: str) -> Statement:
    parameters = f"({', '.join(types)})" if types else ""
    marks = f"({', '.join(['%s'] * len(types))})" if types else ""
    return Statement(name, f"PREPARE {name}{parameters} AS {body}; ", f"EXECUTE {name}{marks}")


def _numbered(names: list[str], first: int = 1, glue: str = " AND ") -> str:
    return glue.join(f"{name} = ${number}" for number, name in enumerate(names, first))


def pruning(layout: Layout, partitions: str) -> str:
    """Tells an engine that shards by itself which of its shards have the rows: it does not follow a join."""
    return f" WHERE t.{layout.quoted_key[-1]} = ANY ({partitions})" if layout.partitioned else ""


class Statements:
    """Of one table. ``stamped``: ``get`` gives the number of the transaction that made the row before it."""

    def __init__(self, layout: Layout, stamped: bool = False) -> None:
        self.layout = layout
        name = layout.table.name
        table, key, values = layout.name, layout.quoted_key, layout.quoted_values
        types = layout.key_types
        where = _numbered(key)
        every = [*key, *values]
        all_types = [*types, *layout.value_types]
        marks = ", ".join(f"${number}" for number in range(1, len(every) + 1))
        columns = ", ".join(values) or "1"
        insert = f"INSERT INTO {table} ({', '.join(every)}) VALUES ({marks})"
        replaced = ", ".join(f"{one} = excluded.{one}" for one in values)
        on_conflict = f"ON CONFLICT ({', '.join(key)}) DO " + (
            f"UPDATE SET {replaced}" if values else "NOTHING"
        )
        stamp = f"{STAMP}, " if stamped else ""
        self.get = _statement(f"get_{name}", types, f"SELECT {stamp}{columns} FROM {table} WHERE {where}")
        self.get_many = self._get_many(columns)
        self.insert = _statement(f"insert_{name}", all_types, insert)
        self.upsert = _statement(f"upsert_{name}", all_types, f"{insert} {on_conflict}")
        self.delete = _statement(f"delete_{name}", types, f"DELETE FROM {table} WHERE {where}")
        self.lock_shared = _statement(
            f"share_{name}", types, f"SELECT 1 FROM {table} WHERE {where} FOR SHARE"
        )
        lock = f"SELECT 1 FROM {table} WHERE {where} FOR UPDATE"
        self.update = _statement(
            f"update_{name}",
            all_types,
            f"UPDATE {table} SET {_numbered(values, len(key) + 1, ', ')} WHERE {where}" if values else lock,
        )
        # A lock alone leaves no trace for those whose snapshot is older; a new version of the row does.
        again = f"UPDATE {table} SET {values[0]} = {values[0]} WHERE {where}" if values else lock
        self.lock_exclusive = _statement(f"lock_{name}", types, again)
        self._scans: dict[tuple[Any, ...], Statement] = {}

    def lock(self, lock: Lock) -> Statement:
        """Locks a row until the end of the transaction."""
        return self.lock_exclusive if lock is Lock.EXCLUSIVE else self.lock_shared

    def _get_many(self, columns: str) -> Statement:
        layout = self.layout
        names = ", ".join(layout.quoted_key)
        arrays = ", ".join(f"${number}" for number in range(1, len(layout.key) + 1))
        picked = ", ".join(f"t.{one}" for one in layout.quoted_values) or "1"
        body = (
            f"SELECT k.place, {picked} FROM unnest({arrays}) WITH ORDINALITY AS k ({names}, place) "
            f"JOIN {layout.name} AS t USING ({names}){pruning(layout, f'${len(layout.key)}')}"
        )
        return _statement(f"many_{layout.table.name}", [f"{one}[]" for one in layout.key_types], body)

    def scan(self, columns: Columns, through: str, depth: int, after: int, reverse: bool) -> Statement:
        """A page of the rows that begin with ``depth`` of these columns, past ``after`` more of them.

        ``through`` names the index whose columns these are ("": the primary key's). Arguments: the prefix,
        with the partition behind its first column if there is one, what is after, and the number of rows.
        """
        asked = (through, depth, after, reverse)
        found = self._scans.get(asked)
        if found is None:
            found = self._scans[asked] = self._scan(columns, through, depth, after, reverse)
        return found

    def _scan(self, columns: Columns, through: str, depth: int, after: int, reverse: bool) -> Statement:
        layout = self.layout
        names = [_quote(name) for name, _ in columns]
        types = ["bigint" if column is Column.ID else "text" for _, column in columns[: depth + after]]
        fixed = names[:depth]
        if self.is_within_partition(through, depth):
            fixed = [names[0], layout.quoted_key[-1], *names[1:depth]]
            types.insert(1, "smallint")
        conditions = [_numbered(fixed)] if fixed else []
        if after:
            first = len(fixed) + 1
            marks = ", ".join(f"${number}" for number in range(first, first + after))
            past = ", ".join(names[depth : depth + after])
            conditions.append(f"({past}) {'<' if reverse else '>'} ({marks})")
        order = ", ".join(f"{name} DESC" if reverse else name for name in names[depth:])
        body = f"SELECT {', '.join([*layout.quoted_key[: len(columns)], *layout.quoted_values])} "
        body += f"FROM {layout.name}"
        body += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        body += f" ORDER BY {order}" if order else ""
        body += f" LIMIT ${len(types) + 1}"
        name = f"scan_{through or layout.table.name}_{depth}_{after}_{'down' if reverse else 'up'}"
        return _statement(name, [*types, "bigint"], body)

    def is_within_partition(self, through: str, depth: int) -> bool:
        """Whether a scan stays within one partition, and says so."""
        return self.layout.partitioned and depth > 0 and not through
