"""Clients of WebHDFS, unmodified: the hdfs package, fsspec, Hadoop's own webhdfs:// and the page's curl."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.harness.cluster import HOST, Cluster
from tests.harness.java import Jvm, client_jars

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhdfs.md"
SHELL = "org.apache.hadoop.fs.FsShell"
AWKWARD = "a b/c+d%e;f/ü 漢#&=.txt"


@pytest.fixture
def address(cluster: Cluster) -> str:
    """HOST:PORT of the namenode's HTTP."""
    return f"{HOST}:{cluster.namenodes[0].http_port}"


# --- the hdfs package ---------------------------------------------------------------------------------


@pytest.fixture
def client(address: str) -> Any:
    hdfs = pytest.importorskip("hdfs")
    return hdfs.InsecureClient(f"http://{address}", user="root", root="/hdfs-package")


def test_hdfs_package_reads_and_writes(client: Any) -> None:
    from hdfs import HdfsError

    content = random.Random(1).randbytes(3_000_000)
    client.write(AWKWARD, data=content)
    assert client.status(AWKWARD)["length"] == len(content)
    with client.read(AWKWARD, offset=1000, length=2_000_000) as reader:
        assert reader.read() == content[1000:2_001_000]
    client.write(AWKWARD, data=b"END", append=True)
    with client.read(AWKWARD, chunk_size=100_000) as chunks:
        assert b"".join(chunks) == content + b"END"
    with pytest.raises(HdfsError) as caught:
        client.write(AWKWARD, data=b"x")
    assert caught.value.exception == "FileAlreadyExistsException"
    with client.write("lines.txt", encoding="utf-8", overwrite=True) as writer:
        writer.write("hé\n")
        writer.write("b\n")
    with client.read("lines.txt", encoding="utf-8", delimiter="\n") as lines:
        assert list(lines) == ["hé", "b", ""]
    client.delete("/hdfs-package", recursive=True)


def test_hdfs_package_manages_files(client: Any) -> None:
    from hdfs import HdfsError

    client.makedirs("d/sub", permission=700)
    client.write("d/f", data=b"content")
    assert client.list("d") == ["f", "sub"]
    assert client.status("d/sub")["permission"] == "700"
    client.rename("d/f", "d/g")
    client.set_permission("d/g", "600")
    client.set_owner("d/g", owner="bob", group="staff")
    client.set_replication("d/g", 2)
    client.set_times("d/g", access_time=1000, modification_time=2000)
    status = client.status("d/g")
    kept = ("permission", "owner", "group", "replication", "accessTime", "modificationTime")
    assert [status[name] for name in kept] == ["600", "bob", "staff", 2, 1000, 2000]
    assert client.content("d")["fileCount"] == 1
    assert client.checksum("d/g")["algorithm"].endswith("CRC32C")
    assert [(path, files) for path, _, files in client.walk("d")] == [
        ("/hdfs-package/d", ["g"]),
        ("/hdfs-package/d/sub", []),
    ]
    assert client.status("none", strict=False) is None
    with pytest.raises(HdfsError, match="non empty"):
        client.delete("d")
    assert client.delete("d", recursive=True) and not client.delete("d")


def test_hdfs_package_moves_trees(client: Any, tmp_path: Path) -> None:
    contents = {f"f{number}": os.urandom(100_000 * number) for number in range(6)}
    (tmp_path / "up" / "sub").mkdir(parents=True)
    for name, content in contents.items():
        (tmp_path / "up" / "sub" / name).write_bytes(content)
    client.upload("tree", str(tmp_path / "up"), n_threads=3)
    client.download("tree", str(tmp_path / "down"), n_threads=3)
    found = {path.name: path.read_bytes() for path in (tmp_path / "down" / "sub").iterdir()}
    assert found == contents
    client.delete("tree", recursive=True)


# --- fsspec -------------------------------------------------------------------------------------------


def test_fsspec(address: str, tmp_path: Path) -> None:
    host, _, port = address.partition(":")
    fs = fsspec.filesystem("webhdfs", host=host, port=int(port), user="root", skip_instance_cache=True)
    content = random.Random(2).randbytes(2_000_000)
    fs.mkdir("/fsspec")
    fs.pipe_file("/fsspec/a b", content)
    assert fs.cat("/fsspec/a b") == content
    assert fs.cat_file("/fsspec/a b", start=10, end=20) == content[10:20]
    (entry,) = fs.ls("/fsspec", detail=True)
    assert (entry["name"], entry["size"], entry["type"]) == ("/fsspec/a b", len(content), "file")
    (tmp_path / "up").mkdir()
    for name in ("x", "y"):
        (tmp_path / "up" / name).write_bytes(name.encode() * 1000)
    fs.put(str(tmp_path / "up"), "/fsspec/up", recursive=True)
    assert sorted(fs.ls("/fsspec/up", detail=False)) == ["/fsspec/up/x", "/fsspec/up/y"]
    fs.get("/fsspec/up", str(tmp_path / "down"), recursive=True)
    assert (tmp_path / "down" / "y").read_bytes() == b"y" * 1000
    fs.mv("/fsspec/a b", "/fsspec/c+d%")
    fs.cp_file("/fsspec/c+d%", "/fsspec/copy")
    assert fs.ukey("/fsspec/copy") == fs.ukey("/fsspec/c+d%")
    assert not fs.exists("/fsspec/a b") and fs.content_summary("/fsspec")["fileCount"] == 4
    with pytest.raises(FileNotFoundError):
        fs.info("/fsspec/none")
    fs.rm("/fsspec", recursive=True)
    assert not fs.exists("/fsspec")


# --- Hadoop -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jvm]:
    jars = client_jars()
    if not jars:
        pytest.skip("needs Java and PySpark's jars")
    with Jvm("webhdfs", jars, tmp_path_factory.mktemp("jvm")) as running:
        yield running


class FsShell:
    """``hadoop fs`` with a webhdfs:// address before each path that begins with a slash."""

    def __init__(self, jvm: Jvm, prefix: str) -> None:
        self._jvm = jvm
        self._prefix = prefix

    def __call__(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        arguments = [self._prefix + word if word.startswith("/") else word for word in words]
        done = self._jvm.run(SHELL, arguments)
        assert done.code == code, f"{words}: {done}"
        return (done.out + done.err).replace(self._prefix, "")


def test_hadoop(jvm: Jvm, cluster: Cluster, address: str, tmp_path: Path) -> None:
    shell = FsShell(jvm, f"webhdfs://{address}")
    content = random.Random(3).randbytes(3_000_000)
    local = tmp_path / "local"
    local.write_bytes(content)
    shell("-mkdir", "-p", "/java/d")
    shell("-put", f"file:{local}", "/java/d/large")
    shell("-get", "/java/d/large", f"file:{tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == content
    checksum = shell("-checksum", "/java/d/large").split()[1:]
    done = jvm.run(SHELL, ["-checksum", f"{cluster.hdfs_url}/java/d/large"])
    assert done.out.split()[1:] == checksum and checksum[0].endswith("CRC32C")
    local.write_bytes(b"end\n")
    shell("-appendToFile", f"file:{local}", "/java/d/large")
    assert shell("-tail", "/java/d/large").endswith("end\n")
    shell("-put", f"file:{local}", f"/java/{AWKWARD}", code=1)  # its directory is missing
    shell("-mkdir", "-p", "/java/" + AWKWARD.rpartition("/")[0])
    shell("-put", f"file:{local}", f"/java/{AWKWARD}")
    assert shell("-cat", f"/java/{AWKWARD}") == "end\n"
    listed = {line.split(maxsplit=7)[-1] for line in shell("-ls", "-R", "/java").splitlines()}
    assert f"/java/{AWKWARD}" in listed
    assert "File exists" in shell("-put", f"file:{local}", "/java/d/large", code=1)
    assert "No such file" in shell("-cat", "/java/none", code=1)
    shell("-chmod", "640", "/java/d/large")
    shell("-setrep", "2", "/java/d/large")
    shell("-mv", "/java/d/large", "/java/d/moved")
    stat = shell("-stat", "%n %b %r %u %a", "/java/d/moved")
    assert stat.split() == ["moved", str(len(content) + 4), "2", "root", "640"]
    shell("-setfattr", "-n", "user.x", "-v", "hello", "/java/d/moved")
    assert 'user.x="hello"' in shell("-getfattr", "-d", "/java/d/moved")
    assert shell("-count", "/java/d").split()[:3] == ["1", "1", str(len(content) + 4)]
    shell("-truncate", "-w", "100", "/java/d/moved")
    assert shell("-du", "/java/d").split()[0] == "100"
    shell("-cp", "/java/d/moved", "/java/copy")
    shell("-touchz", "/java/empty")
    shell("-test", "-z", "/java/empty")
    shell("-df", "/")
    shell("-rm", "-r", "-skipTrash", "/java")
    shell("-test", "-e", "/java", code=1)


# --- docs/webhdfs.md ----------------------------------------------------------------------------------


def test_the_page(cluster: Cluster, address: str, tmp_path: Path) -> None:
    pytest.importorskip("hdfs")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert [kind for kind, _ in blocks] == ["bash", "python", "python"]
    for kind, code in blocks:
        text = code.replace("localhost:9870", address)
        if kind == "python":
            exec(compile(text, str(PAGE), "exec"), {})
            continue
        done = subprocess.run(
            ["bash", "-euc", text], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done
        assert "today.txt" in done.stdout and "MD5-of-0MD5-of-512CRC32C" in done.stdout
        assert (tmp_path / "today.txt").read_text() in done.stdout
    with cluster.connect(keep=False) as fs:
        assert fs.read_bytes("/web/cities.csv") == b"city,hops\nHamburg,3\nPorto,1\n"
