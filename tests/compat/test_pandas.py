"""pandas: tables written and read by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.conftest import Place

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Large enough to go to blocks in every format."""
    random = np.random.default_rng(1)
    rows = 50_000
    return pd.DataFrame(
        {
            "number": np.arange(rows),
            "value": random.normal(size=rows),
            "text": [f"row {n} ä" for n in range(rows)],
            "day": pd.date_range("2020-01-01", periods=rows, freq="min"),
        }
    )


def test_csv(place: Place, table: pd.DataFrame) -> None:
    url = f"{place.url}/new/table.csv"
    table.to_csv(url, index=False, storage_options=place.options)
    back = pd.read_csv(url, parse_dates=["day"], storage_options=place.options)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert place.fs.size(f"{place.path}/new/table.csv") > 1_000_000


def test_csv_in_chunks_and_compressed(place: Place, table: pd.DataFrame) -> None:
    url = f"{place.url}/table.csv.gz"
    table.to_csv(url, index=False, storage_options=place.options)
    with pd.read_csv(url, chunksize=7_000, parse_dates=["day"], storage_options=place.options) as chunks:
        back = pd.concat(list(chunks))
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


def test_parquet(place: Place, table: pd.DataFrame) -> None:
    url = f"{place.url}/table.parquet"
    table.to_parquet(url, storage_options=place.options)
    back = pd.read_parquet(url, storage_options=place.options)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    columns = pd.read_parquet(url, columns=["value"], storage_options=place.options)
    assert list(columns.columns) == ["value"] and len(columns) == len(table)


def test_partitioned_parquet(place: Place, table: pd.DataFrame) -> None:
    url = f"{place.url}/partitioned"
    parts = table.assign(part=table["number"] % 3)
    parts.to_parquet(url, partition_cols=["part"], storage_options=place.options)
    back = pd.read_parquet(url, filters=[("part", "=", 1)], storage_options=place.options)
    assert sorted(back["number"]) == list(range(1, len(table), 3))


def test_json_and_pickle(place: Place, table: pd.DataFrame) -> None:
    small = table.head(100)
    small.to_json(f"{place.url}/t.jsonl", orient="records", lines=True, storage_options=place.options)
    lines = pd.read_json(f"{place.url}/t.jsonl", lines=True, storage_options=place.options)
    assert list(lines["text"]) == list(small["text"])
    small.to_pickle(f"{place.url}/t.pkl", storage_options=place.options)
    back = pd.read_pickle(f"{place.url}/t.pkl", storage_options=place.options)
    pd.testing.assert_frame_equal(back, small)


def test_missing(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        pd.read_csv(f"{place.url}/none.csv", storage_options=place.options)
