"""The datanode as a process: start, signals, an orderly end."""

from __future__ import annotations

import signal
from queue import SimpleQueue

import structlog

from oastfs.core.errors import OastError
from oastfs.core.logging import configure
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.datanode import Datanode

log = structlog.get_logger(__name__)


def run_datanode(config: DatanodeConfig) -> int:
    """Run a datanode until SIGTERM or SIGINT; the exit code. Raises what keeps it from starting or going on.

    Prints a line that starts with ``ready`` once it serves; namenodes are looked for in the background.
    SIGUSR1 has all checksums verified at once. To be called in the main thread.
    """
    configure("datanode", level=config.log_level)
    # Not an Event: a handler that sets one while this thread begins to wait for it waits for itself.
    ended: SimpleQueue[None] = SimpleQueue()
    faults: list[OastError] = []

    def fatal(error: OastError) -> None:
        faults.append(error)
        ended.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.put(None))
    datanode = Datanode(config, fatal)
    signal.signal(signal.SIGUSR1, lambda *_: datanode.scrubber.request_pass())
    try:
        datanode.start()
        print(f"ready {datanode.endpoints}", flush=True)
        ended.get()
    finally:
        datanode.stop()
    log.info("datanode stopped")
    if faults:
        raise faults[0]
    return 0
