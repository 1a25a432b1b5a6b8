"""Why a port cannot be listened on, in one line that says what to do."""

from __future__ import annotations

import errno

from oastfs.core.errors import AddressInUse, NotPermitted, OastError


def listen_error(what: str, host: str, port: int, error: OSError) -> OastError:
    """The error to raise in place of ``error``."""
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"port {port} of {host}, for {what}, is in use: stop what uses it or choose another"
        )
    if error.errno == errno.EACCES:
        return NotPermitted(f"port {port}, for {what}, is reserved for root: choose one above 1023")
    return OastError(f"cannot listen on {host}:{port} for {what}: {error.strerror or error}")
