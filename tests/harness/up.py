"""`oastfs up` under test: a whole filesystem under one supervisor."""

from __future__ import annotations

import socket
import subprocess
from itertools import count
from pathlib import Path

from oastfs.cli.plan import CONTROL_PORT_DISTANCE, DATANODE_PORT_DISTANCE
from tests.harness.logs import tail, unexpected
from tests.harness.ports import free_port
from tests.harness.process import OASTFS, Server

HOST = "127.0.0.1"
# What `oastfs up` takes besides the ports it is given, for two namenodes and three datanodes.
NAMENODE_OFFSETS = (1, CONTROL_PORT_DISTANCE, 1 + CONTROL_PORT_DISTANCE)
HTTP_OFFSETS = (1,)
DATANODE_OFFSETS = tuple(
    number * DATANODE_PORT_DISTANCE + offset for number in range(3) for offset in (-2, 0)
)


class Up(Server):
    """The supervisor process. ``start`` returns at once; ``wait_ready`` waits for its line."""

    def __init__(
        self, directory: Path, *options: str, mount: bool = False, prefix: tuple[str, ...] = ()
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.store = directory / "store"
        self.mount = directory / "mnt"
        self.port, self.http_port = free_port(*NAMENODE_OFFSETS), free_port(*HTTP_OFFSETS)
        self.datanode_port = free_port(*DATANODE_OFFSETS)
        arguments = [*prefix, OASTFS, "up", str(self.store), "--host", HOST, "--port", str(self.port)]
        arguments += ["--http-port", str(self.http_port), "--datanode-port", str(self.datanode_port)]
        arguments += ["--mount", str(self.mount)] if mount else []
        # The next free name: who starts a second one waits for its own lines.
        log = next(path for n in count(1) if not (path := directory / f"up-{n}.log").exists())
        super().__init__("up", [*arguments, *options], log)

    @property
    def url(self) -> str:
        return f"oastfs://{HOST}:{self.port}"

    @property
    def metadata_url(self) -> str:
        return f"lmdb://{self.store}"

    def wait_ready(self, seconds: float = 90.0) -> str:
        """The line that starts with ``ready``."""
        return self.wait_for_line("ready ", seconds)

    def children(self) -> dict[str, int]:
        """Pids of the parts, by the name of their command."""
        found = {}
        for pid in _children(self.pid):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "oastfs.cli" in arguments:
                found[arguments[arguments.index("oastfs.cli") + 1]] = pid
        return found

    def log_text(self) -> str:
        """What the supervisor printed so far."""
        return self.log.read_text(errors="replace")

    def check_logs(self, *allowed: str) -> None:
        """Fail on lines of the parts' logs that nobody expects."""
        for log in sorted((self.store / "logs").glob("*.log")):
            found = unexpected(log, allowed)
            assert not found, f"{log}: {found}\n{tail(log)}"

    def log_tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(tail(log) for log in [self.log, *sorted((self.store / "logs").glob("*.log"))])


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_listening(port: int) -> bool:
    """Whether something answers on the port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def can_unshare(*what: str) -> bool:
    """Whether this process may have namespaces of its own (``--net``, ``--mount``)."""
    try:
        return subprocess.run(["unshare", *what, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
