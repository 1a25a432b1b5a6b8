"""Ports of the servers that a benchmark starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from oastfs.bench import servers
from oastfs.core.errors import OastError


def test_no_outgoing_connection_takes_a_port_before_its_server_does() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [port for _ in range(20) for port in servers._free_ports(50)]
    assert len(set(ports)) == 1000, "none is given twice"
    assert max(ports) < lowest


def test_ports_that_are_in_use_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    used, free = servers._free_ports(2)
    monkeypatch.setattr(servers, "_given", set())
    monkeypatch.setattr(servers, "_PORTS", (used, free))
    with socket.create_server((servers.HOST, used)):
        assert servers._free_ports(1) == [free]
    with pytest.raises(OastError, match="are in use"):
        servers._free_ports(2)
