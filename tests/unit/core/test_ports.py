"""Ports of the servers that `oastfs up` and benchmarks start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from oastfs.core import ports
from oastfs.core.errors import OastError

HOST = "127.0.0.1"


def test_no_outgoing_connection_takes_a_port_before_its_server_does() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    given = [port for _ in range(20) for port in ports.free_ports(50, HOST)]
    assert len(set(given)) == 1000, "none is given twice"
    assert max(given) < lowest


@pytest.mark.parametrize(("host", "family"), [(HOST, socket.AF_INET), ("::1", socket.AF_INET6)])
def test_ports_that_are_in_use_are_left_out(
    monkeypatch: pytest.MonkeyPatch, host: str, family: socket.AddressFamily
) -> None:
    used, free = ports.free_ports(2, host)
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports, "_PORTS", (used, free))
    with socket.create_server((host, used), family=family):
        assert ports.free_ports(1, host) == [free]
    with pytest.raises(OastError, match="are in use"):
        ports.free_ports(2, host)
