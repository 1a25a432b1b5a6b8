"""What a child of `oastfs up` and its supervisor agree on."""

from __future__ import annotations

import ctypes
import os
import signal

SUPERVISOR_VARIABLE = "OASTFS_SUPERVISOR"
"""Set for children: the pid of their supervisor."""

_PR_SET_PDEATHSIG = 1


def die_with_supervisor() -> None:
    """As a child of `oastfs up`: have the kernel end this process, cleanly, if the supervisor dies."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it died before the request
        os.kill(os.getpid(), signal.SIGTERM)
