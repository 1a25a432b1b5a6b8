"""The audit log: a line for each call that changes or opens something, allowed or not.

Calls only put a tuple in a queue; a thread turns them into JSON lines and writes them in batches. Lines
may therefore be lost if the process is killed, at most the last tenth of a second of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from oastfs.core.errors import NotPermitted, OastError, PermissionDenied
from oastfs.core.types import Caller
from oastfs.namenode.namespace import Namespace
from oastfs.wire.verbs import VERBS

log = structlog.get_logger(__name__)

_BATCH_SECONDS = 0.1
_QUEUE_MAX = 200_000
_PATHS_MAX = 100
"""Paths named in the line of a batch; the count says how many there were."""

_UNAUDITED: Final = frozenset({"renew_lease", "principal_ids", "report_bad_blocks", "forget"})
AUDITED: Final = frozenset(
    name for name in VERBS if name not in _UNAUDITED and not Namespace.is_read(name)
) | {"open", "read_many"}

_Entry = tuple[int, str, Caller, list[str], str, int, BaseException | None]


class AuditLog:
    """Writes to a file of its own, which may be moved away while it is written (logrotate)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self._queue: deque[_Entry] = deque()
        self._stop = threading.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()  # a path that cannot be written fails here, at the start
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def record(
        self,
        verb: str,
        arguments: tuple[Any, ...],
        address: str,
        elapsed_ns: int,
        error: BaseException | None,
    ) -> None:
        """Note a call. Costs about a microsecond; never waits."""
        if len(self._queue) >= _QUEUE_MAX:
            self.dropped += 1
            return
        paths = _PATHS.get(verb, _first_path)(arguments)
        self._queue.append((time.time_ns(), verb, arguments[0], paths, address, elapsed_ns, error))

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_BATCH_SECONDS)
            if self._queue:
                try:
                    self._write()
                except OSError as error:
                    log.error("audit log cannot be written", path=str(self.path), reason=str(error))

    def _write(self) -> None:
        lines = []
        queue = self._queue
        while queue:
            lines.append(_format(queue.popleft()))
        if self.dropped:
            lines.append(msgspec.json.encode({"dropped": self.dropped}))
            self.dropped = 0
        lines.append(b"")
        with self.path.open("ab") as file:
            file.write(b"\n".join(lines))


def _format(entry: _Entry) -> bytes:
    time_ns, verb, caller, paths, address, elapsed_ns, error = entry
    line: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ns // 10**9))
        + f".{time_ns // 1000 % 10**6:06d}Z",
        "allowed": not isinstance(error, (PermissionDenied, NotPermitted)),
        "user": caller.user,
        "uid": caller.uid,
        "client": address,
        "verb": verb,
        "paths": paths[:_PATHS_MAX],
        "us": elapsed_ns // 1000,
    }
    if len(paths) > _PATHS_MAX:
        line["count"] = len(paths)
    if error is not None:
        line["error"] = type(error).__name__ if isinstance(error, OastError) else "OastError"
    return msgspec.json.encode(line)


def _first_path(arguments: tuple[Any, ...]) -> list[str]:
    return [arguments[1]]


_PATHS: Final[dict[str, Callable[[tuple[Any, ...]], list[str]]]] = {
    "concat": lambda arguments: [arguments[1], *arguments[2]],
    "link": lambda arguments: [arguments[1], arguments[2]],
    "read_many": lambda arguments: arguments[1],
    "rename": lambda arguments: [arguments[1], arguments[2]],
    "write_many": lambda arguments: [request.path for request in arguments[1]],
}
