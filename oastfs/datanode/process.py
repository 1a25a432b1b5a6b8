"""The datanode as a process: start, signals, an orderly end."""

from __future__ import annotations

import os
import signal

import structlog

from oastfs.core.errors import OastError
from oastfs.core.logging import configure
from oastfs.core.supervision import tell_ready
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.datanode import Datanode
from oastfs.datanode.http import WebPart

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def run_datanode(config: DatanodeConfig, web: WebPart | None = None) -> int:
    """Run a datanode until SIGTERM or SIGINT; the exit code. Raises what keeps it from starting or going on.

    Prints a line that starts with ``ready`` once it serves; namenodes are looked for in the background.
    ``web`` is served on the HTTP port. SIGUSR1 has all checksums verified at once. To be called in the main
    thread.
    """
    configure("datanode", level=config.log_level)
    # Waited for rather than handled: a handler runs between two steps of this thread, and would not if the
    # signal came just before it begins to wait. Threads started from here on leave them to sigwait.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return _serve(config, web)
    finally:
        while signal.sigtimedwait(_SIGNALS, 0):
            pass  # asked to end once more, which it has
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(config: DatanodeConfig, web: WebPart | None) -> int:
    faults: list[OastError] = []

    def fatal(error: OastError) -> None:
        faults.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    datanode = Datanode(config, fatal, web, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        datanode.start()
        print(f"ready {datanode.endpoints}", flush=True)
        tell_ready()
        while signal.sigwait(_SIGNALS) == signal.SIGUSR1:
            datanode.scrubber.request_pass()
    finally:
        datanode.stop()
    log.info("datanode stopped")
    if faults:
        raise faults[0]
    return 0
