"""Runs ClientProtocol's calls for the connections of a namenode's port.

Like the native protocol's handler: short reads on the event loop (on databases as tasks of it), long ones on
threads, writes through the store's group commit, answers of at-most-once calls kept in the transaction of
their effect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from google.protobuf.message import DecodeError, Message

from oastfs.core.errors import (
    InvalidArgument,
    LeaseConflict,
    NoSuchVerb,
    OastError,
    PermissionDenied,
    ProtocolError,
)
from oastfs.core.types import Caller
from oastfs.namenode.hdfs import calls, safe_mode
from oastfs.namenode.hdfs.call import Address, Call
from oastfs.namenode.hdfs.errors import describe, worded
from oastfs.namenode.hdfs.methods import METHODS, Method
from oastfs.namenode.hdfs.names import Names, enter_caller, groups_of
from oastfs.namenode.namespace import Namespace, RetryKey
from oastfs.namenode.safe_mode import is_on as is_safe_mode_on
from oastfs.namenode.server.audit import AuditLog
from oastfs.namenode.server.changes import Changes
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.connection import RpcConnection
from oastfs.namenode.server.deferred import Audit, Deferred, read_threads
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.metrics import Metrics
from oastfs.namenode.server.stalls import StallWatch
from oastfs.store.transaction import Transaction
from oastfs.wire.hadoop_rpc import Request

log = structlog.get_logger(__name__)

PROTOCOL: Final = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
_CLIENT_ID_BYTES: Final = 16
_PATIENCE_NS: Final = 1_000_000_000
_PAUSE_SECONDS: Final = 0.01
_MAKING: Final = ("create", "createSymlink", "mkdirs", "rename", "rename2")
"""Here HDFS refuses paths with doubled slashes."""
_OF_TREES: Final = frozenset({"delete", "rename", "rename2"})
"""Changes that take no longer, but where trees have to be walked."""
_BRIEF: Final = frozenset({
    "addBlock", "complete", "create", "mkdirs", "renewLease", "setOwner", "setPermission", "setTimes",
})  # fmt: skip
"""Changes that mostly take no longer than a read, whatever they are of."""
_clock_ns = time.perf_counter_ns
Operation = Callable[[Transaction], bytes]

calls.load()


class ClientProtocolHandler(Handler):
    """Calls of HDFS's clients on a namespace in this process."""

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
        self._read = namespace.store.read
        self._metrics = metrics
        self._audit = audit
        self._long_weight = long_weight
        self._reads_inline = namespace.store.reads_inline
        self._reads_awaitable = namespace.store.reads_awaitable
        threads = threads or read_threads(self._reads_inline)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="hdfs-read")
        self._stalls = StallWatch()
        self._stalls.watch(asyncio.get_running_loop())
        self._loop = asyncio.get_running_loop()
        self._completions = Completions(self._loop)
        self._changes, self._turns = changes, changes.turns
        self.names = Names()
        self._servers: dict[tuple[str, int], Address] = {}
        """This server's addresses as clients reached it: a few."""

    def close(self) -> None:
        """Wait for reads under way. Calls after it fail."""
        self._stalls.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def describe(self, error: BaseException) -> tuple[str, str]:
        return describe(error)

    def handle(self, request: Request, connection: RpcConnection) -> bytes | None:
        started_ns = _clock_ns()
        method = METHODS.get(request.method)
        if method is None:
            raise NoSuchVerb(f"Unknown method {request.method} called on {PROTOCOL} protocol.")
        caller = self.names.caller(connection.user)
        if caller is None:
            self._introduce(request, connection)
            return None
        context = self._namespace.context(caller)
        context.group_of_parent = True
        self.names.refresh(context.now_ns)
        here = connection.local_address
        server = self._servers.get(here) or self._servers.setdefault(here, Address(*here))
        call = Call(context, self.names, connection.peer_host, server)
        message = decode(method, request.body)
        if not method.reads:
            self._submit(method, call, message, self._defer(method, request, connection, message, started_ns))
            return None
        if self._reads_awaitable and not method.long:
            self._submit_read(
                method, call, message, self._defer(method, request, connection, message, started_ns)
            )
            return None
        if method.long or not self._reads_inline:
            later = self._defer(method, request, connection, message, started_ns)
            later.begin(self._long_weight if self._reads_inline else 1)
            self._threads.submit(self._run, method, call, message, later)
            return None
        self._turns.served = True
        return self._run_here(method, call, message, connection, started_ns)

    def run(self, name: str, message: Message, user: str, client: Address, server: Address) -> bytes:
        """Make a call on this thread and wait for it; the encoded answer. For protocols on top of this."""
        started_ns = _clock_ns()
        method = METHODS.get(name)
        if method is None:
            raise NoSuchVerb(f"Unknown method {name} called on {PROTOCOL} protocol.")
        caller = self.names.caller(user)
        if caller is None:
            caller = self.enter(user)
            self.names.introduce(caller)
        context = self._namespace.context(caller)
        context.group_of_parent = True
        self.names.refresh(context.now_ns)
        call = Call(context, self.names, client.host, server)
        failure: BaseException | None = None
        try:
            if method.reads:
                return self._read(lambda tx: carry_out(method, tx, call, message))
            return self._namespace.store.write(lambda tx: carry_out(method, tx, call, message))
        except BaseException as error:
            failure = error
            raise
        finally:
            address = f"{client.host}:{client.port}"
            self._note(method, caller, message, address, _clock_ns() - started_ns, failure)

    def enter(self, user: str) -> Caller:
        """The caller of a user's name. May take long: asks the system, and may write to the store."""
        groups = groups_of(user)
        return self._namespace.store.write(lambda tx: enter_caller(tx, user, groups))

    # --- the ways of running a call -----------------------------------------------------------------

    def _run_here(
        self, method: Method, call: Call, message: Message, connection: RpcConnection, started_ns: int
    ) -> bytes:
        figures = self._metrics.verb(method.name)
        try:
            answer = self._read(lambda tx: carry_out(method, tx, call, message))
        except Exception as error:
            elapsed_ns = _clock_ns() - started_ns
            figures.observe_error(elapsed_ns, type(error).__name__)
            self._note(method, call.context.caller, message, connection.address, elapsed_ns, error)
            raise
        elapsed_ns = _clock_ns() - started_ns
        figures.observe(elapsed_ns)
        if self._audit is not None:
            self._note(method, call.context.caller, message, connection.address, elapsed_ns, None)
        return answer

    def _run(self, method: Method, call: Call, message: Message, later: Deferred) -> None:
        try:
            answer = self._read(lambda tx: carry_out(method, tx, call, message))
        except BaseException as error:
            later.done(None, error)
        else:
            later.done(answer, None)

    def _submit_read(self, method: Method, call: Call, message: Message, later: Deferred) -> None:
        later.begin()
        try:
            self._namespace.store.submit_read(lambda tx: carry_out(method, tx, call, message), later.done)
        except BaseException:
            later.cancel()
            raise

    def _submit(self, method: Method, call: Call, message: Message, later: Deferred) -> None:
        request = later.request
        retry = None
        if method.at_most_once and len(request.client_id) == _CLIENT_ID_BYTES:
            again = self._stalls.is_stalled(later.started_ns) or request.retry_count > 0
            retry = RetryKey(request.client_id.hex(), request.call_id, again)
        later.begin()

        def operation(tx: Transaction) -> bytes:
            return carry_out(method, tx, call, message)

        kept = self._namespace.kept(call.context, operation, retry, _same, _same)

        def make(brief: bool) -> Operation:
            call.context.brief = brief
            return kept

        try:
            if method.name in _OF_TREES:
                self._changes.submit_of_tree(later.connection, make, later.done)
            elif method.name in _BRIEF:
                self._changes.submit_brief(later.connection, kept, later.done)
            elif method.name == "append":
                self._submit_patiently(kept, later)
            else:
                self._changes.submit(kept, later.done)
        except BaseException:
            later.cancel()
            raise

    def _submit_patiently(self, operation: Operation, later: Deferred) -> None:
        """Wait a little for a writer on a mount: the kernel lets go of a file when ``close`` has returned."""

        def done(result: bytes | None, error: BaseException | None) -> None:
            if not isinstance(error, LeaseConflict) or _clock_ns() - later.started_ns > _PATIENCE_NS:
                later.done(result, error)
                return
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be answered
                self._loop.call_soon_threadsafe(
                    self._loop.call_later, _PAUSE_SECONDS, self._changes.submit_again, operation, done
                )

        self._changes.submit(operation, done)

    def _defer(
        self,
        method: Method,
        request: Request,
        connection: RpcConnection,
        message: Message,
        started_ns: int,
    ) -> Deferred:
        audit: Audit | None = None
        if self._audit is not None:
            caller = self.names.caller(connection.user) or Caller(connection.user, -1)
            audit = partial(self._note, method, caller, message, connection.address)
        figures = self._metrics.verb(method.name)
        return Deferred(self, self._completions, request, connection, figures, started_ns, _same, audit)

    # --- who asks -----------------------------------------------------------------------------------

    def _introduce(self, request: Request, connection: RpcConnection) -> None:
        """Find out who the user is, on a thread, then carry the call out."""
        connection.begin()

        def look_up() -> None:
            try:
                if not connection.user:
                    raise PermissionDenied("the client named no user")
                caller = self.enter(connection.user)
            except BaseException as error:
                self._completions.post(partial(self._give_up, request, connection, error))
            else:
                self._completions.post(partial(self._resume, request, connection, caller))

        self._threads.submit(look_up)

    def _resume(self, request: Request, connection: RpcConnection, caller: Caller) -> RpcConnection:
        self.names.introduce(caller)
        connection.end()
        try:
            body = self.handle(request, connection)
        except Exception as error:
            connection.fail(request, self, error)
        else:
            if body is not None:
                connection.answer(request, body)
        return connection

    def _give_up(self, request: Request, connection: RpcConnection, error: BaseException) -> RpcConnection:
        connection.end()
        connection.fail(request, self, error)
        return connection

    # --- the audit log --------------------------------------------------------------------------------

    def _note(
        self,
        method: Method,
        caller: Caller,
        message: Message,
        address: str,
        elapsed_ns: int,
        error: BaseException | None,
    ) -> None:
        """Have a line written about a call that names a path, if there is an audit log."""
        if self._audit is None:
            return
        names = message.DESCRIPTOR.fields_by_name
        if "src" in names:
            paths = [getattr(message, name) for name in ("src", "dst") if name in names]
            self._audit.record(method.name, (caller, *paths), address, elapsed_ns, error)


def decode(method: Method, body: bytes | memoryview) -> Message:
    """The request of a call. Raises InvalidArgument."""
    try:
        message = method.request.FromString(body if type(body) is bytes else bytes(body))
    except DecodeError:
        raise InvalidArgument(f"the request of {method.name} cannot be read") from None
    if not message.IsInitialized():
        raise InvalidArgument(f"the request of {method.name} lacks a field")
    for check in method.checks:
        check(message)
    for field in method.path_fields:
        path = getattr(message, field)
        if type(path) is not str:
            raise ProtocolError(f"{field} is not UTF-8")
        if path[-1:] == "/" or "//" in path:
            setattr(message, field, _tidy(path, collapse=method.name not in _MAKING))
    return message


def _tidy(path: str, *, collapse: bool) -> str:
    """The path as HDFS takes it: no slash at the end, and none twice where nothing is made."""
    while collapse and "//" in path:
        path = path.replace("//", "/")
    return path.rstrip("/") or path[:1]


def carry_out(method: Method, tx: Transaction, call: Call, message: Message) -> bytes:
    """Run a call in a transaction; its encoded answer. Denials are worded while names can be looked up."""
    try:
        if not method.reads:
            if (hints := call.context.environment.hints) is not None:
                hints.expect(tx, *[getattr(message, name) for name in method.path_fields])
            if is_safe_mode_on(tx):
                safe_mode.require_off(tx, method.name, message)
        answer = method.function(tx, call, message)
    except OastError as error:
        raise worded(tx, call, error) from None
    return answer if type(answer) is bytes else answer.SerializeToString()  # type: ignore[union-attr]


def _same(value: Any) -> Any:
    return value
