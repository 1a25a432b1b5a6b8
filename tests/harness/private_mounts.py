"""Commands in a mount namespace of their own: /sbin has the helper of mount(8), and /etc may be written.

mount(8) takes its helpers from /sbin alone. What a script changes there, or in /etc, lies in layers that end
with it, so that this machine's own files stay as they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.process import OASTFS

HELPER = Path(OASTFS).with_name("mount.oastfs")
_LAYERED = ("/usr/sbin", "/etc")
_LAYER = """
mkdir -p {layer}/upper {layer}/work
mount -t overlay overlay -o lowerdir={place},upperdir={layer}/upper,workdir={layer}/work {place}
"""


def run_with_helper(
    script: str, directory: Path, seconds: float, names: tuple[str, ...] = ("mount.oastfs",)
) -> subprocess.CompletedProcess[str]:
    """Run a shell script where mount(8) finds the helper, under these names. Its working directory keeps
    what it needs for that. Fails the test, with how to get it, on a machine where that cannot be."""
    if os.geteuid() != 0:
        pytest.fail("mounts of their own need root: run the tests as root")
    if not HELPER.exists():
        pytest.fail(f"{HELPER} is missing: install the package (`{sys.executable} -m pip install -e .`)")
    layers = directory / "layers"
    lines = ["set -e", "mount --make-rprivate /", f"mkdir -p {layers}", f"mount -t tmpfs none {layers}"]
    lines += [_LAYER.format(layer=layers / str(n), place=place) for n, place in enumerate(_LAYERED)]
    lines += [f"ln -sf {HELPER} /usr/sbin/{name}" for name in names]
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", "\n".join([*lines, script])],
        capture_output=True, text=True, check=False, timeout=seconds, cwd=directory,
        env={**os.environ, "TMPDIR": str(directory)},
    )  # fmt: skip
