"""A whole filesystem of real processes for one test, on free loopback ports, below the test's directory.

Use it as a context (or by the ``cluster`` fixture): leaving it unmounts, stops everything, runs fsck and
reads the logs. A test that provokes errors in a log declares them with ``allow_in_logs``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tests.harness.logs import tail, unexpected
from tests.harness.ports import free_port
from tests.harness.process import OASTFS, Server
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from oastfs.client import Filesystem

HOST = "127.0.0.1"


def run_oastfs(
    *arguments: str | int | Path, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end, with its output as text."""
    options.setdefault("timeout", 120)
    done = subprocess.run(
        [OASTFS, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )
    if check and done.returncode != 0:
        raise AssertionError(f"oastfs {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}")
    return done


class Namenode(Server):
    """A namenode and its ports."""

    def __init__(self, cluster: Cluster, number: int, options: Sequence[str]) -> None:
        self.port, self.control_port, self.http_port = free_port(), free_port(), free_port()
        arguments = [OASTFS, "namenode", *cluster.metadata, "--host", HOST]
        arguments += ["--port", str(self.port), "--control-port", str(self.control_port)]
        arguments += ["--http-port", str(self.http_port), *options]
        name = f"namenode-{number}"
        super().__init__(name, arguments, cluster.logs / f"{name}.log")
        self.url = f"oastfs://{HOST}:{self.port}"


class Datanode(Server):
    """A datanode, its ports and volumes."""

    def __init__(self, cluster: Cluster, number: int, volumes: int, options: Sequence[str]) -> None:
        self.port, self.http_port = free_port(), free_port()
        name = f"datanode-{number}"
        self.volumes = [cluster.directory / name / f"volume-{n}" for n in range(volumes)]
        self.socket = cluster.sockets / f"{name}.sock"
        arguments = [OASTFS, "datanode", *map(str, self.volumes), "--host", HOST]
        for namenode in cluster.namenodes:
            arguments += ["--namenode", f"{HOST}:{namenode.control_port}"]
        arguments += ["--port", str(self.port), "--http-port", str(self.http_port)]
        arguments += ["--local-socket", str(self.socket), *options]
        super().__init__(name, arguments, cluster.logs / f"{name}.log")


class Mount(Server):
    """A mount in the foreground of a process of its own."""

    def __init__(self, url: str, path: Path, log: Path, options: Sequence[str]) -> None:
        self.path = path
        super().__init__(
            f"mount {path.name}", [OASTFS, "mount", "--foreground", *options, url, str(path)], log
        )

    def start(self) -> None:
        super().start()

        def mounted() -> bool:
            self.check_alive()
            # statvfs is never answered from the kernel's cache, as stat may be of a dead mount.
            return os.path.ismount(self.path) and os.statvfs(self.path) is not None

        wait_until(mounted, f"{self.name} on {self.path}", 30)

    def ensure_stopped(self) -> None:
        super().ensure_stopped()
        # Not os.path.ismount: to that a mount whose process was killed is none.
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        if any(line.split()[4] == str(self.path) for line in mounts):
            subprocess.run(["fusermount3", "-uz", str(self.path)], check=False)


class Cluster:
    """Namenodes, datanodes and mounts on one store."""

    def __init__(
        self,
        directory: Path,
        *,
        namenodes: int = 1,
        datanodes: int = 1,
        replication: int | None = None,
        volumes: int = 1,
        metadata: Sequence[str] = (),
        format_options: Sequence[str] = (),
        namenode_options: Sequence[str] = (),
        datanode_options: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        # Paths of Unix sockets are at most 107 bytes: the test's own directory may be too deep.
        self.sockets = Path(tempfile.mkdtemp(prefix="oastfs-"))
        self.metadata = list(metadata) or [f"lmdb://{directory / 'store'}"]
        self._format_options = list(format_options)
        if replication is not None:
            self._format_options += ["--replication", str(replication)]
        self._allowed: list[str] = []
        self._clients: list[Any] = []
        self.mounts: list[Mount] = []
        self.fsck_at_end = True
        for path in (directory, self.logs):
            path.mkdir(parents=True, exist_ok=True)
        self.namenodes = [Namenode(self, number, namenode_options) for number in range(1, namenodes + 1)]
        self.datanodes = [
            Datanode(self, number, volumes, datanode_options) for number in range(1, datanodes + 1)
        ]

    @property
    def url(self) -> str:
        """Through all namenodes."""
        return "oastfs://" + ",".join(f"{HOST}:{namenode.port}" for namenode in self.namenodes)

    @property
    def hdfs_url(self) -> str:
        """The first namenode for Hadoop clients."""
        return f"hdfs://{HOST}:{self.namenodes[0].port}"

    @property
    def metadata_url(self) -> str:
        """For direct mode."""
        return self.metadata[0]

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self._stop_all()
            print(self.log_tails())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stop_all()
            print(self.log_tails())
            return
        self.finish()

    def start(self) -> None:
        """Make the filesystem and start everything; returns once calls succeed and datanodes are live."""
        run_oastfs("format", *self.metadata, *self._format_options)
        for namenode in self.namenodes:
            namenode.start()
        self.wait_for_namenodes()
        for datanode in self.datanodes:
            datanode.start()
        self.wait_for_datanodes(len(self.datanodes))

    def wait_for_namenodes(self) -> None:
        """Until every namenode that runs answers."""
        for namenode in self.namenodes:
            if namenode.alive:
                wait_until(partial(self._answers, namenode), f"an answer of {namenode.name}", 30)

    def wait_for_datanodes(self, count: int, seconds: float = 60.0) -> None:
        """Until exactly this many datanodes are live."""
        with self.connect(keep=False) as fs:

            def live() -> bool:
                for server in self.datanodes:
                    if server.returncode not in (None, 0, -9, -15):
                        server.check_alive()
                reports = fs.metadata.datanodes(fs.caller)
                return bool(sum(report.state == "live" for report in reports) == count)

            wait_until(live, f"{count} live datanodes", seconds)

    def _answers(self, namenode: Namenode) -> bool:
        from oastfs.client import connect

        namenode.check_alive()
        with connect(namenode.url, timeout_seconds=2) as fs:
            return bool(fs.stat("/").is_directory)

    def connect(self, url: str | None = None, keep: bool = True) -> Filesystem:
        """A client, through the namenodes unless ``url`` says otherwise; closed at the end of the test."""
        from oastfs.client import connect

        fs = connect(url or self.url)
        if keep:
            self._clients.append(fs)
        return fs

    def mount(self, url: str | None = None, name: str = "mnt", options: Sequence[str] = ()) -> Path:
        """Mount it (direct mode unless ``url`` says otherwise); the mount point."""
        path = self.directory / name
        mount = Mount(url or self.metadata_url, path, self.logs / f"mount-{name}.log", options)
        self.mounts.append(mount)
        mount.start()
        return path

    def allow_in_logs(self, *patterns: str) -> None:
        """Lines at level error that this test brings about (regular expressions)."""
        self._allowed += patterns

    def finish(self) -> None:
        """Stop everything; fail on what fsck or the logs have to say."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        for mount in self.mounts:
            mount.ensure_stopped()
        try:
            if self.fsck_at_end:
                self.fsck()
        finally:
            self._stop_all()
        found = {s.name: lines for s in self._servers() if (lines := unexpected(s.log, self._allowed))}
        assert not found, f"unexpected lines in logs: {found}\n{self.log_tails()}"

    def fsck(self, *options: str) -> str:
        """The product's own check; AssertionError unless it finds nothing. Its report."""
        done = run_oastfs("fsck", *self.metadata, *options, check=False)
        assert done.returncode == 0, f"fsck: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def log_tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(tail(server.log) for server in self._servers())

    def _servers(self) -> list[Server]:
        return [*self.namenodes, *self.datanodes, *self.mounts]

    def _stop_all(self) -> None:
        errors = []
        for server in reversed(self._servers()):
            try:
                server.ensure_stopped()
            except AssertionError as error:
                errors.append(str(error))
        shutil.rmtree(self.sockets, ignore_errors=True)
        assert not errors, "\n".join(errors)
