"""A socket of each running part, for the user who runs it (and root): figures, and a profile.

It is a Unix socket in the abstract namespace, named by the process's id: nothing is left behind by a process
that is killed, and the kernel tells each side who the other is. A request is a line of JSON; the answer is
JSON as well, ``{"answer": …}`` or ``{"error": …}``, up to the end of the stream.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from oastfs.core.errors import InvalidArgument, NotFound, NotPermitted, OastError
from oastfs.diagnostics import sampler

_PREFIX: Final = "\0oastfs/"
_CREDENTIALS: Final = struct.Struct("3i")
_REQUEST_BYTES_MAX: Final = 4096
_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)

Figures = Callable[[], dict[str, Any]]


class Door:
    """Answers until ``close``. Without it everything else goes on: what cannot be opened is logged."""

    def __init__(self, part: str, figures: Figures = dict) -> None:
        """``part``: what this process is. ``figures`` tells what it does, whenever somebody asks."""
        self._part = part
        self._figures = figures
        self._thread = threading.Thread(target=self._accept, name="diagnostics", daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(f"{_PREFIX}{os.getpid()}")
            self._socket.listen(8)
        except OSError as error:
            self._socket.close()
            _log.warning("no diagnostics of this process: %s", error)
            return
        # A thread starts with the signals blocked that its maker has blocked. Those of the process are for
        # whoever waits for them: here they would meet their defaults, and end it at once.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Answer no more."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was never opened
        # Until that thread has come back from the kernel, the socket is there.
        if self._thread.ident is not None:
            self._thread.join(_SECONDS)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), name="diagnostics", daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            try:
                peer.settimeout(_SECONDS)
                request = _line(peer)  # even of those who may not ask: what is not read breaks the answer
                if _peer(peer)[1] not in (0, os.geteuid()):
                    raise NotPermitted("only the user who runs this process may look into it")
                answer = {"answer": self._answer(json.loads(request))}
            except OastError as error:
                answer = {"error": error.message}
            except (OSError, ValueError, KeyError, TypeError) as error:
                answer = {"error": str(error)}
            try:
                peer.settimeout(_SECONDS)
                peer.sendall(json.dumps(answer).encode())
            except OSError:
                pass  # whoever asked has gone

    def _answer(self, request: dict[str, Any]) -> Any:
        if request["what"] == "figures":
            return {"part": self._part, "pid": os.getpid(), **self._figures()}
        if request["what"] == "profile":
            stacks = sampler.take(float(request["seconds"]), int(request["rate"]), bool(request["wall"]))
            return sampler.folded(stacks)
        raise InvalidArgument(f"no such request: {request['what']}")


def figures(pid: int) -> dict[str, Any]:
    """What a process tells of itself. Raises NotFound, NotPermitted."""
    found = _ask(pid, {"what": "figures"}, _SECONDS)
    assert isinstance(found, dict)
    return found


def profile(pid: int, seconds: float, rate: int, wall: bool) -> sampler.Stacks:
    """Have a process profile itself. Raises NotFound, OastError."""
    request = {"what": "profile", "seconds": seconds, "rate": rate, "wall": wall}
    return sampler.unfolded(_ask(pid, request, seconds + _SECONDS))


def processes() -> list[int]:
    """The processes of this machine that have a door (in this network namespace)."""
    text = Path("/proc/net/unix").read_text(errors="replace")
    return sorted({int(pid) for pid in re.findall(r" @oastfs/(\d+)$", text, re.MULTILINE)})


def _ask(pid: int, request: dict[str, Any], seconds: float) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(seconds)
        try:
            door.connect(f"{_PREFIX}{pid}")
            if _peer(door)[0] not in (pid, 0):  # 0: of another namespace of processes
                raise NotPermitted("another process answers in its name")
            door.sendall(json.dumps(request).encode() + b"\n")
            data = b"".join(iter(lambda: door.recv(1 << 16), b""))
        except OastError:
            raise
        except OSError as error:
            raise NotFound(f"process {pid} is no part of OastFS that runs here ({error})") from None
    try:
        answer = json.loads(data)
    except ValueError:
        raise NotFound(f"process {pid} ended meanwhile") from None
    if "error" in answer:
        raise OastError(answer["error"])
    return answer["answer"]


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def _line(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < _REQUEST_BYTES_MAX:
        more = peer.recv(_REQUEST_BYTES_MAX - len(data))
        if not more:
            break
        data += more
    return data
