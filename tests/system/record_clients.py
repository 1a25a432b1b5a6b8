"""Records what real clients send to both ports: python -m tests.system.record_clients

Each client does a bit of everything with a few small files. The recordings are in tests/system/recordings
and are replayed, whole and damaged, by test_fuzz_ports. Contents repeat, so that they stay small.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.harness.cluster import Cluster
from tests.harness.java import Jvm, client_jars
from tests.harness.recording import HOST, Proxy, Recording, save

RECORDINGS = Path(__file__).parent / "recordings"
SMALL = b"a small file\n" * 50
LARGE = bytes(range(256)) * 400  # above the inline limit

SHELL_COMMANDS = """
-mkdir -p /recorded/d
-put -d {small} /recorded/small
-put -d {large} /recorded/large
-put {small} /recorded/d/copied
-ls -R /recorded
-cat /recorded/small
-cat /recorded/large
-cat /inline
-checksum /inline
-tail /inline
-tail /recorded/large
-checksum /recorded/small /recorded/large
-appendToFile {small} /recorded/small
-appendToFile {small} /recorded/large
-truncate 1000 /recorded/large
-setrep 1 /recorded/large
-chmod 640 /recorded/small
-chown nobody:nogroup /recorded/small
-touchz /recorded/empty
-touch /recorded/empty
-mv /recorded/d /recorded/e
-cp /recorded/small /recorded/e/again
-setfattr -n user.n -v value /recorded/small
-getfattr -d /recorded/small
-setfacl -m user:nobody:rw- /recorded/small
-getfacl /recorded/small
-stat %n%b%o%r /recorded/small
-test -e /recorded/none
-count -q /recorded
-du -s /recorded
-df /
-find /recorded -name small
-rm -skipTrash /recorded/small
-rm -r -skipTrash /recorded
"""


def shell(namenode: str, directory: Path) -> None:
    """Hadoop's FsShell, and an HDFS stream that is read while it is written."""
    small, large = directory / "small", directory / "large"
    small.write_bytes(SMALL)
    large.write_bytes(LARGE)
    settings = {"fs.defaultFS": namenode}
    with Jvm("clients", client_jars(), directory) as jvm:
        for line in SHELL_COMMANDS.strip().splitlines():
            words = line.format(small=small, large=large).split()
            done = jvm.run("org.apache.hadoop.fs.FsShell", words, settings=settings)
            print(done.code, line, done.err.strip()[:200])
        path = jvm.java.org.apache.hadoop.fs.Path("/flushed")
        jvm.login("root")
        fs = path.getFileSystem(jvm.configuration(settings))
        stream = fs.create(path)
        stream.write(LARGE)
        stream.hsync()
        opened = fs.open(path)
        opened.readFully(0, jvm.array(jvm.java.byte, []))
        opened.close()
        stream.close()
        fs.delete(path, False)
        fs.close()


def native(namenode: str, directory: Path) -> None:
    """hdfs-native, in a process of its own: it keeps its connections until the end."""
    program = f"""
import hdfs_native
client = hdfs_native.Client({namenode!r})
client.mkdirs("/native/d", 0o755, True)
for name, data in (("small", {SMALL!r}), ("large", bytes(range(256)) * 400)):
    with client.create(f"/native/{{name}}", hdfs_native.WriteOptions(overwrite=True)) as file:
        file.write(data)
    with client.read(f"/native/{{name}}") as file:
        assert file.read() == data
    with client.append(f"/native/{{name}}") as file:
        file.write(b"more")
with client.read("/inline") as file:
    file.read()
print(sorted(one.path for one in client.list_status("/native", True)))
client.get_content_summary("/native")
client.set_permission("/native/small", 0o600)
client.set_owner("/native/small", "nobody", "nogroup")
client.set_times("/native/small", 1000, 2000)
client.set_replication("/native/small", 1)
client.rename("/native/small", "/native/d/moved", False)
client.delete("/native", True)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=directory)


def go(namenode: str, directory: Path) -> None:
    """gohdfs, a process for each command."""
    (directory / "small").write_bytes(SMALL)
    (directory / "large").write_bytes(LARGE)
    commands = [
        "mkdir -p /go/d",
        "put small /go/small",
        "put large /go/large",
        "ls -lah /go",
        "cat /go/small",
        "cat /go/large",
        "cat /inline",
        "checksum /inline",
        "head -c 10 /go/large",
        "tail -c 10 /go/large",
        "checksum /go/large",
        "chmod 600 /go/small",
        "chown nobody:nogroup /go/small",
        "truncate 1000 /go/large",
        "mv /go/small /go/d/moved",
        "du -s /go",
        "df",
        "rm -r /go",
    ]
    environment = {"HADOOP_NAMENODE": namenode.removeprefix("hdfs://"), "HADOOP_USER_NAME": "root"}
    for command in commands:
        done = subprocess.run(
            ["hdfs", *command.split()], cwd=directory, env=environment, capture_output=True, timeout=60
        )
        print(done.returncode, command, done.stderr.decode().strip()[:200])


CLIENTS: dict[str, Callable[[str, Path], None]] = {"fs-shell": shell, "hdfs-native": native, "gohdfs": go}


def record() -> None:
    """Run each client against a filesystem of its own."""
    for name, client in CLIENTS.items():
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            with Cluster(directory / "cluster") as cluster:
                with cluster.connect(keep=False) as fs:
                    fs.write_bytes("/inline", SMALL)
                namenode, datanode = cluster.namenodes[0].port, cluster.datanodes[0].port
                with Proxy("datanode", datanode) as data, Proxy("namenode", namenode) as calls:
                    calls.rewritten = {datanode: data.port, namenode: calls.port}
                    client(f"hdfs://{HOST}:{calls.port}", directory)
                    recordings: list[Recording] = [*calls.take(name), *data.take(name)]
            save(RECORDINGS / f"{name}.txt", recordings)
            print(name, len(recordings), "connections", sum(len(one.data) for one in recordings), "bytes")


if __name__ == "__main__":
    record()
