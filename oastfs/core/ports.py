"""Free ports for servers that are about to be started."""

from __future__ import annotations

import random
import socket
from itertools import islice

from oastfs.core.errors import OastError

_PORTS = range(10_000, 15_000)
_given: set[int] = set()
"""Those that servers have been told, which may not listen yet."""


def free_ports(count: int, host: str) -> list[int]:
    """Ports of this machine's address ``host`` that nothing listens on, different ones at each call.

    None of those that Linux gives to outgoing connections: one might be taken before the server has it, or
    while it is down. Raises OastError if there are not so many.
    """
    candidates = random.sample(_PORTS, len(_PORTS))
    free = (port for port in candidates if port not in _given and _is_free(port, host))
    ports = list(islice(free, count))
    if len(ports) < count:
        raise OastError(f"all ports from {_PORTS[0]} to {_PORTS[-1]} are in use")
    _given.update(ports)
    return ports


def _is_free(port: int, host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
