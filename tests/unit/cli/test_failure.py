"""Every error ends as one line and an exit code."""

from __future__ import annotations

import errno
import subprocess
import sys

import click
import pytest

from oastfs.cli.failure import ExitCode, Failure, UsageFailure, describe
from oastfs.core import errors


@pytest.mark.parametrize("kind", [kind for _, kind in sorted(errors.all_errors().items())])
def test_errors_of_the_filesystem_are_one_line(kind: type[errors.OastError]) -> None:
    code, line = describe(kind("first\nsecond", path="/a"))
    assert code == ExitCode.FAILED
    assert line.startswith("oastfs: /a: first second")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), 1, "oastfs: /x: No such file"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the local disk is full"),
        (Failure("did not work"), 1, "oastfs: did not work"),
        (UsageFailure("so not"), 2, "oastfs: so not (see `oastfs --help`)"),
        (ValueError("bug"), 1, "unexpected ValueError: bug"),
        (KeyboardInterrupt(), 130, ""),
        (click.exceptions.Exit(3), 3, ""),
    ],
)
def test_others(error: BaseException, code: int, line: str) -> None:
    found_code, found_line = describe(error)
    assert found_code == code
    assert line in found_line
    assert line or not found_line


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "oastfs.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_wrong_usage_is_one_line() -> None:
    done = run("ls", "--nonsense")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("oastfs ls: ")
    assert "oastfs ls --help" in done.stderr


def test_bad_url_is_wrong_usage() -> None:
    done = run("ls", "/a")
    assert done.returncode == 2
    assert "OASTFS_URL" in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_shows_where() -> None:
    done = run("ls", "/a", OASTFS_DEBUG="1")
    assert "Traceback" in done.stderr
