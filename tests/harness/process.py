"""One server process under test: started through the installed command, stopped by its own pid.

It ends with the process that runs the tests, too, if that is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness import reaper
from tests.harness.logs import tail
from tests.harness.waiting import wait_until

OASTFS = str(Path(sys.executable).with_name("oastfs"))
"""The command as it is installed beside the interpreter that runs the tests."""


class Server:
    """A child process with its output in a log file. Restart it with ``start``."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        log: Path,
        environment: dict[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.log = log
        self.environment = {**os.environ, **(environment or {})}
        self.working_directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it (again); its log goes on where it was."""
        assert not self.alive, f"{self.name} runs already"
        with self.log.open("ab") as output:
            self.process = reaper.start(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.working_directory,
            )

    def check_alive(self) -> None:
        """AssertionError with the log's end if it has ended."""
        assert self.alive, f"{self.name} ended with {self.returncode}\n{tail(self.log)}"

    @property
    def returncode(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def kill(self) -> None:
        """SIGKILL, as a crash; returns once it is gone."""
        self._signal(signal.SIGKILL)
        self.wait()

    def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM; its exit code."""
        self._signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds:g} s\n{tail(self.log)}") from None

    def wait_for_line(self, start: str, seconds: float = 60.0) -> str:
        """The first line of the log that begins with ``start``."""

        def probe() -> str:
            text = self.log.read_text(errors="replace")
            found = next((line for line in text.splitlines() if line.startswith(start)), "")
            if not found:
                self.check_alive()
            return found

        return wait_until(probe, f"a line {start!r}... of {self.name}", seconds)

    def ensure_stopped(self) -> None:
        """Stop it at the end of a test, whatever state it is in."""
        if not self.alive:
            return
        try:
            self.terminate(20)
        except AssertionError:
            self.kill()
            raise

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)
