"""The socket of a part: figures and profiles for its user, and for nobody else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import NotFound, OastError
from oastfs.diagnostics import door


@pytest.fixture
def opened() -> Iterator[door.Door]:
    found = door.Door("test", lambda: {"operations": {"a": 1}})
    yield found
    found.close()


def ask(text: bytes) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(10)
        peer.connect(f"\0oastfs/{os.getpid()}")
        peer.sendall(text)
        peer.shutdown(socket.SHUT_WR)
        found = json.loads(b"".join(iter(lambda: peer.recv(4096), b"")))
    assert isinstance(found, dict)
    return found


def test_figures_and_profile(opened: door.Door) -> None:
    assert os.getpid() in door.processes()
    assert door.figures(os.getpid()) == {"part": "test", "pid": os.getpid(), "operations": {"a": 1}}
    stacks = door.profile(os.getpid(), 0.2, 100, True)
    assert any("test_figures_and_profile" in name for stack in stacks for name in stack)
    with pytest.raises(OastError, match="up to"):
        door.profile(os.getpid(), 0.2, 10**6, False)


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"nonsense\n", b"[]\n", b'{"what": "everything"}\n', b'{"what": "profile"}\n', b"x" * 4000],
)
def test_garbage_is_answered_with_an_error(opened: door.Door, text: bytes) -> None:
    assert list(ask(text)) == ["error"]
    assert door.figures(os.getpid())["part"] == "test"


def test_signals_of_the_process_are_not_for_its_thread(opened: door.Door) -> None:
    """Where the main thread blocks them to wait for them, no other thread may take them."""
    (thread,) = [one for one in threading.enumerate() if one.name == "diagnostics"]
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    (blocked,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk")]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        assert blocked >> (number - 1) & 1, f"{number.name} may end the process on this thread"
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_after_its_end_there_is_nobody() -> None:
    door.Door("test").close()
    with pytest.raises(NotFound, match="no part of OastFS"):
        door.figures(os.getpid())
    assert os.getpid() not in door.processes()


def test_a_second_door_of_one_process_is_only_logged(
    opened: door.Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.Door("second").close()
    assert "no diagnostics" in caplog.text
    assert door.figures(os.getpid())["part"] == "test"


@pytest.mark.skipif(os.geteuid() != 0, reason="to be another user takes root")
def test_other_users_are_sent_away(opened: door.Door) -> None:
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0oastfs/%s' % sys.argv[1])\n"
        's.sendall(b\'{"what": "figures"}\\n\'); print(s.recv(1000).decode())'
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(os.getpid())], capture_output=True, text=True, check=True
    )
    assert "only the user who runs this process" in done.stdout
