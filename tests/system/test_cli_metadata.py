"""`oastfs metadata`: what operators see, what an interruption leaves, and a filesystem that moves."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oastfs.client import connect
from oastfs.core.types import SUPERUSER
from oastfs.namenode.fsck import check
from oastfs.store import open_store
from oastfs.store.export import EXPORTED
from oastfs.store.schema import CONTENT, INODE, PLACE, Content, Inode, Place
from oastfs.store.transaction import Store
from tests.harness.cluster import Cluster, run_oastfs
from tests.harness.command import Command, peak_mebibytes
from tests.harness.everything import make_everything
from tests.harness.process import OASTFS
from tests.harness.up import Up
from tests.harness.waiting import wait_until

LARGE = os.urandom(3 << 20)


def rows(url: str) -> dict[str, list[object]]:
    store = open_store(url)
    try:
        return store.read(lambda tx: {table.name: list(tx.scan(table)) for table in EXPORTED})
    finally:
        store.close()


def fill(store: Store, count: int) -> None:
    """Files in directories of a hundred, half of them with content; no tree around them."""
    for start in range(0, count, 10_000):
        numbers = range(start, min(start + 10_000, count))
        names = [((((n // 100) + 2000) << 10), f"file-{n:08}.parquet") for n in numbers]
        ids = [(n + 10_000_000) << 10 for n in numbers]
        inodes = [Inode(i, 0o100644, 1000, 1000, 200, 1, 2, 3) for i in ids]
        store.load(INODE, list(zip(names, inodes, strict=True)))
        store.load(PLACE, [((i,), Place(*name)) for i, name in zip(ids, names, strict=True)])
        store.load(CONTENT, [((i,), Content(os.urandom(200))) for i in ids[::2]])


@pytest.mark.timeout(300)
def test_round_trip_of_a_namespace_with_everything_in_it(
    make_cluster: Callable[..., Cluster], tmp_path: Path, empty_database: str
) -> None:
    cluster = make_cluster(format_options=["--block-size", "1048576", "--inline-limit", "16K"])
    with connect(cluster.url, caller=SUPERUSER) as fs:
        contents = make_everything(fs, LARGE)
    for server in (*cluster.datanodes, *cluster.namenodes):
        server.terminate()
    url, oast = cluster.metadata_url, Command(cluster.metadata_url, tmp_path)
    assert "rows of metadata" in oast("metadata", "export", url, "-o", "export")
    oast("metadata", "import", "export", empty_database, "--fsck")
    back = f"lmdb://{tmp_path}/back"
    oast("metadata", "copy", empty_database, back, "--fsck")
    before = rows(url)
    assert rows(empty_database) == before
    assert rows(back) == before
    shown = [oast.json("metadata", "show", source) for source in ("export", url, empty_database, back)]
    assert all(one == shown[0] for one in shown)
    assert shown[0]["tables"]["content"]["rows"] > 0
    passing = {"lease", "retry", "datanode_command", "replication_need"}
    assert {name for name, one in shown[0]["tables"].items() if not one["rows"]} <= passing
    with connect(back, caller=SUPERUSER) as fs:
        for path, content in contents.items():
            if not path.endswith("large"):
                assert fs.read_bytes(path) == content


@pytest.mark.timeout(300)
def test_a_filesystem_moves_to_a_database_and_its_datanodes_follow(
    tmp_path: Path, empty_database: str
) -> None:
    up = Up(tmp_path, "--datanodes", "2", "--replication", "2")
    up.start()
    up.wait_ready()
    with connect(up.url, caller=SUPERUSER) as fs:
        contents = make_everything(fs, LARGE)
        refused = run_oastfs("metadata", "copy", up.metadata_url, empty_database, check=False)
        assert refused.returncode == 1
        assert "namenodes serve this store" in refused.stderr
    up.terminate()
    run_oastfs("metadata", "copy", up.metadata_url, empty_database, "--fsck")
    moved = Up(tmp_path, "--datanodes", "2", "--metadata", empty_database)
    moved.start()
    moved.wait_ready()
    try:
        with connect(moved.url, caller=SUPERUSER) as fs:
            for path, content in contents.items():
                assert fs.read_bytes(path) == content, path
            fs.write_bytes("/after", LARGE)
            assert fs.read_bytes("/after") == LARGE
            ids = {fs.stat(path).inode_id for path in ("/after", *contents)}
            assert len(ids) == len(contents), "one id was given out twice, or /linked is no longer linked"
    finally:
        moved.terminate()
        moved.check_logs()
    # And back, into the directory that `oastfs up` keeps everything in.
    run_oastfs("metadata", "copy", empty_database, f"lmdb://{tmp_path}/new", "--fsck")
    for name in ("data.mdb", "lock.mdb", "wal"):
        (up.store / name).rename(tmp_path / f"old {name}")
    for name in ("data.mdb", "wal"):
        (tmp_path / "new" / name).rename(up.store / name)
    back = Up(tmp_path, "--datanodes", "2")
    back.start()
    back.wait_ready()
    try:
        with connect(back.url, caller=SUPERUSER) as fs:
            for path, content in {**contents, "/after": LARGE}.items():
                assert fs.read_bytes(path) == content, path
    finally:
        back.terminate()
        back.check_logs()
    run_oastfs("fsck", back.metadata_url)


def test_several_shards(metadata_url: str, tmp_path: Path, shards: list[str]) -> None:
    oast = Command(metadata_url, tmp_path)
    with connect(metadata_url, caller=SUPERUSER) as fs:
        contents = make_everything(fs)
    first, *others = shards
    further = [option for url in others for option in ("--target", url)]
    oast("metadata", "copy", metadata_url, first, *further, "--fsck")
    with connect(metadata=shards, caller=SUPERUSER) as fs:
        assert all(fs.read_bytes(path) == content for path, content in contents.items())
    oast("metadata", "export", *shards, "-o", "export")
    back = f"lmdb://{tmp_path}/back"
    oast("metadata", "copy", first, back, *[o.replace("--target", "--source") for o in further])
    assert rows(back) == rows(metadata_url)
    shown = [oast.json("metadata", "show", *source) for source in (["export"], shards, [metadata_url])]
    assert shown[0] == shown[1] == shown[2]
    sql = "select count(*) as n, sum(size) as bytes from entries"
    asked = [oast.json("query", *options, sql) for options in (
        [option for url in shards for option in ("--metadata", url)], ["--metadata", metadata_url]
    )]  # fmt: skip
    assert asked[0] == asked[1]


def test_a_stream_through_a_pipe(metadata_url: str, tmp_path: Path) -> None:
    oast = Command(metadata_url, tmp_path)
    with connect(metadata_url) as fs:
        fs.write_bytes("/f", b"content")
    done = oast.run("metadata", "export", metadata_url)
    assert done.returncode == 0
    assert b"exported" in done.stderr
    oast("metadata", "import", "-", f"lmdb://{tmp_path}/copy", stdin=done.stdout)
    assert rows(f"lmdb://{tmp_path}/copy") == rows(metadata_url)
    cut = oast.fails("metadata", "import", "-", f"lmdb://{tmp_path}/cut", stdin=done.stdout[:-30])
    assert "cut off" in cut
    assert "not finished" in oast.fails("ls", f"lmdb://{tmp_path}/cut!/")
    assert "not finished" in oast.fails("format", f"lmdb://{tmp_path}/cut")
    oast("metadata", "import", "-", f"lmdb://{tmp_path}/cut", "--restart", "--fsck", stdin=done.stdout)
    assert oast("cat", f"lmdb://{tmp_path}/cut!/f") == "content"


def test_what_is_refused(metadata_url: str, tmp_path: Path) -> None:
    oast = Command(metadata_url, tmp_path)
    oast("metadata", "export", metadata_url, "-o", "export")
    assert (tmp_path / "export").stat().st_mode & 0o777 == 0o600
    assert "--force" in oast.fails("metadata", "export", metadata_url, "-o", "export")
    oast("metadata", "export", metadata_url, "-o", "export", "--force")
    assert "not empty" in oast.fails("metadata", "import", "export", metadata_url)
    assert "not empty" in oast.fails("metadata", "copy", metadata_url, metadata_url)
    content = (tmp_path / "export").read_bytes()
    (tmp_path / "damaged").write_bytes(content[:100] + b"x" + content[101:])
    assert "checksum" in oast.fails("metadata", "import", "damaged", f"lmdb://{tmp_path}/new")
    assert not (tmp_path / "new").exists(), "a file is checked before a store is made"
    assert "checksum" in oast.fails("metadata", "show", "damaged")
    assert "no store" in oast.fails("metadata", "export", f"lmdb://{tmp_path}/nothing", "-o", "x")
    assert not list(tmp_path.glob("x*"))
    assert "No such file" in oast.fails("metadata", "import", "nowhere", f"lmdb://{tmp_path}/new")
    assert "--output" in oast.fails("metadata", "export", metadata_url, "--json", code=2)
    for command in ("export", "import", "copy", "show"):
        assert "METADATA_URL" in oast("metadata", command, "--help") or command == "copy"
    assert "TARGET_URL" in oast("metadata", "copy", "--help")
    store = open_store(metadata_url)
    assert check(store).clean
    store.close()


@pytest.mark.parametrize("kind", ["lmdb", "postgresql"])
def test_killed_in_the_middle_of_an_import(
    kind: str, metadata_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    oast = Command(metadata_url, tmp_path)
    with connect(metadata_url) as fs:
        fs.write_bytes("/f", b"content")
    oast("metadata", "export", metadata_url, "-o", "whole")
    url = f"lmdb://{tmp_path}/target" if kind == "lmdb" else str(request.getfixturevalue("empty_database"))
    content = (tmp_path / "whole").read_bytes()
    process = subprocess.Popen([OASTFS, "metadata", "import", "-", url], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(content[:-60])
    process.stdin.flush()

    def begun() -> bool:
        return "not finished" in oast.run("ls", f"{url}!/").stderr.decode()

    wait_until(begun, "an import that has begun", 60)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdin.close()
    assert "not finished" in oast.fails("fsck", url)
    assert "not finished" in oast.fails("namenode", url, "--port", "0", "--control-port", "0")
    assert "--restart" in oast.fails("metadata", "import", "whole", url)
    oast("metadata", "import", "whole", url, "--restart", "--fsck")
    assert rows(url) == rows(metadata_url)


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_namespace(
    metadata_url: str, tmp_path: Path, empty_database: str
) -> None:
    """Files of 300,000 rows in three tables pass through a fraction of what they would take in memory."""
    store = open_store(metadata_url)
    fill(store, 300_000)
    store.close()
    peaks = {}
    for name, arguments in {
        "export": ["metadata", "export", metadata_url, "-o", str(tmp_path / "export")],
        "import": ["metadata", "import", str(tmp_path / "export"), empty_database],
        "copy": ["metadata", "copy", empty_database, f"lmdb://{tmp_path}/back"],
    }.items():
        peaks[name] = peak_mebibytes(*arguments)
    # The pages of LMDB's file count as well, though the kernel may take them back at any time.
    mapped = (tmp_path / "store" / "data.mdb").stat().st_size >> 20
    print(f"peaks in MiB: {peaks}; LMDB's file: {mapped}")
    assert peaks["import"] < 160
    assert peaks["export"] < 160 + mapped
    assert peaks["copy"] < 160 + mapped
