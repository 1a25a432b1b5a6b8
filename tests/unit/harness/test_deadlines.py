"""A test that nothing reaches fails, and the others are run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
CONFTEST = """
from tests.harness.deadlines import LastDeadline

def pytest_configure(config):
    config.pluginmanager.register(LastDeadline(grace_seconds=1.0))
"""
TESTS = """
import signal, time

def test_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(600)

def test_slow():
    time.sleep(600)

def test_quick():
    pass
"""


def run(directory: Path, *options: str) -> str:
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_some.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "/dev/null",
        "--rootdir",
        str(directory),
        "--timeout",
        "1",
    ]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, str(directory)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_a_test_that_hears_no_signal_ends_with_its_process(tmp_path: Path) -> None:
    out = run(tmp_path, "-n", "1")
    assert "crashed while running 'test_some.py::test_deaf'" in out
    assert " in test_deaf" in out, out
    assert "2 failed, 1 passed" in out


def test_one_that_hears_it_fails_by_itself(tmp_path: Path) -> None:
    out = run(tmp_path, "-k", "slow or quick")
    assert "Timeout" in out
    assert "1 failed, 1 passed" in out
