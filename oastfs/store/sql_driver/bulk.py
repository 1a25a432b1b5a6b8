"""Many rows at once: PostgreSQL's COPY, which takes them as text, a line each.

For filling tables that nobody else uses: it replaces nothing, and does not tell one kind of conflict from
another.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from oastfs.store.sql_driver.layout import Layout
from oastfs.store.table import Key

_NULL: Final = "\\N"
_SPECIAL: Final = re.compile(r"[\\\n\r\t]")
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def copy_rows(connection: Any, layout: Layout, rows: Sequence[tuple[Key, Any]]) -> None:
    """Put rows into a table, in the transaction of a connection of SQLAlchemy's."""
    columns = ", ".join([*layout.quoted_key, *layout.quoted_values])
    statement = f"COPY {layout.name} ({columns}) FROM STDIN"
    data = lines(layout, rows).encode()
    cursor = connection.connection.cursor()
    try:
        if hasattr(cursor, "copy_expert"):  # psycopg 2
            cursor.copy_expert(statement, io.BytesIO(data))
        else:
            with cursor.copy(statement) as copy:
                copy.write(data)
    except connection.dialect.loaded_dbapi.Error as error:
        # As SQLAlchemy does for statements that go through it.
        lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
        raise sa.exc.DBAPIError(statement, None, error, connection_invalidated=lost) from error
    finally:
        cursor.close()


def lines(layout: Layout, rows: Sequence[tuple[Key, Any]]) -> str:
    """Rows in COPY's text format."""
    converters = [_CONVERTERS.get(kind, _text) for kind in [*layout.key_types, *layout.value_types]]
    key_arguments, encode = layout.key_arguments, layout.encode
    parts: list[str] = []
    for key, value in rows:
        fields = (*key_arguments(key), *encode(value))
        line = [
            _NULL if field is None else convert(field)
            for convert, field in zip(converters, fields, strict=True)
        ]
        parts.append("\t".join(line))
    parts.append("")
    return "\n".join(parts)


def _text(value: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], value)


def _bytes(value: bytes) -> str:
    return "\\\\x" + value.hex()


def _integers(value: list[int]) -> str:
    return "{" + ",".join(map(str, value)) + "}"


def _boolean(value: bool) -> str:
    return "t" if value else "f"


_CONVERTERS: Final[dict[str, Callable[[Any], str]]] = {
    "bigint": str,
    "BIGINT": str,
    "smallint": str,
    "BOOLEAN": _boolean,
    "BYTEA": _bytes,
    "BIGINT[]": _integers,
}
"""By the type's name; everything else is text, as JSON is."""
