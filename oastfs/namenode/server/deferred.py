"""A call that is answered later: what a thread or the store found out, taken back to its connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import VerbMetrics
from oastfs.wire.hadoop_rpc import Request

_clock_ns = time.perf_counter_ns


def read_threads(reads_inline: bool) -> int:
    """How many threads read: a few for what would hold up the event loop, more if each waits on a network."""
    return 2 if reads_inline else 8


Audit = Callable[[int, BaseException | None], None]
"""Has a line written about a call, given the nanoseconds that it took and its error."""


class Deferred:
    """``done`` from any thread, once; the rest is for the event loop's thread."""

    __slots__ = (
        "_audit",
        "_completions",
        "_encode",
        "_error",
        "_handler",
        "_metrics",
        "_result",
        "connection",
        "request",
        "started_ns",
        "weight",
    )

    def __init__(
        self,
        handler: Handler,
        completions: Completions,
        request: Request,
        connection: RpcConnection,
        metrics: VerbMetrics,
        started_ns: int,
        encode: Callable[[Any], bytes],
        audit: Audit | None = None,
    ) -> None:
        self._handler = handler
        self._completions = completions
        self._metrics = metrics
        self._encode = encode
        self._audit = audit
        self._result: Any = None
        self._error: BaseException | None = None
        self.request = request
        self.connection = connection
        self.started_ns = started_ns
        self.weight = 1

    def begin(self, weight: int = 1) -> None:
        """The call is under way, and counts as ``weight`` against what its connection may have in flight."""
        self.weight = weight
        self.connection.begin(weight)

    def cancel(self) -> None:
        """It could not be begun after all; its error is answered by whoever began it."""
        self.connection.end(self.weight)

    def done(self, result: Any, error: BaseException | None) -> None:
        """Its outcome, to be encoded and put in line on the loop's thread."""
        self._result = result
        self._error = error
        self._completions.post(self.finish)

    def finish(self) -> RpcConnection:
        """Put the answer in line; the connection that is to be flushed."""
        connection, error = self.connection, self._error
        connection.end(self.weight)
        elapsed_ns = _clock_ns() - self.started_ns
        if error is None:
            self._metrics.observe(elapsed_ns)
            connection.answer(self.request, self._encode(self._result))
        else:
            self._metrics.observe_error(elapsed_ns, type(error).__name__)
            connection.fail(self.request, self._handler, error)
        if self._audit is not None:
            self._audit(elapsed_ns, error)
        return connection
