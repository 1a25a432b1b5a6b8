"""libfuse 3, through mfusepy.

Where libfuse 2 is installed as well, for other programs, mfusepy would take that one, which has another
interface.
"""

from __future__ import annotations

import os

os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")

import mfusepy

__all__ = ["mfusepy"]
