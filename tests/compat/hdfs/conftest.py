"""One running filesystem for the HDFS clients of others; fsck and the logs are looked at in the end."""

from __future__ import annotations

import getpass
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from oastfs.fsspec_impl import OastFileSystem
from tests.compat.hdfs import arrow_process
from tests.compat.hdfs.faces import BLOCK_BYTES, Arrow, Command, Face, Fsspec, GoHdfs, Mounted, Native, Rclone
from tests.harness import libhdfs
from tests.harness.cluster import HOST, Cluster

CLIENTS = ["hdfs-native", "hdfs-fsspec", "gohdfs", "rclone", "pyarrow"]
"""By the hdfs:// address."""
APPENDING = [name for name in CLIENTS if name not in (GoHdfs.name, Rclone.name)]
OWN = ["mount", "oastfs-fsspec", "oastfs"]
"""OastFS's own."""

Faces = Callable[[str], Face]
"""The program of a name."""

_numbers = itertools.count()


@dataclass(frozen=True)
class HdfsPlace:
    """A new directory, and the address of the namenode that has it."""

    address: str
    path: str

    @property
    def url(self) -> str:
        """The directory by hdfs://."""
        return f"hdfs://{self.address}{self.path}"

    @property
    def oastfs_url(self) -> str:
        """The same directory by oastfs://."""
        return f"oastfs://{self.address}{self.path}"

    def __truediv__(self, name: str) -> str:
        return f"{self.path}/{name}"


@pytest.fixture(scope="session")
def hdfs_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One namenode and one datanode, with small blocks."""
    options = ["--block-size", str(BLOCK_BYTES)]
    with Cluster(tmp_path_factory.mktemp("hdfs"), format_options=options) as running:
        yield running
        OastFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def hdfs_address(hdfs_cluster: Cluster) -> str:
    """HOST:PORT of the namenode."""
    return hdfs_cluster.hdfs_url.removeprefix("hdfs://")


@pytest.fixture(scope="session")
def hdfs_mount(hdfs_cluster: Cluster) -> Path:
    """The filesystem as a directory."""
    return hdfs_cluster.mount()


@pytest.fixture
def place(hdfs_address: str, hdfs_native: Native) -> HdfsPlace:
    """Where a test may put its files."""
    made = HdfsPlace(hdfs_address, f"/hdfs-{next(_numbers)}")
    hdfs_native.mkdir(made.path)
    return made


@pytest.fixture(scope="session")
def hdfs_native(hdfs_address: str) -> Native:
    """hdfs-native's client."""
    pytest.importorskip("hdfs_native")
    return Native(hdfs_address)


@pytest.fixture(scope="session")
def arrow_executor(hdfs_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """A process with PyArrow's HadoopFileSystem (``arrow_process.filesystem()``)."""
    pytest.importorskip("pyarrow")
    if not libhdfs.available():
        pytest.skip("no libhdfs: scripts/build_libhdfs.sh makes it")
    configuration = libhdfs.write_configuration(tmp_path_factory.mktemp("arrow-configuration"), {})
    host, port = hdfs_address.split(":")
    with ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=arrow_process.start,
        initargs=(libhdfs.environment(configuration), host, int(port)),
    ) as executor:
        yield executor


@pytest.fixture(scope="session")
def faces(hdfs_address: str, request: pytest.FixtureRequest) -> Faces:
    """The programs by name, each made when it is first asked for."""
    made: dict[str, Face] = {}

    def find(name: str) -> Face:
        if name not in made:
            made[name] = make_face(name, hdfs_address, request)
        return made[name]

    return find


def make_face(name: str, address: str, request: pytest.FixtureRequest) -> Face:
    """The program of this name, on the filesystem under test."""
    port = int(address.split(":")[1])
    if name == "hdfs-native":
        native: Native = request.getfixturevalue("hdfs_native")
        return native
    if name == "hdfs-fsspec":
        pytest.importorskip("hdfs_native")
        return Fsspec(name, fsspec.filesystem("hdfs", host=HOST, port=port))
    if name == "gohdfs":
        return GoHdfs(address)
    if name == "rclone":
        return Rclone(address, getpass.getuser())
    if name == "pyarrow":
        return Arrow(request.getfixturevalue("arrow_executor"))
    if name == "mount":
        return Mounted(request.getfixturevalue("hdfs_mount"))
    if name == "oastfs-fsspec":
        return Fsspec(name, fsspec.filesystem("oastfs", host=HOST, port=port))
    assert name == "oastfs"
    return Command(f"oastfs://{address}")


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, faces: Faces) -> Face:
    """Each HDFS client in turn."""
    return faces(request.param)


@pytest.fixture(params=APPENDING)
def appending_client(request: pytest.FixtureRequest, faces: Faces) -> Face:
    """Each HDFS client that can append."""
    return faces(request.param)


@pytest.fixture
def go(faces: Faces) -> GoHdfs:
    found = faces("gohdfs")
    assert isinstance(found, GoHdfs)
    return found


@pytest.fixture
def rclone(faces: Faces) -> Rclone:
    found = faces("rclone")
    assert isinstance(found, Rclone)
    return found
