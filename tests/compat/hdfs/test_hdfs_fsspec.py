"""hdfs:// URLs of the libraries that stand on fsspec or on hdfs-native: pandas, dask, deltalake, polars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.compat.hdfs.conftest import Faces, HdfsPlace
from tests.compat.hdfs.faces import Fsspec, Mounted

pytest.importorskip("hdfs_native")
pd = pytest.importorskip("pandas")

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ROWS = 20_000


@pytest.fixture(scope="module")
def table() -> Any:
    return pd.DataFrame({"number": range(ROWS), "text": [f"row {n} ä" for n in range(ROWS)]})


@pytest.fixture
def hdfs(faces: Faces) -> Any:
    """hdfs-native's fsspec filesystem."""
    found = faces("hdfs-fsspec")
    assert isinstance(found, Fsspec)
    return found.fs


def test_pandas(table: Any, place: HdfsPlace, hdfs: Any, hdfs_mount: Path) -> None:
    table.to_csv(f"{place.url}/table.csv", index=False)
    assert pd.read_csv(f"{place.url}/table.csv").equals(table)
    table.to_json(f"{place.url}/table.jsonl", orient="records", lines=True)
    assert pd.read_json(f"{place.oastfs_url}/table.jsonl", lines=True).equals(table)
    table.to_parquet(place / "table.parquet", filesystem=hdfs)
    by_url = pd.read_parquet(place / "table.parquet", filesystem=hdfs)
    by_path = pd.read_parquet(Mounted(hdfs_mount).at(place / "table.parquet"))
    pd.testing.assert_frame_equal(by_url, table, check_dtype=False)
    pd.testing.assert_frame_equal(by_path, table, check_dtype=False)


def test_arrow_datasets(table: Any, place: HdfsPlace, hdfs: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    dataset = pytest.importorskip("pyarrow.dataset")
    rows = arrow.Table.from_pandas(table.assign(part=table["number"] % 4))
    parquet.write_to_dataset(rows, place / "set", partition_cols=["part"], filesystem=hdfs)
    found = dataset.dataset(place / "set", filesystem=hdfs, partitioning="hive")
    assert found.count_rows() == ROWS
    assert found.to_table(filter=dataset.field("part") == 1).num_rows == ROWS // 4


def test_dask(table: Any, place: HdfsPlace) -> None:
    dask = pytest.importorskip("dask.dataframe")
    pieces = dask.from_pandas(table, npartitions=4)
    pieces.to_csv(f"{place.url}/pieces/*.csv", index=False)
    assert int(dask.read_csv(f"{place.url}/pieces/*.csv")["number"].sum().compute()) == sum(range(ROWS))


def test_fsspec_moves_trees(place: HdfsPlace, hdfs: Any, tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / "tree" / f"d{number % 3}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * number * 10_000)
    hdfs.put(f"{tmp_path}/tree", place / "tree", recursive=True)
    assert hdfs.du(place / "tree") == sum(range(20)) * 10_000
    assert len(hdfs.find(place / "tree")) == 20
    hdfs.get(place / "tree", f"{tmp_path}/back", recursive=True)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert sizes == {f"{number}": number * 10_000 for number in range(20)}


def test_from_one_protocol_to_the_other(place: HdfsPlace) -> None:
    with fsspec.open(f"{place.url}/a.txt", "w") as file:
        file.write("by hdfs")
    with fsspec.open(f"{place.oastfs_url}/a.txt") as file:
        assert file.read() == b"by hdfs"
    with fsspec.open(f"{place.oastfs_url}/b.txt.gz", "wt", compression="gzip") as file:
        file.write("by oastfs")
    with fsspec.open(f"{place.url}/b.txt.gz", "rt", compression="gzip") as file:
        assert file.read() == "by oastfs"


def test_deltalake(table: Any, place: HdfsPlace) -> None:
    """Commits are renames that must not replace: each writer gets a version of its own."""
    deltalake = pytest.importorskip("deltalake")
    arrow = pytest.importorskip("pyarrow")
    rows = arrow.Table.from_pandas(table)
    url = f"{place.url}/delta"
    for _ in range(3):
        deltalake.write_deltalake(url, rows, mode="append")
    found = deltalake.DeltaTable(url)
    assert found.version() == 2
    assert found.to_pyarrow_table().num_rows == 3 * ROWS
    found.delete("number >= 10")
    assert deltalake.DeltaTable(url).to_pyarrow_table().num_rows == 30
    assert deltalake.DeltaTable(url, version=1).to_pyarrow_table().num_rows == 2 * ROWS


def test_polars(table: Any, place: HdfsPlace) -> None:
    polars = pytest.importorskip("polars")
    pytest.importorskip("polars_hdfs")
    with fsspec.open(f"{place.url}/a.parquet", "wb") as file:
        polars.from_pandas(table).write_parquet(file)
    assert polars.read_parquet(f"{place.url}/a.parquet").height == ROWS
    lazy = polars.scan_parquet(f"{place.url}/*.parquet").filter(polars.col("number") < 10)
    assert lazy.collect().height == 10
