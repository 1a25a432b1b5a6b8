"""``oastfs query``: the namespace as SQL tables."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from oastfs.cli import output
from oastfs.cli.failure import Failure, UsageFailure

if TYPE_CHECKING:
    from oastfs.query import Result

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL", "NUMBER")


@click.command("query")
@click.argument("sql", required=False)
@click.option(
    "--metadata", multiple=True, metavar="URL", help="The store (what OASTFS_URL names, if it is one)."
)
@click.option("--store", type=click.Path(path_type=Path), help="Directory of an embedded store.")
@click.option(
    "-f", "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", help="(table)"
)
@click.option("--memory", default="2GB", show_default=True, help="What DuckDB may take; more goes to disk.")
@click.option("--tables", "list_tables", is_flag=True, help="List the tables and their columns.")
@output.json_option
def query_command(
    sql: str | None,
    metadata: tuple[str, ...],
    store: Path | None,
    form: str,
    memory: str,
    list_tables: bool,
    as_json: bool,
) -> None:
    """Ask the namespace questions in SQL (DuckDB's), on one snapshot of a metadata store.

    \b
    oastfs query "select path, total_size from directories order by 2 desc limit 10"

    SQL may be - for standard input. It reads the store itself, beside running servers if need be, and only
    what the query needs of it. Nothing in the store can be changed.
    """
    if store is not None and metadata:
        raise UsageFailure("give --store or --metadata")
    try:
        from oastfs.query import Query
    except ModuleNotFoundError as error:
        raise Failure(
            f"queries need the package {error.name}, which is not installed: pip install 'oastfs[query]'"
        ) from None
    if list_tables:
        _print_tables(as_json or form == "json")
        return
    text = sys.stdin.read() if sql == "-" else sql
    if not text:
        raise UsageFailure("what is the question? Give it as SQL, or --tables to see what there is")
    from oastfs.cli.admin import default_store
    from oastfs.cli.stores import opened

    urls = (f"lmdb://{quote(str(store.absolute()))}",) if store else metadata or default_store()
    with opened(urls) as found, Query(found, memory=memory) as query:
        result = query.run(text)
        {"table": _print_table, "csv": _print_csv, "json": _print_json}["json" if as_json else form](result)


def _print_tables(as_json: bool) -> None:
    from oastfs.query.catalog import VIEWS

    found = [(view.name, column) for view in VIEWS.values() for column in view.columns]
    if as_json:
        keys = ("table", "column", "type", "meaning")
        output.print_json(
            [dict(zip(keys, (name, c.name, c.type, c.meaning), strict=True)) for name, c in found]
        )
        return
    output.print_table(
        ("table", "column", "type", "meaning"), [[name, c.name, c.type, c.meaning] for name, c in found]
    )


def _print_table(result: Result) -> None:
    right = [at for at, kind in enumerate(result.types) if kind.startswith(_NUMBERS)]
    rows = [[_cell(value) for value in row] for row in result.rows]
    if result.names:
        output.print_table(result.names, rows, right)


def _print_csv(result: Result) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(result.names)
    writer.writerows([_plain(value, "") for value in row] for row in result.rows)


def _print_json(result: Result) -> None:
    names = list(_distinct(result.names))
    rows = (dict(zip(names, map(_json_value, row), strict=True)) for row in result.rows)
    output.print_json_list(rows)


def _distinct(names: Sequence[str]) -> Iterator[str]:
    """Names as keys: those that come again are numbered."""
    seen: set[str] = set()
    for name in names:
        free = next(one for n in itertools.count() if (one := f"{name}_{n}" if n else name) not in seen)
        seen.add(free)
        yield free


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return output.printable(str(_plain(value, "")))


def _plain(value: Any, null: str) -> Any:
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    return value


def _json_value(value: Any) -> Any:
    """What JSON has a form for as it is, the rest as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value
