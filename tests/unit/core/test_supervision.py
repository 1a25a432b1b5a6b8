"""Telling a service manager that a server is ready."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from oastfs.core.supervision import tell_ready


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_manager_hears_of_it(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{tmp_path}/s" if kind == "path" else f"\0oastfs-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(name)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        tell_ready()
        assert manager.recv(100) == b"READY=1\n"


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "@nobody-listens-here"])
def test_without_a_manager_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    tell_ready()
