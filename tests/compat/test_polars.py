"""polars: its readers and writers on fsspec files and datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pytest

from tests.compat.conftest import Place

if TYPE_CHECKING:
    import polars as pl
else:
    pl = pytest.importorskip("polars")

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return pl.DataFrame({"number": range(40_000), "text": [f"row {n}" for n in range(40_000)]})


@pytest.mark.parametrize("kind", ["parquet", "csv", "ipc", "ndjson"])
def test_formats(place: Place, table: pl.DataFrame, kind: str) -> None:
    path = f"{place.path}/table.{kind}"
    with place.fs.open(path, "wb") as file:
        getattr(table, f"write_{kind}")(file)
    with place.fs.open(path) as file:
        assert getattr(pl, f"read_{kind}")(file).equals(table)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_url_through_pyarrow(place: Place, table: pl.DataFrame, kind: str) -> None:
    """polars' own readers of URLs know a fixed list of schemes; with pyarrow they ask fsspec."""
    url = f"{place.url}/table.{kind}"
    with fsspec.open(url, "wb", **place.options) as file:
        getattr(table, f"write_{kind}")(file)
    read = getattr(pl, f"read_{kind}")
    assert read(url, use_pyarrow=True, storage_options=place.options).equals(table)


def test_lazy_dataset(place: Place, table: pl.DataFrame) -> None:
    ds = pytest.importorskip("pyarrow.dataset")
    for part in range(4):
        with place.fs.open(f"{place.path}/part-{part}.parquet", "wb") as file:
            table.slice(part * 10_000, 10_000).write_parquet(file)
    dataset = ds.dataset(place.path, format="parquet", filesystem=place.fs)
    lazy = pl.scan_pyarrow_dataset(dataset).filter(pl.col("number") >= 39_990).select("text")
    assert lazy.collect()["text"].to_list() == [f"row {n}" for n in range(39_990, 40_000)]
