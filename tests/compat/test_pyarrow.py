"""pyarrow: datasets with partitions, IPC files, and its own filesystem calls through fsspec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.conftest import Place

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")
pafs = pytest.importorskip("pyarrow.fs")

pytestmark = pytest.mark.system

ROWS = 60_000


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.table(
        {
            "year": pa.array([2020 + n % 4 for n in range(ROWS)], pa.int32()),
            "month": pa.array([1 + n % 12 for n in range(ROWS)], pa.int32()),
            "value": pa.array([float(n) for n in range(ROWS)]),
        }
    )


def test_dataset_with_partitions(place: Place, table: pa.Table) -> None:
    flavour = ds.partitioning(table.select(["year", "month"]).schema, flavor="hive")
    base = f"{place.path}/dataset"
    ds.write_dataset(table, base, format="parquet", partitioning=flavour, filesystem=place.fs)
    assert f"{base}/year=2021/month=2" in place.fs.find(base, withdirs=True)
    dataset = ds.dataset(base, format="parquet", partitioning=flavour, filesystem=place.fs)
    assert dataset.count_rows() == ROWS
    part = dataset.to_table(filter=(ds.field("year") == 2021) & (ds.field("value") < 1000))
    assert sorted(part["value"].to_pylist()) == [float(n) for n in range(1000) if n % 4 == 1]
    assert len(dataset.files) == 12


def test_dataset_is_replaced_part_by_part(place: Place, table: pa.Table) -> None:
    flavour = ds.partitioning(table.select(["year"]).schema, flavor="hive")
    arguments = {
        "format": "parquet",
        "partitioning": flavour,
        "filesystem": place.fs,
        "existing_data_behavior": "delete_matching",
    }
    for rows in (table, table.slice(0, 4)):
        ds.write_dataset(rows, f"{place.path}/d", **arguments)
    found = ds.dataset(f"{place.path}/d", partitioning=flavour, filesystem=place.fs)
    assert found.count_rows() == 4


def test_parquet_metadata_and_row_groups(place: Place, table: pa.Table) -> None:
    path = f"{place.path}/table.parquet"
    pq.write_table(table, path, row_group_size=10_000, filesystem=place.fs)
    with place.fs.open(path) as file:
        parquet = pq.ParquetFile(file)
        assert parquet.num_row_groups == 6
        assert parquet.read_row_group(3, ["value"])["value"][0].as_py() == 30_000.0
    assert pq.read_table(path, filesystem=place.fs).equals(table)


def test_ipc(place: Place, table: pa.Table) -> None:
    path = f"{place.path}/table.arrow"
    with place.fs.open(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with place.fs.open(path) as source:
        assert pa.ipc.open_file(source).read_all().equals(table)


def test_filesystem_calls(place: Place) -> None:
    fs = pafs.PyFileSystem(pafs.FSSpecHandler(place.fs))
    base = place.path
    fs.create_dir(f"{base}/a/b")
    with fs.open_output_stream(f"{base}/a/file") as stream:
        stream.write(b"content")
    with fs.open_append_stream(f"{base}/a/file") as stream:
        stream.write(b" and more")
    with fs.open_input_file(f"{base}/a/file") as file:
        assert file.size() == 16 and file.read_at(3, 12) == b"mor"
    info = fs.get_file_info(f"{base}/a/file")
    assert (info.type, info.size) == (pafs.FileType.File, 16) and info.mtime is not None
    assert fs.get_file_info(f"{base}/none").type == pafs.FileType.NotFound
    listed = fs.get_file_info(pafs.FileSelector(base, recursive=True))
    assert sorted(one.path for one in listed) == [f"{base}/a", f"{base}/a/b", f"{base}/a/file"]
    fs.move(f"{base}/a/file", f"{base}/a/moved")
    fs.copy_file(f"{base}/a/moved", f"{base}/a/copy")
    fs.delete_file(f"{base}/a/moved")
    fs.delete_dir_contents(f"{base}/a")
    assert place.fs.ls(f"{base}/a") == []
    fs.delete_dir(f"{base}/a")
    assert not place.fs.exists(f"{base}/a")
