"""What an administrator sets through one face holds for all: quotas, safe mode, policies, the trash."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oastfs.client.filesystem import Filesystem, connect
from oastfs.core.errors import NameQuotaExceeded, SafeMode, SpaceQuotaExceeded
from oastfs.core.types import SUPERUSER
from tests.harness.cluster import HOST, Cluster
from tests.harness.java import Done, Jvm, client_jars, tool_jars

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (client_jars() and tool_jars()), reason="needs Java and Hadoop's jars"),
]
SHELL = "org.apache.hadoop.fs.FsShell"
ADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"
POLICIES = "org.apache.hadoop.hdfs.tools.StoragePolicyAdmin"
BLOCK_BYTES = 1 << 20


@dataclass
class Faces:
    """One filesystem: Hadoop's tools, a mount, and the native client."""

    clients: Jvm
    tools: Jvm
    address: str
    mount: Path
    native: Filesystem

    def hdfs(self, *arguments: str, program: str = SHELL) -> Done:
        settings = {"fs.defaultFS": f"hdfs://{self.address}", "dfs.blocksize": str(BLOCK_BYTES)}
        jvm = self.clients if program == SHELL else self.tools
        return jvm.run(program, arguments, settings=settings, stdin=b"x" * 100_000)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    directory = tmp_path_factory.mktemp("governing")
    options = ["--trash-interval", "60"]
    format_options = ["--block-size", str(BLOCK_BYTES)]
    with (
        Cluster(directory / "cluster", format_options=format_options, namenode_options=options) as cluster,
        Jvm("clients", client_jars(), directory) as clients,
        Jvm("tools", tool_jars(), directory) as tools,
    ):
        address = f"{HOST}:{cluster.namenodes[0].port}"
        with connect(f"oastfs://{address}", caller=SUPERUSER) as native:
            yield Faces(clients, tools, address, cluster.mount(), native)


def os_error(path: Path, data: bytes) -> int:
    """The error of writing a file and closing it; 0 for none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno or -1
    return 0


def test_a_quota_of_names_holds_for_every_face(faces: Faces) -> None:
    faces.native.metadata.mkdirs(SUPERUSER, "/names")
    assert faces.hdfs("-setQuota", "2", "/names", program=ADMIN).code == 0
    (faces.mount / "names" / "one").touch()
    with pytest.raises(OSError) as refused:
        (faces.mount / "names" / "two").touch()
    assert refused.value.errno == errno.EDQUOT
    with pytest.raises(NameQuotaExceeded):
        faces.native.metadata.mkdirs(SUPERUSER, "/names/two")
    done = faces.hdfs("-touchz", "/names/two")
    text = "The NameSpace quota (directories and files) of directory /names is exceeded: quota=2 file count=3"
    assert done.code == 1 and done.err.strip() == f"touchz: {text}"
    (faces.mount / "names" / "one").unlink()
    assert faces.hdfs("-touchz", "/names/two").code == 0


def test_a_quota_of_space_holds_for_every_face(faces: Faces) -> None:
    faces.native.metadata.mkdirs(SUPERUSER, "/space")
    faces.native.metadata.set_quota(SUPERUSER, "/space", -1, BLOCK_BYTES + 200_000)
    place = faces.mount / "space"
    before = os.statvfs(faces.mount)
    assert os_error(place / "blocks", b"x" * 300_000) == 0
    # A block more would have to fit as a whole.
    assert os_error(place / "more", b"x" * 300_000) == errno.EDQUOT
    assert os_error(place / "small", b"x" * 1000) == 0
    done = faces.hdfs("-put", "-", "/space/put")
    assert done.code == 1 and "put: The DiskSpace quota of /space is exceeded: quota = 1248576 B" in done.err
    with pytest.raises(SpaceQuotaExceeded):
        faces.native.metadata.truncate(SUPERUSER, "/space/blocks", 2 * BLOCK_BYTES)
    after = os.statvfs(faces.mount)
    assert (after.f_blocks, after.f_frsize) == (before.f_blocks, before.f_frsize)
    assert faces.hdfs("-count", "-q", "/space").out.split()[2:4] == [
        "1248576",
        str(BLOCK_BYTES + 200_000 - 301_000),
    ]


def test_safe_mode_holds_for_every_face(faces: Faces) -> None:
    file = faces.mount / "safe"
    file.write_text("content")
    assert faces.hdfs("-safemode", "enter", program=ADMIN).out.strip() == "Safe mode is ON"
    try:
        with pytest.raises(OSError) as refused:
            (faces.mount / "new").touch()
        assert refused.value.errno == errno.EROFS
        with pytest.raises(SafeMode):
            faces.native.metadata.delete(SUPERUSER, "/safe")
        assert file.read_text() == "content"
        assert faces.hdfs("-cat", "/safe").out == "content"
        done = subprocess.run(["rm", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "Read-only file system" in done.stderr
    finally:
        assert faces.native.metadata.safe_mode(SUPERUSER, "leave") is False
    assert faces.hdfs("-safemode", "get", program=ADMIN).out.strip() == "Safe mode is OFF"
    file.unlink()


def test_a_policy_is_seen_by_every_face(faces: Faces) -> None:
    faces.native.metadata.mkdirs(SUPERUSER, "/policy/below")
    faces.native.metadata.set_storage_policy(SUPERUSER, "/policy", "WARM")
    done = faces.hdfs("-getStoragePolicy", "-path", "/policy/below", program=POLICIES)
    assert "BlockStoragePolicy{WARM:5" in done.out
    assert faces.hdfs("-put", "-l", "-", "/policy/lazy").code == 0
    assert faces.native.metadata.get_storage_policy(SUPERUSER, "/policy/lazy").name == "LAZY_PERSIST"
    assert (faces.mount / "policy" / "lazy").stat().st_size == 100_000


def test_the_namenode_tells_clients_of_the_trash(faces: Faces) -> None:
    assert faces.native.metadata.filesystem_info(SUPERUSER).trash_interval_minutes == 60
    faces.native.metadata.mkdirs(SUPERUSER, "/data")
    (faces.mount / "data" / "f").write_text("kept")
    assert faces.hdfs("-rm", "-r", "/data").code == 0
    trash = faces.mount / "user" / "root" / ".Trash"
    assert (trash / "Current" / "data" / "f").read_text() == "kept"
    assert faces.hdfs("-expunge").code == 0
    (checkpoint,) = (name for name in os.listdir(trash) if name != "Current")
    assert checkpoint.isdigit() and len(checkpoint) == 12
    assert faces.hdfs("-expunge", "-immediate").code == 0
    assert os.listdir(trash) == []
