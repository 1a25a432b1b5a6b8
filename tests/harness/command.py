"""Running the `oastfs` command in tests, with its output as text or JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.harness.process import OASTFS


class Command:
    """The command on one filesystem (``OASTFS_URL``); call it with arguments."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.environment = {**os.environ, "OASTFS_URL": url, "TZ": "UTC"}

    def run(self, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it to its end, whatever that is."""
        return subprocess.run(
            [OASTFS, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=self.directory,
            env=self.environment,
            timeout=120,
            check=False,
        )

    def __call__(self, *arguments: object, stdin: bytes = b"") -> str:
        """Run it, expecting success and silence on stderr; its output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.returncode} {done.stderr.decode()}"
        assert not done.stderr, done.stderr.decode()
        return done.stdout.decode()

    def lines(self, *arguments: object) -> list[str]:
        """Its output by lines."""
        return self(*arguments).splitlines()

    def json(self, *arguments: object) -> Any:
        """Its output as JSON."""
        return json.loads(self(*arguments, "--json"))

    def fails(self, *arguments: object, code: int = 1, stdin: bytes = b"") -> str:
        """Run it, expecting this exit code and one line on stderr; the line."""
        done = self.run(*arguments, stdin=stdin)
        error = done.stderr.decode()
        assert done.returncode == code, f"{arguments}: {done.returncode} {error}"
        assert error.count("\n") == 1 and error.startswith("oastfs"), error
        return error.rstrip("\n")


_MEASURED = """
import sys
from oastfs.cli import cli
cli.main(args=sys.argv[1:], standalone_mode=False)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak.split()[1], file=sys.stderr)
"""


def peak_mebibytes(*arguments: str) -> int:
    """The most memory that the command has resident while it runs; pages of mapped files count, too."""
    # Not getrusage: its figure begins with the memory of the process that we fork from.
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1]) // 1024
