"""The native protocol ``oastfs.Metadata``: every verb of the namespace, by its name.

Short reads run on the event loop, as they take less time than a change of threads would; where a store
waits on a network, the loop goes on meanwhile if the store can have it so. Long ones run on a few threads.
Changes are answered when the store says that they are durable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from oastfs.core.errors import NoSuchVerb, OastError
from oastfs.core.types import Caller
from oastfs.namenode.namespace import Namespace, RetryKey
from oastfs.namenode.server.audit import AUDITED, AuditLog
from oastfs.namenode.server.changes import Changes
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.deferred import Audit, Deferred, read_threads
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import Metrics, VerbMetrics
from oastfs.namenode.server.stalls import StallWatch
from oastfs.wire.hadoop_rpc import Request
from oastfs.wire.verbs import PROTOCOL, VERBS, Verb, encode_error, encode_result

LONG_LIST: Final = 1000
LONG_BATCH: Final = 128

Arguments = tuple[Any, ...]

_LONG: Final[dict[str, Callable[[Arguments], bool]]] = {
    "content_summary": lambda arguments: True,
    "datanodes": lambda arguments: True,
    "quota_usage": lambda arguments: True,
    "statfs": lambda arguments: True,
    "listdir": lambda arguments: bool(arguments[3] > LONG_LIST),
    "stat_many": lambda arguments: len(arguments[1]) > LONG_BATCH,
    "read_many": lambda arguments: len(arguments[1]) > LONG_BATCH,
}
"""Reads that could hold the event loop for more than a few milliseconds."""

_BRIEF: Final = frozenset({
    "add_block", "append", "chmod", "chown", "commit", "complete", "create", "link", "mkdirs", "mknod",
    "remove_xattr", "renew_lease", "renew_locks", "rmdir", "set_lock", "set_xattr", "symlink", "unlink",
    "utimes", "write_file", "write_inline",
})  # fmt: skip
"""Changes that mostly take no longer than a read, whatever they are of."""
_OF_TREES: Final = frozenset({"delete", "rename"})
"""Those that take no longer, but where trees have to be walked."""

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
        changes: Changes,
        audit: AuditLog | None = None,
        *,
        long_weight: int,
        threads: int = 0,
    ) -> None:
        self._namespace = namespace
        self._call = namespace.call
        self._metrics = metrics
        self._audit = audit
        self._methods: dict[str, _Method] = {}
        self._reads_inline = namespace.store.reads_inline
        self._reads_awaitable = namespace.store.reads_awaitable
        self._long_weight = long_weight
        threads = threads or read_threads(self._reads_inline)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="long-read")
        self._stalls = StallWatch()
        self._stalls.watch(asyncio.get_running_loop())
        self._completions = Completions(asyncio.get_running_loop())
        self._changes, self._turns = changes, changes.turns

    def close(self) -> None:
        """Wait for reads under way. Calls after it fail."""
        self._stalls.close()
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
                self._submit(
                    method, arguments, self._defer(method, request, connection, arguments, started_ns)
                )
                return None
            is_long = method.is_long is not None and method.is_long(arguments)
            if self._reads_awaitable and not is_long:
                self._submit_read(
                    method, arguments, self._defer(method, request, connection, arguments, started_ns)
                )
                return None
            if not self._reads_inline or is_long:
                later = self._defer(method, request, connection, arguments, started_ns, encode=_as_it_is)
                self._run_on_thread(method, arguments, later)
                return None
            self._turns.served = True
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

    def _defer(
        self,
        method: _Method,
        request: Request,
        connection: RpcConnection,
        arguments: Arguments,
        started_ns: int,
        encode: Callable[[Any], bytes] = encode_result,
    ) -> Deferred:
        audit: Audit | None = None
        if method.audited:
            audit = partial(self.audit, method.verb.name, arguments, connection)
        return Deferred(
            self, self._completions, request, connection, method.metrics, started_ns, encode, audit
        )

    def _submit(self, method: _Method, arguments: Arguments, later: Deferred) -> None:
        request = later.request
        caller: Caller = arguments[0]
        verb = method.verb
        retry = None
        if verb.at_most_once and len(request.client_id) == 16:
            again = self._stalls.is_stalled(later.started_ns) or request.retry_count > 0
            retry = RetryKey(request.client_id.hex(), request.call_id, again)
        later.begin()
        try:
            make = partial(self._namespace.change, verb.name, caller, arguments[1:], retry)
            if verb.name in _BRIEF:
                self._changes.submit_brief(later.connection, make(), later.done)
            elif verb.name in _OF_TREES:
                self._changes.submit_of_tree(later.connection, make, later.done)
            else:
                self._changes.submit(make(), later.done)
        except BaseException:
            later.cancel()
            raise

    def _submit_read(self, method: _Method, arguments: Arguments, later: Deferred) -> None:
        later.begin()
        try:
            self._namespace.submit_read(method.verb.name, arguments[0], arguments[1:], later.done)
        except BaseException:
            later.cancel()
            raise

    def _run_on_thread(self, method: _Method, arguments: Arguments, later: Deferred) -> None:
        later.begin(self._long_weight if self._reads_inline else 1)
        self._threads.submit(self._run, method, arguments, later)

    def _run(self, method: _Method, arguments: Arguments, later: Deferred) -> None:
        try:
            body = encode_result(self._call(method.verb.name, *arguments))
        except BaseException as error:
            later.done(None, error)
        else:
            later.done(body, None)


def _as_it_is(body: bytes) -> bytes:
    return body
