"""The Linux kernel's own tests of filesystems: xfstests' quick group of those that are for any filesystem.

They are fetched with git and compiled as the test runs, and are no part of this project; where they cannot be
reached the test is skipped. ``OASTFS_XFSTESTS`` names another place to clone them from.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.private_mounts import run_with_helper

pytestmark = [pytest.mark.long, pytest.mark.system, pytest.mark.timeout(7200)]

SOURCE = os.environ.get("OASTFS_XFSTESTS", "https://github.com/kdave/xfstests")
GROUP = os.environ.get("OASTFS_XFSTESTS_GROUP", "-g generic/quick")
PACKAGES = (
    "acl attr automake bc e2fsprogs gawk gcc libacl1-dev libaio-dev libattr1-dev libcap-dev "
    "libgdbm-compat-dev libtool-bin make quota uuid-dev xfslibs-dev xfsprogs"
)
PASSED_MIN = 150
KNOWN = {
    "generic/003": "access times are not kept up to date",
    "generic/184": "devices have no effect (nodev)",
    "generic/213": "fallocate reserves no space",
    "generic/294": "a mount is not mounted anew with other options",
    "generic/306": "devices have no effect, and as 294",
    "generic/394": "a process may not raise its limits in some containers",
    "generic/434": "devices have no effect",
    "generic/452": "as 294",
    "generic/564": "as 394",
    "generic/633": "set-id programs have no effect (nosuid)",
}
REACHABLE = "/mnt"
"""Where the test's directory is to be found as it runs: pytest's own lies in one that only root may enter,
and parts of the suite are run by other users."""
CONFIGURATION = """
export FSTYP=fuse FUSE_SUBTYP=.oastfs
export TEST_DEV={test} TEST_DIR={REACHABLE}/test-mount TEST_FS_MOUNT_OPTS="-oallow_other"
export SCRATCH_DEV={scratch} SCRATCH_MNT={REACHABLE}/scratch-mount MOUNT_OPTIONS="-oallow_other"
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The compiled suite."""
    directory = tmp_path / "xfstests"
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    cloned = subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", SOURCE, str(directory)],
        capture_output=True, text=True, check=False, timeout=600, env=environment,
    )  # fmt: skip
    if cloned.returncode != 0:
        pytest.skip(f"{SOURCE} cannot be cloned: {cloned.stderr.strip()}")
    made = subprocess.run(
        ["make", "-j4"], cwd=directory, capture_output=True, text=True, check=False, timeout=1200
    )
    if made.returncode != 0:
        pytest.skip(f"it does not compile; it needs `apt-get install {PACKAGES}`: {made.stderr[-2000:]}")
    functions = directory / "common" / "rc"  # it takes every filesystem's type for the one it was told
    functions.write_text(functions.read_text().replace("'s/nfs4/nfs/'", "'s/nfs4/nfs/; s/fuse.oastfs/fuse/'"))
    return directory


def test_the_quick_group(suite: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path / "test") as test, Cluster(tmp_path / "scratch") as scratch:
        configuration = CONFIGURATION.format(
            test=test.metadata_url, scratch=scratch.metadata_url, REACHABLE=REACHABLE
        )
        (suite / "local.config").write_text(configuration)
        tmp_path.chmod(0o755)
        script = f"""
            mount --bind {tmp_path} {REACHABLE}
            export TMPDIR={REACHABLE}
            mkdir -p {REACHABLE}/test-mount {REACHABLE}/scratch-mount
            for user in fsgqa fsgqa2 123456-fsgqa; do
                id -u $user >/dev/null 2>&1 || useradd -M --badname $user
            done
            cd {REACHABLE}/{suite.name}
            ./check {GROUP} || true
            umount {REACHABLE}/test-mount {REACHABLE}/scratch-mount 2>/dev/null || true
            """
        done = run_with_helper(script, tmp_path, 7000, ("mount.oastfs", "mount.fuse.oastfs"))
    log = suite / "results" / "check.log"
    assert log.exists(), done.stdout + done.stderr
    report = log.read_text()
    ran = set(_names(report, "Ran:"))
    assert len(ran) >= PASSED_MIN or GROUP != "-g generic/quick", done.stdout + done.stderr
    failed = set(_names(report, "Failures:"))
    assert failed <= set(KNOWN), f"{failed - set(KNOWN)}:\n{done.stdout[-20_000:]}"


def _names(report: str, title: str) -> list[str]:
    """The tests that a line of the report's end names."""
    found = re.findall(rf"^{title}(.*)$", report, re.MULTILINE)
    return found[-1].split() if found else []
