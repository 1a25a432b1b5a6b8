"""Whoever runs tests may be killed: none of their servers, mounts and files in memory is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.harness.waiting import wait_until

ROOT = Path(__file__).parents[2]
TEST = """
import json, os, threading, time
from pathlib import Path

def test_that_is_killed(make_cluster, postgresql, request):
    made = []
    thread = threading.Thread(target=lambda: made.append(make_cluster(datanodes=1)))
    thread.start()
    thread.join()  # servers live longer than the threads that have started them
    cluster = made[0]
    mounted = cluster.mount()
    (mounted / "file").write_bytes(b"x")
    (mounted / "open").open("wb").write(b"y")
    servers = [*cluster.namenodes, *cluster.datanodes, *cluster.mounts, postgresql._process]
    directories = [mounted, postgresql._directory]
    what = {"pids": [one.pid for one in servers], "directories": [str(one) for one in directories]}
    file = Path(os.environ["TOLD_IN"])
    file.with_suffix(".new").write_text(json.dumps(what))
    file.with_suffix(".new").rename(file)
    time.sleep(600)
"""


def test_a_killed_run_of_tests_leaves_nothing(tmp_path: Path) -> None:
    script, told = tmp_path / "test_to_be_killed.py", tmp_path / "told"
    script.write_text(TEST)
    plugins = ["-p", "tests.conftest", "-p", "tests.system.conftest"]
    options = ["--rootdir", str(tmp_path), "-c", "/dev/null", str(script)]
    with (tmp_path / "output").open("wb") as output:
        run = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *plugins, *options],
            cwd=ROOT,
            env={**os.environ, "TOLD_IN": str(told)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_up() -> bool:
        assert run.poll() is None, (tmp_path / "output").read_text()
        return told.exists()

    try:
        wait_until(is_up, "the run of tests to start its servers", 120)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(30)
    left = json.loads(told.read_text())
    assert len(left["pids"]) == 4
    for pid in left["pids"]:
        wait_until(partial(_has_ended, pid), f"the end of process {pid}", 60)
    mounted, files = left["directories"]
    assert not os.path.ismount(mounted)
    wait_until(lambda: not os.path.exists(files), "the removal of PostgreSQL's files", 30)
    wait_until(lambda: not os.path.exists(mounted), "the removal of the tests' files", 30)


def _has_ended(pid: int) -> bool:
    return not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
