"""Spark 4 on hdfs://: tables in its formats, overwrites, streams, many small files, beside pandas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.hdfs.conftest import HdfsPlace
from tests.compat.hdfs.faces import Mounted, Native
from tests.harness import java
from tests.harness.cluster import Cluster
from tests.harness.ports import free_port

pytest.importorskip("pyspark")
pd = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not java.client_jars(), reason="no Java"),
]

ROWS = 2000
IMAGES = 2000


def ha_settings(address: str) -> dict[str, str]:
    """A name for two namenodes, the first of which is not there."""
    settings = {
        "dfs.nameservices": "oast",
        "dfs.ha.namenodes.oast": "nn1,nn2",
        "dfs.namenode.rpc-address.oast.nn1": f"127.0.0.1:{free_port()}",
        "dfs.namenode.rpc-address.oast.nn2": address,
        "dfs.client.failover.proxy.provider.oast": (
            "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        ),
    }
    return {f"spark.hadoop.{name}": value for name, value in settings.items()}


@pytest.fixture(scope="module")
def spark(hdfs_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One session with few and small parts."""
    from pyspark.sql import SparkSession

    local = tmp_path_factory.mktemp("spark")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.local.dir": str(local),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.files.openCostInBytes": "65536",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": f"hdfs://{hdfs_address}/warehouse",
        "spark.ui.enabled": "false",
        **ha_settings(hdfs_address),
    }
    builder = SparkSession.builder.master("local[2]").appName("oastfs")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def table(spark: Any) -> Any:
    """Numbers, texts and a part to partition by."""
    return spark.range(ROWS, numPartitions=2).selectExpr(
        "id", "id * 0.5 AS half", "concat('text ä ', id) AS text", "cast(id % 3 AS int) AS part"
    )


@pytest.fixture
def mounted(hdfs_mount: Path) -> Mounted:
    return Mounted(hdfs_mount)


def same(left: Any, right: Any) -> bool:
    """Whether two tables have the same rows."""
    columns = sorted(left.columns)
    assert columns == sorted(right.columns)
    return sorted(map(tuple, left.select(columns).collect())) == sorted(
        map(tuple, right.select(columns).collect())
    )


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "orc"])
def test_formats(spark: Any, table: Any, place: HdfsPlace, form: str) -> None:
    url = f"{place.url}/table"
    table.write.format(form).option("header", True).save(url)
    back = spark.read.format(form).schema(table.schema).option("header", True).load(url)
    assert same(back, table)


def test_text(spark: Any, place: HdfsPlace, mounted: Mounted) -> None:
    mounted.write(place / "lines.txt", "".join(f"line {n} ö\n" for n in range(10_000)).encode())
    lines = spark.read.text(f"{place.url}/lines.txt")
    assert lines.count() == 10_000
    lines.filter("value LIKE '%7 ö'").coalesce(1).write.text(f"{place.url}/sevens")
    (part,) = mounted.at(place / "sevens").glob("part-*")
    assert part.read_text().splitlines() == [f"line {n} ö" for n in range(7, 10_000, 10)]
    assert mounted.at(place / "sevens/_SUCCESS").exists()


def test_name_of_several_namenodes(spark: Any, table: Any, place: HdfsPlace, hdfs_native: Native) -> None:
    table.write.parquet(f"hdfs://oast{place.path}/table")
    assert spark.read.parquet(f"hdfs://oast{place.path}/table").count() == ROWS
    assert "_SUCCESS" in hdfs_native.sizes(place / "table")


def test_append(spark: Any, table: Any, place: HdfsPlace) -> None:
    for _ in range(3):
        table.write.mode("append").parquet(f"{place.url}/table")
    assert spark.read.parquet(f"{place.url}/table").count() == 3 * ROWS


def parts(spark: Any, url: str) -> dict[int, int]:
    """Rows in each part."""
    rows = spark.read.parquet(url).groupBy("part").count().collect()
    return {row["part"]: row["count"] for row in rows}


def test_static_and_dynamic_overwrite(spark: Any, table: Any, place: HdfsPlace, mounted: Mounted) -> None:
    url = f"{place.url}/parted"
    write = table.write.partitionBy("part")
    write.parquet(url)
    whole = parts(spark, url)
    assert sum(whole.values()) == ROWS and sorted(whole) == [0, 1, 2]
    one = table.filter("part = 1").limit(10).write.partitionBy("part").mode("overwrite")
    one.option("partitionOverwriteMode", "dynamic").parquet(url)
    assert parts(spark, url) == {**whole, 1: 10}
    one.option("partitionOverwriteMode", "static").parquet(url)
    assert parts(spark, url) == {1: 10}
    assert [path.name for path in mounted.at(place / "parted").glob("part=*")] == ["part=1"]


def test_tables_in_the_warehouse(spark: Any, table: Any, mounted: Mounted) -> None:
    table.write.partitionBy("part").saveAsTable("hops")
    spark.sql("INSERT INTO hops VALUES (-1, 0.0, 'more', 7)")
    assert spark.sql("SELECT count(*) FROM hops WHERE part = 7").first()[0] == 1
    assert spark.table("hops").count() == ROWS + 1
    assert mounted.at("/warehouse/hops/part=7").is_dir()
    table.limit(5).write.mode("overwrite").saveAsTable("hops")
    assert spark.table("hops").count() == 5
    spark.sql("DROP TABLE hops")
    assert "hops" not in mounted.sizes("/warehouse")


def stream(spark: Any, place: HdfsPlace, schema: Any) -> None:
    """Take in what is new, until there is no more."""
    incoming = spark.readStream.schema(schema).option("maxFilesPerTrigger", 2).json(f"{place.url}/incoming")
    writer = incoming.writeStream.format("parquet").trigger(availableNow=True)
    query = writer.option("checkpointLocation", f"{place.url}/checkpoint").start(f"{place.url}/out")
    assert query.awaitTermination(120)
    assert query.exception() is None


def test_stream_stops_and_resumes(spark: Any, place: HdfsPlace, mounted: Mounted) -> None:
    """Each line is taken in once, over the query's ends, from files that the mount puts there."""
    schema = "number INT"
    mounted.mkdir(place / "incoming")
    for turn in range(3):
        for file in range(3):
            first = turn * 300 + file * 100
            lines = "".join(f'{{"number": {number}}}\n' for number in range(first, first + 100))
            mounted.write(place / f"incoming/{turn}-{file}.json", lines.encode())
        stream(spark, place, schema)
        numbers = [row[0] for row in spark.read.parquet(f"{place.url}/out").collect()]
        assert sorted(numbers) == list(range(300 * (turn + 1)))
    assert list(mounted.at(place / "checkpoint/commits").iterdir())


def test_stateful_stream(spark: Any, place: HdfsPlace, mounted: Mounted) -> None:
    """Its state store keeps versions below the checkpoint."""
    mounted.mkdir(place / "incoming")
    for turn in range(2):
        mounted.write(place / f"incoming/{turn}.json", b'{"word": "hops"}\n{"word": "malt"}\n' * 50)
        words = spark.readStream.schema("word STRING").json(f"{place.url}/incoming").groupBy("word").count()
        writer = words.writeStream.outputMode("complete").format("memory").queryName("counts")
        query = (
            writer.option("checkpointLocation", f"{place.url}/checkpoint").trigger(availableNow=True).start()
        )
        assert query.awaitTermination(120) and query.exception() is None
        found = {row["word"]: row["count"] for row in spark.table("counts").collect()}
        assert found == {"hops": 50 * (turn + 1), "malt": 50 * (turn + 1)}
        spark.catalog.dropTempView("counts")


def test_thousands_of_small_images(spark: Any, place: HdfsPlace, hdfs_cluster: Cluster) -> None:
    """binaryFile over inline files that the batch interface wrote."""
    header = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
    fs = hdfs_cluster.connect()
    fs.makedirs(place / "images/a")
    fs.makedirs(place / "images/b")
    fs.write_many(
        (place / f"images/{'ab'[number % 2]}/{number:05}.jpg", header + number.to_bytes(4, "big") * 500)
        for number in range(IMAGES)
    )
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", True)
    found = reader.option("pathGlobFilter", "*.jpg").load(f"{place.url}/images")
    rows = found.selectExpr("length", "hex(substr(content, 21, 4)) AS number", "path").collect()
    assert sorted(int(row["number"], 16) for row in rows) == list(range(IMAGES))
    assert {row["length"] for row in rows} == {len(header) + 2000}
    assert all(row["path"].endswith(f"{int(row['number'], 16):05}.jpg") for row in rows)


def test_beside_pandas(spark: Any, table: Any, place: HdfsPlace, mounted: Mounted) -> None:
    """One directory: Spark by hdfs://, pandas by oastfs:// and by the mount."""
    table.write.parquet(f"{place.url}/table")
    by_url = pd.read_parquet(f"{place.oastfs_url}/table")
    by_path = pd.read_parquet(mounted.at(place / "table"))
    assert sorted(by_url["id"]) == sorted(by_path["id"]) == list(range(ROWS))
    by_url.assign(id=by_url["id"] + ROWS).to_parquet(f"{place.oastfs_url}/table/more.parquet", index=False)
    by_path.assign(id=by_path["id"] + 2 * ROWS).to_parquet(mounted.at(place / "table/third.parquet"))
    back = spark.read.parquet(f"{place.url}/table")
    assert sorted(row["id"] for row in back.select("id").collect()) == list(range(3 * ROWS))
    by_url.head(10).to_csv(f"{place.oastfs_url}/table.csv", index=False)
    assert spark.read.csv(f"{place.url}/table.csv", header=True).count() == 10


def test_hadoop_filesystem_of_the_session(spark: Any, place: HdfsPlace, hdfs_native: Native) -> None:
    """What notebooks do through the JVM: Hadoop's FileSystem on an address."""
    jvm = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(f"{place.url}/file")
    fs = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    hdfs_native.write(place / "file", b"x" * 100)
    assert fs.getFileStatus(path).getLen() == 100
    assert fs.rename(path, jvm.org.apache.hadoop.fs.Path(f"{place.url}/moved"))
    assert hdfs_native.sizes(place.path) == {"moved": 100}
