"""Which libfuse the portable binding takes."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import ctypes.util
found = ctypes.util.find_library
# As on a machine that has libfuse 2 as well.
ctypes.util.find_library = lambda name: "libfuse.so.2" if name == "fuse" else found(name)
from oastfs.fuse.mfusepy_binding import mfusepy
print(mfusepy.fuse_version_major)
"""


def test_libfuse_3_is_taken_though_libfuse_2_is_there() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=False, timeout=60
    )
    assert loaded.stdout == "3\n", loaded.stderr
