"""What a process and those that it starts as its servers agree on."""

from __future__ import annotations

from typing import Final

SUPERVISOR_VARIABLE: Final = "OASTFS_SUPERVISOR"
"""In the environment of such servers: the pid of their supervisor. They end when it does."""
