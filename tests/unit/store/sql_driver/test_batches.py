"""Key columns of several rows as PostgreSQL's arrays."""

from __future__ import annotations

import pytest

from oastfs.store.sql_driver.batches import array
from tests.harness.postgresql import PostgresServer

COLUMNS: list[tuple[str, tuple[object, ...]]] = [
    ("bigint", (0, 1, -5, (1 << 63) - 1)),
    ("text", ("", "plain", "a,b", "{x}", 'say "so"', "back\\slash", '\\"', "'", "NULL", " ", "ä\n\t", "%s")),
    ("text", ('"',)),
    ("text", ('","',)),
    ("text", ('","', 'x"y')),
]


@pytest.mark.parametrize(("kind", "column"), COLUMNS)
def test_a_column_comes_back_as_it_is(
    kind: str, column: tuple[object, ...], postgresql: PostgresServer
) -> None:
    import psycopg2

    connection = psycopg2.connect(postgresql.url("postgres").replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT CAST(%s AS {kind}[])", (array(column),))
            assert tuple(cursor.fetchone()[0]) == column
    finally:
        connection.close()
