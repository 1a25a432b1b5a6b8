"""The README's examples run as they stand, one after the other, against what `make run` starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.cluster import run_oastfs
from tests.harness.documents import OWN_NETWORK, run_beside, script
from tests.harness.process import OASTFS, Server
from tests.harness.up import can_unshare

ROOT = Path(__file__).resolve().parents[2]


def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    if not can_unshare("--net"):
        pytest.skip("default ports that are surely free take a network namespace")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("the examples use the mount")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    # As the Makefile has it.
    arguments = [*OWN_NETWORK, OASTFS, "up", str(tmp_path / ".oastfs" / "store"), "--mount", "./mnt"]
    up = Server("up", arguments, tmp_path / "up.log", directory=tmp_path)
    up.start()
    try:
        assert f"mount {tmp_path / 'mnt'}" in up.wait_for_line("ready ", 90)
        done = run_beside(up, script((ROOT / "README.md").read_text()), tmp_path)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{up.log.read_text()}"
        assert "Golding" in done.stdout and "written by an HDFS client" in done.stdout
        assert "\n10000\n" in done.stdout, "1000 files of 10 bytes"
        assert up.terminate() == 0
    finally:
        up.ensure_stopped()
    assert not os.path.ismount(tmp_path / "mnt")
    run_oastfs("fsck", f"lmdb://{tmp_path}/.oastfs/store")


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "docs/operations.md", "docs/architecture.md", "docs/hdfs.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"


def test_make_run_starts_what_the_examples_use() -> None:
    """The command in the Makefile is the one tested above."""
    planned = subprocess.run(
        ["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert f"oastfs up '{ROOT}/.oastfs/store' --mount './mnt'" in planned
