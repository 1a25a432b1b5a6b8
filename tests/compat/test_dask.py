"""dask: dataframes and bytes by URL, on threads and on processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.conftest import Place

dd = pytest.importorskip("dask.dataframe")
if TYPE_CHECKING:
    import pandas as pd
else:
    pd = pytest.importorskip("pandas")
dask = pytest.importorskip("dask")

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame({"number": range(30_000), "group": [n % 5 for n in range(30_000)]})


@pytest.fixture(params=["threads", "processes"])
def scheduler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_parquet(place: Place, table: pd.DataFrame, scheduler: str) -> None:
    url = f"{place.url}/parquet"
    with dask.config.set(scheduler=scheduler, num_workers=2):
        dd.from_pandas(table, npartitions=4).to_parquet(url, storage_options=place.options)
        back = dd.read_parquet(url, storage_options=place.options)
        assert back.npartitions == 4
        sums = back.groupby("group")["number"].sum().compute()
    pd.testing.assert_series_equal(
        sums.sort_index(), table.groupby("group")["number"].sum(), check_dtype=False, check_index_type=False
    )


def test_csv_in_blocks(place: Place, table: pd.DataFrame, scheduler: str) -> None:
    with dask.config.set(scheduler=scheduler, num_workers=2):
        frame = dd.from_pandas(table, npartitions=3)
        written = frame.to_csv(f"{place.url}/csv-*.csv", index=False, storage_options=place.options)
        assert len(written) == 3
        back = dd.read_csv(f"{place.url}/csv-*.csv", blocksize=20_000, storage_options=place.options)
        assert back.npartitions > 3
        assert back["number"].sum().compute() == table["number"].sum()


def test_bag_of_text(place: Place) -> None:
    bag = pytest.importorskip("dask.bag")
    place.fs.pipe({f"{place.path}/{n}.txt": f"line {n}\n".encode() * 3 for n in range(10)})
    with dask.config.set(scheduler="threads"):
        lines = bag.read_text(f"{place.url}/*.txt", storage_options=place.options).compute()
    assert len(lines) == 30 and set(lines) == {f"line {n}\n" for n in range(10)}
