"""Servers that end when the process ends that started them."""

from __future__ import annotations

import ctypes
import os
import signal

from oastfs.core.supervision import SUPERVISOR_VARIABLE

_PR_SET_PDEATHSIG = 1


def die_with_supervisor() -> None:
    """As a child of a supervisor: have the kernel end this process, cleanly, if it dies."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it died before the request
        os.kill(os.getpid(), signal.SIGTERM)
