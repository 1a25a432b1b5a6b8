"""The native protocol ``oastfs.Metadata``: every verb of the namespace, by its name.

Short reads run on the event loop, as they take less time than a change of threads would. Long ones, and
all reads of a store that waits on a network, run on a few threads. Writes go to the store's
group commit, and are answered when it says that they are durable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from oastfs.core.errors import NoSuchVerb, OastError
from oastfs.core.types import Caller
from oastfs.namenode.namespace import RETRY_WAIT_NS, Namespace, RetryKey
from oastfs.namenode.server.audit import AUDITED, AuditLog
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import Metrics, VerbMetrics
from oastfs.wire.hadoop_rpc import Request
from oastfs.wire.verbs import PROTOCOL, VERBS, Verb, encode_error, encode_result

LONG_LIST: Final = 1000
LONG_BATCH: Final = 128

Arguments = tuple[Any, ...]

_LONG: Final[dict[str, Callable[[Arguments], bool]]] = {
    "content_summary": lambda arguments: True,
    "datanodes": lambda arguments: True,
    "statfs": lambda arguments: True,
    "listdir": lambda arguments: bool(arguments[3] > LONG_LIST),
    "stat_many": lambda arguments: len(arguments[1]) > LONG_BATCH,
    "read_many": lambda arguments: len(arguments[1]) > LONG_BATCH,
}
"""Reads that could hold the event loop for more than a few milliseconds."""

_STALLED_NS = 10**9
"""How long after a stall the calls that come are taken for old ones."""

_clock_ns = time.perf_counter_ns


class _Method:
    """One verb and how it is run."""

    __slots__ = ("audited", "is_long", "metrics", "reads", "verb")

    def __init__(self, verb: Verb, metrics: VerbMetrics, audited: bool) -> None:
        self.verb = verb
        self.metrics = metrics
        self.reads = Namespace.is_read(verb.name)
        self.is_long = _LONG.get(verb.name)
        self.audited = audited


class MetadataHandler(Handler):
    """Calls of native clients on a namespace in this process."""

    protocol = PROTOCOL

    def __init__(
        self,
        namespace: Namespace,
        metrics: Metrics,
        audit: AuditLog | None = None,
        *,
        long_weight: int,
        threads: int = 2,
    ) -> None:
        self._namespace = namespace
        self._call = namespace.call
        self._metrics = metrics
        self._audit = audit
        self._methods: dict[str, _Method] = {}
        self._reads_inline = namespace.store.reads_inline
        self._long_weight = long_weight
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="long-read")
        self._wrote_ns = 0
        self._stalled_until_ns = 0
        self._completions = Completions(asyncio.get_running_loop())

    def close(self) -> None:
        """Wait for reads under way. Calls after it fail."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def describe(self, error: BaseException) -> tuple[str, str]:
        if isinstance(error, OastError):
            return encode_error(error)
        return encode_error(OastError("the server failed unexpectedly; its log says more"))

    def handle(self, request: Request, connection: RpcConnection) -> bytes | None:
        started_ns = _clock_ns()
        method = self._methods.get(request.method) or self._load(request.method)
        arguments: Arguments = ()
        try:
            arguments = method.verb.decode_arguments(request.body)
            if not method.reads:
                self._submit(_Call(self, method, request, connection, arguments, started_ns))
                return None
            is_long = method.is_long
            if not self._reads_inline or (is_long is not None and is_long(arguments)):
                self._run_on_thread(_Call(self, method, request, connection, arguments, started_ns))
                return None
            answer = encode_result(self._call(method.verb.name, *arguments))
        except Exception as error:
            elapsed_ns = _clock_ns() - started_ns
            method.metrics.observe_error(elapsed_ns, type(error).__name__)
            if method.audited and arguments:
                self.audit(method.verb.name, arguments, connection, elapsed_ns, error)
            raise
        # As VerbMetrics.observe, without its call.
        elapsed_ns = _clock_ns() - started_ns
        figures = method.metrics
        figures.total_ns += elapsed_ns
        figures.buckets[elapsed_ns.bit_length()] += 1
        if method.audited:
            self.audit(method.verb.name, arguments, connection, elapsed_ns, None)
        return answer

    def audit(
        self,
        verb: str,
        arguments: Arguments,
        connection: RpcConnection,
        elapsed_ns: int,
        error: BaseException | None,
    ) -> None:
        """Have a line written about a call, if there is an audit log."""
        if self._audit is not None:
            self._audit.record(verb, arguments, connection.address, elapsed_ns, error)

    def _load(self, name: str) -> _Method:
        verb = VERBS.get(name)
        if verb is None:
            raise NoSuchVerb(f"no such verb: {name}")
        audited = self._audit is not None and name in AUDITED
        method = self._methods[name] = _Method(verb, self._metrics.verb(name), audited)
        return method

    def _submit(self, call: _Call) -> None:
        request = call.request
        caller: Caller = call.arguments[0]
        verb = call.method.verb
        retry = None
        if verb.at_most_once and len(request.client_id) == 16:
            again = self._was_stalled(call.started_ns) or request.retry_count > 0
            retry = RetryKey(request.client_id.hex(), request.call_id, again)
        call.connection.begin(call.weight)
        try:
            self._namespace.submit(verb.name, caller, call.arguments[1:], call.done, retry)
        except BaseException:
            call.connection.end(call.weight)
            raise

    def _was_stalled(self, now_ns: int) -> bool:
        """Whether calls may have lain unread while this process stood still (or had no writes, just as well).

        Their clients may have had them carried out by another namenode meanwhile.
        """
        if now_ns - self._wrote_ns > RETRY_WAIT_NS:
            self._stalled_until_ns = now_ns + _STALLED_NS
        self._wrote_ns = now_ns
        return now_ns < self._stalled_until_ns

    def _run_on_thread(self, call: _Call) -> None:
        call.weight = self._long_weight if self._reads_inline else 1
        call.connection.begin(call.weight)
        self._threads.submit(self._run, call)

    def _run(self, call: _Call) -> None:
        try:
            result = self._call(call.method.verb.name, *call.arguments)
            body = encode_result(result)
        except BaseException as error:
            call.done(None, error)
        else:
            call.encoded = body
            call.done(None, None)

    def post(self, call: _Call) -> None:
        """From any thread: ``call`` has its result."""
        self._completions.post(call.finish)


class _Call:
    """A call that is answered later."""

    __slots__ = (
        "_handler",
        "arguments",
        "connection",
        "encoded",
        "error",
        "method",
        "request",
        "result",
        "started_ns",
        "weight",
    )

    def __init__(
        self,
        handler: MetadataHandler,
        method: _Method,
        request: Request,
        connection: RpcConnection,
        arguments: Arguments,
        started_ns: int,
    ) -> None:
        self._handler = handler
        self.method = method
        self.request = request
        self.connection = connection
        self.arguments = arguments
        self.started_ns = started_ns
        self.weight = 1
        self.encoded: bytes | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def done(self, result: Any, error: BaseException | None) -> None:
        """From any thread, once."""
        self.result = result
        self.error = error
        self._handler.post(self)

    def finish(self) -> RpcConnection:
        """On the loop's thread: put the answer in line."""
        handler, connection, method, error = self._handler, self.connection, self.method, self.error
        connection.end(self.weight)
        elapsed_ns = _clock_ns() - self.started_ns
        if error is None:
            method.metrics.observe(elapsed_ns)
            connection.answer(self.request, self.encoded or encode_result(self.result))
        else:
            method.metrics.observe_error(elapsed_ns, type(error).__name__)
            connection.fail(self.request, handler, error)
        if method.audited:
            handler.audit(method.verb.name, self.arguments, connection, elapsed_ns, error)
        return connection
