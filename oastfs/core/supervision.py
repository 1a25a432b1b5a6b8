"""What servers and those who start them agree on: a benchmark or `oastfs up`, and service managers."""

from __future__ import annotations

import os
import socket
from typing import Final

SUPERVISOR_VARIABLE: Final = "OASTFS_SUPERVISOR"
"""In the environment of such servers: the pid of their supervisor. They end when it does."""


def tell_ready() -> None:
    """Tell the service manager that this process serves, if it wants to know (systemd's ``Type=notify``)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
        try:
            notifier.sendto(b"READY=1\n", address)
        except OSError:
            pass  # who does not listen does not learn of it
