"""POSIX as pjdfstest knows it: some nine thousand checks of what system calls answer and leave behind.

It is fetched with git and compiled as the test runs, and is no part of this project; where it cannot be
reached the test is skipped. ``OASTFS_PJDFSTEST`` names another place to clone it from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster

pytestmark = [pytest.mark.long, pytest.mark.system, pytest.mark.timeout(3600)]

SOURCE = os.environ.get("OASTFS_PJDFSTEST", "https://github.com/pjd/pjdfstest")
COMMIT = "85a8aea9e685999ef0540392fd80535f873d7ff7"
CHECKS_MIN = 8_500
WORKERS = 4
"""Most scripts sleep most of the time, to see times change."""
SCRIPT_SECONDS_MAX = 900
_DIRECTIVE = " # "
"""Of the Test Anything Protocol: behind it the suite says that it expects a check to fail on some systems."""
FOUND_ON_LINUX = (
    "faccessat", "fchmodat", "fchownat", "fstatat", "linkat", "mkdirat", "mkfifoat", "mknodat", "openat",
    "posix_fallocate", "readlinkat", "renameat", "symlinkat", "utimensat", "lchmod", "sys_sysmacros_h",
    "struct_stat_st_atim", "struct_stat_st_ctim", "struct_stat_st_mtim",
)  # fmt: skip
"""What its configure script would find out."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled suite."""
    if os.geteuid() != 0:
        pytest.skip("it makes files as several users: run it as root")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("it is compiled: install a C compiler")
    directory = tmp_path_factory.mktemp("pjdfstest")
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    cloned = subprocess.run(
        ["git", "clone", "--quiet", SOURCE, str(directory)],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    if cloned.returncode != 0:
        pytest.skip(f"{SOURCE} cannot be cloned: {cloned.stderr.strip()}")
    subprocess.run(["git", "-C", str(directory), "checkout", "--quiet", COMMIT], check=True)
    (directory / "config.h").touch()
    defined = [f"-DHAVE_{name.upper()}=1" for name in FOUND_ON_LINUX]
    subprocess.run(
        [compiler, "-w", "-D_GNU_SOURCE", *defined, "-I.", "pjdfstest.c", "-o", "pjdfstest"],
        cwd=directory, check=True,
    )  # fmt: skip
    return directory


@pytest.mark.parametrize("way", ["direct", "namenode"])
def test_every_check_passes(suite: Path, tmp_path: Path, way: str) -> None:
    with Cluster(tmp_path) as cluster:
        mountpoint = cluster.mount(cluster.url if way == "namenode" else None)
        scripts = sorted((suite / "tests").glob("*/*.t"))
        places = [mountpoint / f"{script.parent.name}-{script.stem}" for script in scripts]
        for place in places:
            place.mkdir(mode=0o755)
        with ThreadPoolExecutor(WORKERS) as pool:
            outcomes = list(pool.map(run, scripts, places))
    failures = [failure for _, failed in outcomes for failure in failed]
    assert not failures, "\n".join(failures)
    assert sum(count for count, _ in outcomes) >= CHECKS_MIN


def run(script: Path, place: Path) -> tuple[int, list[str]]:
    """How many checks a script made in a directory, and those that failed."""
    name = f"{script.parent.name}/{script.name}"
    try:
        done = subprocess.run(
            ["sh", str(script)],
            cwd=place, capture_output=True, text=True, check=False, timeout=SCRIPT_SECONDS_MAX,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 0, [f"{name}: did not end within {SCRIPT_SECONDS_MAX} s"]
    lines = done.stdout.splitlines()
    planned = next((line.split() for line in lines if line.startswith("1..")), [])
    checks = [line for line in lines if line.startswith(("ok", "not ok"))]
    failures = [f"{name}: {line}" for line in checks if line.startswith("not ok") and _DIRECTIVE not in line]
    if planned and int(planned[0].removeprefix("1..")) not in (0, len(checks)):
        failures.append(f"{name}: {planned[0]} were planned, {len(checks)} made")
    elif not planned:
        failures.append(f"{name}: {done.stderr.strip() or 'no plan'}")
    return len(checks), failures
