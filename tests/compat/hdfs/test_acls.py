"""One ACL for all: what an HDFS client sets holds at the mount and for the native client, and vice versa."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oastfs.client.filesystem import Filesystem, connect
from oastfs.core.errors import PermissionDenied
from oastfs.core.types import SUPERUSER, Caller
from tests.harness.cluster import HOST, Cluster
from tests.harness.java import Done, Jvm, client_jars
from tests.harness.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not client_jars(), reason="needs Java and PySpark"),
]


@dataclass
class Faces:
    """One filesystem: through Hadoop's shell, a mount, and the native client."""

    jvm: Jvm
    address: str
    mountpoint: Path
    native: Filesystem

    def hdfs(self, *arguments: str, user: str = "root") -> Done:
        settings = {"fs.defaultFS": f"hdfs://{self.address}", "fs.permissions.umask-mode": "077"}
        return self.jvm.run("org.apache.hadoop.fs.FsShell", arguments, user=user, settings=settings)

    def shell(self, script: str, uid: int = 0) -> subprocess.CompletedProcess[str]:
        """A script on the mount, by someone without further groups."""
        command = ["bash", "-c", f"umask 077; {script}"]
        if uid:
            command = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *command]
        return subprocess.run(
            command, cwd=self.mountpoint, capture_output=True, text=True, timeout=60, check=False
        )

    def uid_of(self, user: str) -> int:
        return self.native.metadata.principal_ids(SUPERUSER, [user], [])[0][0]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faces]:
    directory = tmp_path_factory.mktemp("acls")
    with Cluster(directory / "cluster") as cluster, Jvm("clients", client_jars(), directory) as jvm:
        address = f"{HOST}:{cluster.namenodes[0].port}"
        with connect(f"oastfs://{address}", caller=SUPERUSER) as native:
            yield Faces(jvm, address, cluster.mount(), native)


def test_what_hdfs_grants_holds_everywhere(faces: Faces) -> None:
    faces.native.makedirs("/granted", 0o700)
    faces.native.write_bytes("/granted/file", b"content", mode=0o600)
    assert faces.hdfs("-setfacl", "-m", "user:amy:r-x", "/granted").code == 0
    assert faces.hdfs("-setfacl", "-m", "user:amy:r--", "/granted/file").code == 0
    uid = faces.uid_of("amy")
    wait_until(lambda: faces.shell("cat granted/file", uid).stdout == "content", "amy to get in", 10)
    assert "Permission denied" in faces.shell("echo x > granted/file", uid).stderr
    assert "Permission denied" in faces.shell("cat granted/file", uid + 1).stderr
    amy, other = Caller("amy", uid, (uid,)), Caller("other", uid + 1, (uid + 1,))
    assert faces.native.metadata.open(amy, "/granted/file").data == b"content"
    with pytest.raises(PermissionDenied):
        faces.native.metadata.open(other, "/granted/file")
    assert faces.hdfs("-cat", "/granted/file", user="amy").out == "content"
    denied = faces.hdfs("-cat", "/granted/file", user="zoe")
    assert "access=EXECUTE" in denied.err


def test_what_the_mount_grants_and_takes_holds_for_hdfs(faces: Faces) -> None:
    uid = faces.uid_of("amy")
    script = (
        f"mkdir taken; echo text > taken/file; setfacl -m u:{uid}:rx taken; setfacl -m u:{uid}:r taken/file"
    )
    assert faces.shell(script).returncode == 0
    assert faces.hdfs("-cat", "/taken/file", user="amy").out == "text\n"
    assert "user:amy:r--\n" in faces.hdfs("-getfacl", "/taken/file").out
    assert faces.shell("setfacl -m m::- taken/file").returncode == 0
    assert "user:amy:r--\t#effective:---\n" in faces.hdfs("-getfacl", "/taken/file").out
    assert "access=READ" in faces.hdfs("-cat", "/taken/file", user="amy").err
    assert faces.shell("setfacl -b taken/file").returncode == 0
    assert "amy" not in faces.hdfs("-getfacl", "/taken/file").out


def test_what_is_inherited_is_the_same_for_all(faces: Faces) -> None:
    assert faces.hdfs("-mkdir", "/defaults").code == 0
    spec = "user::rwx,user:amy:rwx,group::r-x,mask::rwx,other::---"
    default = ",".join(f"default:{entry}" for entry in spec.split(","))
    assert faces.hdfs("-setfacl", "--set", f"{spec},{default}", "/defaults").code == 0
    assert faces.hdfs("-touchz", "/defaults/by-hdfs").code == 0
    assert faces.hdfs("-mkdir", "/defaults/by-hdfs-dir").code == 0
    wait_until(
        lambda: faces.shell("touch defaults/by-mount", faces.uid_of("amy")).returncode == 0,
        "the mount to see that amy may",
        10,
    )
    assert faces.shell("mkdir defaults/by-mount-dir").returncode == 0
    metadata = faces.native.metadata
    metadata.create(SUPERUSER, "/defaults/by-native", 0o600, unmasked_mode=0o666)
    metadata.mkdirs(SUPERUSER, "/defaults/by-native-dir", 0o700, unmasked_mode=0o777)
    for suffix in ("", "-dir"):
        found = [
            metadata.get_acl(SUPERUSER, f"/defaults/by-{who}{suffix}").entries
            for who in ("hdfs", "mount", "native")
        ]
        assert found[0] == found[1] == found[2]
    shown = faces.hdfs("-getfacl", "/defaults/by-mount").out
    assert "user:amy:rwx\t#effective:rw-\ngroup::r-x\t#effective:r--\nmask::rw-\nother::---\n" in shown
