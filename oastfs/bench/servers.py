"""Servers that a benchmark starts itself, as processes on free ports: namenodes, and a mount."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from oastfs.core.errors import DeadlineExceeded, OastError
from oastfs.core.ports import free_ports
from oastfs.core.supervision import SUPERVISOR_VARIABLE

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02


class Server:
    """One process of the ``oastfs`` command; its output goes to a file in ``directory``."""

    def __init__(self, name: str, arguments: Sequence[str], directory: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "oastfs.cli", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())},
            )

    @property
    def pid(self) -> int:
        """The process that was started last."""
        assert self._process is not None
        return self._process.pid

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Raises OastError with its last line if it ends instead, DeadlineExceeded."""
        deadline = time.monotonic() + START_SECONDS
        while not what():
            assert self._process is not None
            if self._process.poll() is not None:
                lines = self._log.read_text(errors="replace").strip().splitlines() or ["no message"]
                raise OastError(f"{self.name} ended: {lines[-1]}")
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"{self.name} was not ready within {START_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; SIGKILL is waited for."""
        if self._process is None or self._process.poll() is not None:
            return
        os.kill(self._process.pid, number)
        if number is signal.SIGKILL:
            self._process.wait()

    def stop(self) -> None:
        """End it."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)


class Namenode(Server):
    """A namenode on a store; it makes a filesystem if the store is empty."""

    def __init__(self, number: int, metadata: Sequence[str], directory: Path) -> None:
        self.port, control_port, self._http_port = free_ports(3, HOST)
        arguments = ["namenode", *metadata, "--format", "--host", HOST, "--port", str(self.port)]
        arguments += ["--control-port", str(control_port), "--http-port", str(self._http_port)]
        super().__init__(f"namenode-{number}", arguments, directory)

    def wait_ready(self) -> None:
        """Until calls succeed."""
        self.wait_until(lambda: self._get("/readyz") is not None)

    def calls(self) -> int:
        """How many calls it has answered since its start; 0 if it does not answer now."""
        page = self._get("/status")
        return 0 if page is None else int(json.loads(page)["calls"])

    def _get(self, path: str) -> bytes | None:
        connection = http.client.HTTPConnection(HOST, self._http_port, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class Namenodes:
    """Several of them on one store, from entering to leaving the context."""

    def __init__(self, count: int, metadata: Sequence[str], directory: Path) -> None:
        self.all = [Namenode(number, metadata, directory) for number in range(1, count + 1)]

    def __enter__(self) -> Namenodes:
        try:
            self.all[0].start()  # the first one makes the filesystem
            self.all[0].wait_ready()
            for namenode in self.all[1:]:
                namenode.start()
            for namenode in self.all[1:]:
                namenode.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all of them."""
        for namenode in self.all:
            namenode.stop()

    @property
    def url(self) -> str:
        """Through all of them."""
        return "oastfs://" + ",".join(f"{HOST}:{namenode.port}" for namenode in self.all)

    def busiest(self, seconds: float) -> Namenode:
        """The one that answers the most calls while this time passes."""
        before = [namenode.calls() for namenode in self.all]
        time.sleep(seconds)
        return max(zip(self.all, before, strict=True), key=lambda pair: pair[0].calls() - pair[1])[0]


class Mount(Server):
    """A mount on a directory of its own."""

    def __init__(self, url: str, directory: Path) -> None:
        self.path = directory / "mount"
        self.path.mkdir()
        super().__init__("mount", ["mount", "--foreground", url, str(self.path)], directory)

    def wait_ready(self) -> None:
        """Until it is mounted."""
        self.wait_until(lambda: os.path.ismount(self.path))
