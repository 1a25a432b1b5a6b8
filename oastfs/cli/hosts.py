"""Which addresses servers listen on: loopback unless the operator takes responsibility."""

from __future__ import annotations

import errno
import ipaddress
import socket

import click

from oastfs.cli.failure import Failure, UsageFailure

LOOPBACK = "127.0.0.1"

INSECURE_MEANS = (
    "there is no authentication: whoever reaches this port can read, "
    "change and remove every file, as any user"
)

host_option = click.option("--host", default=LOOPBACK, help="Address to listen on (127.0.0.1).")
insecure_option = click.option(
    "--insecure", is_flag=True, help="Allow an address that others can reach, without authentication."
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_host(host: str, insecure: bool) -> str | None:
    """A warning to log for an open address. Raises UsageFailure if it was not asked for."""
    if is_loopback(host):
        return None
    if not insecure:
        raise UsageFailure(
            f"--host {host} can be reached by others, and {INSECURE_MEANS}; add --insecure to allow it"
        )
    return f"listening on {host} with --insecure: {INSECURE_MEANS}"


def public_name(host: str) -> str:
    """How clients write the address."""
    if host in (LOOPBACK, "::1"):
        return "localhost"
    if host not in ("0.0.0.0", "::"):
        return host
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return "localhost"  # a machine that does not know its own name is reached by nobody else by it
    return name


def check_port(host: str, port: int, option: str) -> None:
    """Raise Failure, with what to do, unless ``port`` can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise Failure(_why(host, port, option, error)) from None


def _why(host: str, port: int, option: str, error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what uses it, or choose another with {option}"
    if code == errno.EACCES:
        return f"port {port} needs root's rights: choose one above 1023 with {option}"
    return f"cannot listen on {host}:{port} ({error}): choose another with {option} or --host"
