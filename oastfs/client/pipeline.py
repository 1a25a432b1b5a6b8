"""Calls to a namenode by a thread that does not wait for answers: many under way on one connection.

For a thread with other things to wait for: it polls the connection beside them. All methods are for that
thread. What goes wrong is left to threads that may wait: a call that got no answer is finished there (under
its own id, so that it is carried out once), and so are all calls while there is no connection, until they
have made one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from oastfs.client.connection import PATIENCE_SECONDS, Connection, answers
from oastfs.client.remote import CALL_AGAIN, RemoteMetadata
from oastfs.core.errors import DeadlineExceeded, OastError, ProtocolError, ServerStopping
from oastfs.core.types import Caller
from oastfs.wire.hadoop_rpc_client import Response
from oastfs.wire.verbs import VERBS, Verb, decode_error, encode_arguments

Done = Callable[[Any, BaseException | None], None]
TICK_SECONDS: Final = 0.1
"""How often to call ``tick`` while answers are due."""


class _Call(NamedTuple):
    codec: Verb
    body: bytes
    done: Done


class Pipeline:
    """``run_elsewhere`` has a function run by a thread that may wait."""

    def __init__(self, remote: RemoteMetadata, run_elsewhere: Callable[[Callable[[], None]], None]) -> None:
        self._remote = remote
        self._run_elsewhere = run_elsewhere
        self._connection: Connection | None = None
        self._due: dict[int, _Call] = {}
        self._out: list[bytes] = []
        self._heard = 0.0
        self._asking = False
        self._silent: Connection | None = None

    @property
    def connection(self) -> Connection | None:
        """To be polled for reading, and for writing while ``unsent``; another one after it failed."""
        return self._connection

    @property
    def unsent(self) -> bool:
        """Whether ``flush`` has something left to do."""
        return bool(self._out)

    @property
    def idle(self) -> bool:
        """Whether nothing was sent that an answer is due to."""
        return len(self._due) == len(self._out)

    @property
    def waiting(self) -> bool:
        """Whether answers are due."""
        return bool(self._due)

    def begin(self, verb: str, caller: Caller, arguments: tuple[Any, ...], done: Done) -> None:
        """Make a call. ``done`` gets its result or its error, in this thread or in another."""
        codec = VERBS[verb]
        try:
            body = encode_arguments((caller, *arguments))
        except OastError as error:
            done(None, error)
            return
        if self._connection is None:
            self._connection = self._remote.take_idle()
            if self._connection is None:
                self._run_elsewhere(partial(self._call, codec, caller, arguments, done))
                return
        call_id, request = self._remote.new_request(verb, body)
        if not self._due:
            self._heard = time.monotonic()
        self._due[call_id] = _Call(codec, body, done)
        self._out.append(request)

    def flush(self) -> None:
        """Send what has come together, as far as the system takes it."""
        connection = self._connection
        if connection is None or not self._out:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        try:
            sent = connection.send_some(data)
        except OastError as error:
            self._lose(error)
            return
        if sent < len(data):
            self._out.append(data[sent:])

    def receive(self) -> None:
        """Take the answers that are here to whom they are for."""
        connection = self._connection
        if connection is None:
            return
        try:
            responses = connection.receive_some()
        except OastError as error:
            self._lose(error)
            return
        if responses:
            self._heard = time.monotonic()
        for response in responses:
            if self._connection is not connection:
                return  # an answer before this one was the last
            call = self._due.pop(response.call_id, None)
            if call is None:
                self._lose(ProtocolError(f"the namenode at {connection.address} answered another call"))
                return
            self._take(response, call)

    def _take(self, response: Response, call: _Call) -> None:
        if not response.exception_class:
            self._end(call, response.body)
            return
        error = decode_error(response.exception_class, response.message)
        if isinstance(error, CALL_AGAIN):
            self._finish_elsewhere(response.call_id, call, error)
        else:
            call.done(None, error)
        if response.fatal or isinstance(error, ServerStopping):
            self._lose(error)

    def tick(self) -> None:
        """See whether the namenode is still there, if nothing was heard of it for a while."""
        connection, silent_seconds = self._connection, time.monotonic() - self._heard
        if connection is None or not self._due:
            return
        if self._silent is connection or silent_seconds > self._remote.timeout_seconds:
            self._lose(DeadlineExceeded(f"the namenode at {connection.address} did not answer"))
        elif self._remote.watched and silent_seconds > PATIENCE_SECONDS and not self._asking:
            self._asking = True
            self._run_elsewhere(partial(self._ask, connection))

    def _ask(self, connection: Connection) -> None:
        """Elsewhere: a call may take its time, but a namenode that answers nobody is not waited for."""
        try:
            if not answers(connection.address, PATIENCE_SECONDS):
                self._silent = connection
        finally:
            self._heard = time.monotonic()
            self._asking = False

    def close(self) -> None:
        """Give the connection back. What is under way is not waited for, and nobody is told of it."""
        connection, self._connection = self._connection, None
        self._due.clear()
        self._out.clear()
        if connection is not None:
            connection.close()

    def _lose(self, error: OastError) -> None:
        """The connection is of no use any more: other threads finish what was sent."""
        connection, self._connection = self._connection, None
        due, self._due = self._due, {}
        self._out.clear()
        if connection is not None:
            self._remote.give_up(connection, hangs=isinstance(error, (DeadlineExceeded, ServerStopping)))
        for call_id, call in due.items():
            if isinstance(error, DeadlineExceeded) and not self._remote.watched:
                call.done(None, error)
            else:
                self._finish_elsewhere(call_id, call, error)

    def _finish_elsewhere(self, call_id: int, call: _Call, error: OastError) -> None:
        self._run_elsewhere(partial(self._finish, call_id, call, error))

    def _finish(self, call_id: int, call: _Call, error: OastError) -> None:
        try:
            body = self._remote.finish(call_id, call.codec.name, call.body, error)
        except Exception as failure:
            call.done(None, failure)
        else:
            self._end(call, body)

    def _end(self, call: _Call, body: memoryview) -> None:
        try:
            result = call.codec.decode_result(body)
        except OastError as error:
            call.done(None, error)
        else:
            call.done(result, None)

    def _call(self, codec: Verb, caller: Caller, arguments: tuple[Any, ...], done: Done) -> None:
        try:
            result = self._remote.call(codec.name, caller, *arguments)
        except Exception as error:
            done(None, error)
        else:
            done(result, None)
