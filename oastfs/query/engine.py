"""One query: what it needs of the tables is found out, loaded from one snapshot, and then it runs.

What is needed is DuckDB's own answer: the query is planned on empty tables, and the plan's scans name their
columns. What DuckDB may not keep in memory it puts into a temporary directory, and Python holds a batch of
rows at a time; so nobody needs memory for the whole namespace.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple

import duckdb

from oastfs.core.errors import InvalidArgument
from oastfs.core.types import FilesystemInfo
from oastfs.namenode.filesystem import load_info
from oastfs.namenode.principals import GROUP, USER, name_of
from oastfs.query.catalog import JOINS, SPACE, TAKEN, VIEWS, View
from oastfs.query.sources import SOURCES, batches, fields, something_is_being_reclaimed
from oastfs.store.export import read_once
from oastfs.store.schema import ROOT_ID
from oastfs.store.transaction import Store, Transaction

MEMORY_DEFAULT: Final = "2GB"
_FETCHED_ROWS: Final = 10_000
_KEPT_OPTIMIZERS: Final = frozenset({"unused_columns", "cte_inlining", "deliminator", "column_lifetime"})
"""Others find that tables are empty and drop what reads them, or hide columns in filters."""
_SETTINGS: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "false",
}

Needs = dict[str, set[str]]
"""Columns by table."""


class Result(NamedTuple):
    """Names and DuckDB's types of the columns, and the rows as they come."""

    names: list[str]
    types: list[str]
    rows: Iterator[tuple[Any, ...]]


class Query:
    """A place to run one query in; use it as a context. Raises InvalidArgument for what is no SQL."""

    def __init__(self, store: Store, *, memory: str = MEMORY_DEFAULT) -> None:
        self._store = store
        self._directory = tempfile.TemporaryDirectory(prefix="oastfs-query-")
        settings: dict[str, Any] = {**_SETTINGS, "temp_directory": self._directory.name}
        self._database = duckdb.connect(":memory:", config=settings)
        self._execute(f"SET memory_limit = '{memory}'; SET TimeZone = 'UTC'; CREATE SCHEMA raw")
        for view in VIEWS.values():
            columns = ", ".join(f"{column.name} {column.type}" for column in view.columns)
            self._execute(f"CREATE TABLE {view.name} ({columns})")

    def __enter__(self) -> Query:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._directory.cleanup()

    def run(self, sql: str) -> Result:
        """Load what the query needs and run it; the result of the last statement."""
        try:
            statements = self._database.extract_statements(sql)
            if not statements:
                raise InvalidArgument("the query is empty")
            needs = self.needs(statements)
            if needs:
                info = load_info(self._store)
                read_once(self._store, lambda tx: _Loading(self._database, tx, info).load(needs))
            for statement in statements:
                cursor = self._database.execute(statement)
        except duckdb.Error as error:
            raise InvalidArgument(_message(error)) from error
        described = cursor.description or []
        return Result([one[0] for one in described], [str(one[1]) for one in described], _rows(cursor))

    def needs(self, statements: Sequence[Any]) -> Needs:
        """What of which tables these statements read."""
        names = [str(row[0]) for row in self._execute("SELECT name FROM duckdb_optimizers()").fetchall()]
        disabled = ",".join(name for name in names if name not in _KEPT_OPTIMIZERS)
        self._execute(f"SET disabled_optimizers = '{disabled}'")
        needs: Needs = {}
        try:
            for statement in statements:
                self._add_needs(statement.query, needs)
        finally:
            self._execute("SET disabled_optimizers = ''")
        return needs

    def _add_needs(self, sql: str, needs: Needs) -> None:
        if "pivot" in sql.lower():
            # Its columns come from the data: what it needs is not known before.
            for view in VIEWS.values():
                if view.name in sql.lower():
                    needs[view.name] = {column.name for column in view.columns}
            return
        try:
            plan = self._execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()
        except duckdb.Error:
            # It is wrong, and says itself where, or it reads nothing (a setting).
            self._execute(sql)
            return
        pending = list(json.loads(plan[0][1]))
        while pending:
            node = pending.pop()
            pending += node.get("children", [])
            about = node.get("extra_info", {})
            table = str(about.get("Table", "")).rpartition(".")[2]
            if table in VIEWS:
                columns = about.get("Projections") or []
                found = {columns} if isinstance(columns, str) else set(columns)
                needs.setdefault(table, set()).update(found)

    def _execute(self, sql: str) -> Any:
        return self._database.execute(sql)


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := cursor.fetchmany(_FETCHED_ROWS):
            yield from rows
    except duckdb.Error as error:
        raise InvalidArgument(_message(error)) from error


def _message(error: Exception) -> str:
    """What is wrong, without the excerpt of the query that points at it with several lines."""
    return str(error).partition("\n\nLINE ")[0]


class _Loading:
    """Fills the tables from one snapshot."""

    def __init__(self, database: Any, tx: Transaction, info: FilesystemInfo) -> None:
        self._database = database
        self._tx = tx
        self._info = info
        self._now_us = time.time_ns() // 1000

    def load(self, needs: Needs) -> None:
        """Sources first, then what is made of them, then the tables that were asked for."""
        filtered = something_is_being_reclaimed(self._tx)
        aliases, taken = _taken(needs, filtered)
        for source in SOURCES:
            if source in taken:
                self._load_source(source, taken[source] or {next(iter(fields(source)))})
        if aliases & {"p", "t"}:
            self._make_directories()
        if "t" in aliases:
            self._make_totals()
        for alias, table, column, kind in (("u", "users", "uid", USER), ("g", "groups", "gid", GROUP)):
            if alias in aliases:
                self._make_names(table, column, kind)
        for name, columns in needs.items():
            self._fill(VIEWS[name], columns, filtered)
        self._database.execute("DROP SCHEMA raw CASCADE")

    def _load_source(self, source: str, wanted: set[str]) -> None:
        # Each batch by itself: of what one transaction inserts, DuckDB keeps more in memory than it counts.
        database = self._database
        kinds = {"int64": "BIGINT", "string": "VARCHAR", "binary": "BLOB", "bool": "BOOLEAN"}
        columns = [f"{name} {kinds[str(kind)]}" for name, kind in fields(source).items() if name in wanted]
        database.execute(f'CREATE TABLE raw."{source}" ({", ".join(_quoted(one) for one in columns)})')
        for batch in batches(self._tx, source, wanted, self._info):
            database.register("batch", batch)
            database.execute(f'INSERT INTO raw."{source}" SELECT * FROM batch')
            database.unregister("batch")

    def _make_directories(self) -> None:
        """Every directory that a path leads to: level by level, from the root on."""
        execute = self._database.execute
        execute("CREATE TABLE raw.dirs (id BIGINT, parent_id BIGINT, path VARCHAR, depth BIGINT)")
        execute(f"INSERT INTO raw.dirs VALUES ({ROOT_ID}, 0, '', 0), (0, NULL, '', -1)")
        execute(
            "CREATE TABLE raw.candidates AS SELECT id, parent_id, name FROM raw.entry "
            "WHERE mode & 61440 = 16384 AND parent_id <> 0"
        )
        depth, found = 0, 1
        while found:
            (found,) = execute(
                "INSERT INTO raw.dirs SELECT c.id, c.parent_id, p.path || '/' || c.name, p.depth + 1 "
                f"FROM raw.candidates c JOIN raw.dirs p ON p.id = c.parent_id WHERE p.depth = {depth}"
            ).fetchone()
            depth += 1
        execute("DROP TABLE raw.candidates")

    def _make_totals(self) -> None:
        """What is in each directory, and then, from the deepest level up, in each tree."""
        execute = self._database.execute
        execute(
            "CREATE TABLE raw.totals AS WITH c AS (SELECT e.parent_id AS id, "
            "count(*) FILTER (e.mode & 61440 <> 16384) AS files, "
            "count(*) FILTER (e.mode & 61440 = 16384) AS directories, "
            "sum(e.length) FILTER (e.mode & 61440 = 32768) AS size, "
            f"sum({SPACE}) FILTER (e.mode & 61440 = 32768) AS space FROM raw.entry e GROUP BY 1) "
            "SELECT d.id, d.parent_id, d.depth, coalesce(c.files, 0) AS files, "
            "coalesce(c.directories, 0) AS directories, coalesce(c.size, 0)::BIGINT AS size, "
            "coalesce(c.files, 0) AS total_files, coalesce(c.directories, 0) AS total_directories, "
            "coalesce(c.size, 0)::BIGINT AS total_size, coalesce(c.space, 0)::BIGINT AS total_space "
            "FROM raw.dirs d LEFT JOIN c ON c.id = d.id WHERE d.depth >= 0"
        )
        (deepest,) = execute("SELECT max(depth) FROM raw.totals").fetchone()
        sums = ("total_files", "total_directories", "total_size", "total_space")
        below = ", ".join(f"sum({one})::BIGINT AS {one}" for one in sums)
        added = ", ".join(f"{one} = totals.{one} + below.{one}" for one in sums)
        for depth in range(deepest, 0, -1):
            execute(
                f"UPDATE raw.totals AS totals SET {added} FROM (SELECT parent_id AS id, {below} "
                f"FROM raw.totals WHERE depth = {depth} GROUP BY 1) AS below WHERE totals.id = below.id"
            )

    def _make_names(self, table: str, column: str, kind: str) -> None:
        execute = self._database.execute
        execute(f"CREATE TABLE raw.{table} (id BIGINT, name VARCHAR)")
        for (number,) in execute(f"SELECT DISTINCT {column} FROM raw.entry").fetchall():
            execute(f"INSERT INTO raw.{table} VALUES (?, ?)", [number, name_of(self._tx, kind, number)])

    def _fill(self, view: View, wanted: set[str], filtered: bool) -> None:
        wanted = wanted or {view.columns[-1].name}
        columns = [column for column in view.columns if column.name in wanted]
        aliases = {alias for alias, _ in view.aliased(wanted)} | _path_if(filtered, view)
        joins = " ".join(JOINS[alias] for alias in sorted(aliases - {"e"}))
        selected = ", ".join(column.expression.replace("$now", str(self._now_us)) for column in columns)
        sql = f"INSERT INTO {view.name} ({', '.join(column.name for column in columns)}) "
        sql += f'SELECT {selected} FROM raw."{view.source}" e {joins}'
        self._database.execute(f"{sql} WHERE {view.where}" if view.where else sql)


def _quoted(column: str) -> str:
    name, kind = column.split(" ")
    return f'"{name}" {kind}'


def _path_if(filtered: bool, view: View) -> set[str]:
    """Entries of trees that are being reclaimed have directories, but no path leads to those."""
    return {"p"} if filtered and view.source == "entry" else set()


def _taken(needs: Needs, filtered: bool) -> tuple[set[str], Needs]:
    """The aliases that columns speak of, and the columns of each source that are to be loaded."""
    aliases: set[str] = set()
    taken: Needs = {}
    for name, columns in needs.items():
        view = VIEWS[name]
        spoken_of = view.aliased(columns or {view.columns[-1].name})
        taken.setdefault(view.source, set()).update(column for alias, column in spoken_of if alias == "e")
        used = {alias for alias, _ in spoken_of} | _path_if(filtered, view)
        for alias in used - {"e"}:
            for source, of_it in TAKEN[alias].items():
                taken.setdefault(source, set()).update(of_it)
            # What the join's condition says of the table itself.
            condition = JOINS[alias].rpartition(" ON ")[2]
            own = [word.split(".")[1] for word in condition.split() if word.startswith("e.")]
            taken[view.source].update(own)
        aliases |= used
    return aliases, taken
