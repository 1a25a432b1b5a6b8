"""duckdb: SQL over files by URL, once the filesystem is registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.compat.conftest import Place

duckdb = pytest.importorskip("duckdb")

pytestmark = pytest.mark.system


@pytest.fixture
def connection(place: Place) -> Iterator[Any]:
    with duckdb.connect() as connection:
        connection.register_filesystem(place.fs)
        yield connection


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_copy_and_query(place: Place, connection: Any, kind: str) -> None:
    connection.sql("create table t as select range as number, 'row ' || range as text from range(50000)")
    connection.sql(f"copy t to '{place.url}/table.{kind}' (format {kind})")
    query = f"select count(*), sum(number) from '{place.url}/table.{kind}'"
    assert connection.sql(query).fetchall() == [(50_000, sum(range(50_000)))]


def test_glob(place: Place, connection: Any) -> None:
    for part in range(3):
        connection.sql(f"copy (select {part} as part) to '{place.url}/{part}.parquet' (format parquet)")
    rows = connection.sql(f"select part from read_parquet('{place.url}/*.parquet') order by part").fetchall()
    assert rows == [(0,), (1,), (2,)]


def test_missing(place: Place, connection: Any) -> None:
    with pytest.raises(duckdb.Error):
        connection.sql(f"select * from '{place.url}/none.parquet'").fetchall()
