"""The namespace through namenodes: every verb as a call of Hadoop RPC.

Each calling thread takes a free connection for the length of its call, so threads neither share nor
wait. If a namenode fails, the call goes to another under the same client id and call id; the
namenodes' retry cache sees to it that it is carried out once.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

from oastfs.client.connection import PATIENCE_SECONDS, Connection
from oastfs.client.url import Address
from oastfs.core.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    NoSuchVerb,
    OastError,
    OutcomeUnknown,
    ProtocolError,
    ServerStopping,
    StoreError,
    StoreUnavailable,
    Unreachable,
)
from oastfs.core.metadata import Metadata
from oastfs.core.types import Caller
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, LAST_CALL_ID, RequestEncoder, Response
from oastfs.wire.verbs import PROTOCOL, VERBS, decode_error, encode_arguments

PIPELINED = 64
"""Calls of ``call_many`` that are under way at once."""
CALL_AGAIN = (ServerStopping, StoreUnavailable, OutcomeUnknown)
"""Answers upon which a call is made again: it was not carried out, or the kept answer will tell."""
_CALL_IDS = LAST_CALL_ID - FIRST_CALL_ID + 1
_BACKOFF_SECONDS_FIRST, _BACKOFF_SECONDS_MAX = 0.05, 2.0
FIRST_REACH_SECONDS = 5.0
"""How long a client that has never reached a namenode goes on trying: one may just be starting, but whoever
has mistyped an address wants to be told."""

_clients: weakref.WeakSet[RemoteMetadata] = weakref.WeakSet()


class RemoteMetadata(Metadata):
    """All verbs, carried out by namenodes. Safe for many threads, for fork and for pickle.

    ``timeout_seconds`` bounds each call, retries and failovers included; one namenode is given that
    divided by the number of namenodes to answer, and if there are others, about two seconds if it answers
    nobody. A client that has never reached a namenode gives up after FIRST_REACH_SECONDS. Raises the verbs'
    own errors; DeadlineExceeded, Unreachable and ConnectionLost name an address.
    """

    def __init__(
        self,
        addresses: Iterable[tuple[str, int]],
        *,
        timeout_seconds: float = 60.0,
        connect_timeout_seconds: float = 5.0,
    ) -> None:
        self.addresses = [Address(host, port) for host, port in addresses]
        if not self.addresses:
            raise InvalidArgument("there is no address of a namenode")
        self.timeout_seconds = timeout_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        self._attempt_seconds = timeout_seconds / len(self.addresses)
        self._watched = len(self.addresses) > 1
        self._closed = False
        self._start()
        _clients.add(self)

    def _start(self) -> None:
        """As new, in this process: nobody else has this client id."""
        self._encoder = RequestEncoder(uuid.uuid4().bytes, PROTOCOL)
        self._numbers: Iterator[int] = itertools.count()
        self._free: deque[Connection] = deque()
        self._lock = threading.Lock()
        self._first = random.randrange(len(self.addresses))
        self._reached = False

    def __reduce__(self) -> tuple[Any, ...]:
        options = (self.timeout_seconds, self.connect_timeout_seconds)
        return (_reopen, ([tuple(address) for address in self.addresses], *options))

    def __repr__(self) -> str:
        return f"RemoteMetadata({','.join(map(str, self.addresses))})"

    def close(self) -> None:
        """Close the connections; calls under way on other threads finish. Calls after it fail."""
        self._closed = True
        self._drop_free()

    # --- one call -----------------------------------------------------------------------------------

    def call(self, verb: str, caller: Caller, *arguments: Any) -> Any:
        codec = VERBS.get(verb)
        if codec is None:
            raise NoSuchVerb(f"no such verb: {verb}")
        body = encode_arguments((caller, *arguments))
        call_id = FIRST_CALL_ID + next(self._numbers) % _CALL_IDS
        deadline = monotonic() + self.timeout_seconds
        try:
            connection = self._free.pop()
        except IndexError:
            return codec.decode_result(self._persist(call_id, verb, body, deadline, None))
        try:
            response = connection.exchange(
                call_id,
                self._encoder.encode(call_id, 0, verb, body),
                self._attempt_seconds,
                watched=self._watched,
            )
        except ConnectionLost as error:
            # It may have been idle for long, or its namenode was started anew: so are all the others.
            connection.close()
            self._drop_free()
            return codec.decode_result(self._persist(call_id, verb, body, deadline, error))
        except BaseException as error:
            connection.close()
            if isinstance(error, DeadlineExceeded) and len(self.addresses) > 1:
                self._fail_over(connection.address)
                return codec.decode_result(self._persist(call_id, verb, body, deadline, error))
            raise
        if response.exception_class:
            told = self._error_of(connection, response)
            if isinstance(told, CALL_AGAIN):
                return codec.decode_result(self._persist(call_id, verb, body, deadline, told))
            raise told
        self._give_back(connection)
        return codec.decode_result(response.body)

    def _error_of(self, connection: Connection, response: Response) -> OastError:
        """The error in an answer; the connection goes where it belongs after it."""
        error = decode_error(response.exception_class, response.message)
        if isinstance(error, ServerStopping):
            connection.close()
            self._fail_over(connection.address)
        elif isinstance(error, StoreUnavailable):
            self._give_back(connection)
            self._fail_over(connection.address)
        elif response.fatal:
            connection.close()
        else:
            self._give_back(connection)
        return error

    def _persist(
        self, call_id: int, verb: str, body: bytes, deadline: float, error: OastError | None
    ) -> memoryview:
        """Send a call, again if ``error`` came of it before, until it is answered or its time is up."""
        attempt = 0 if error is None else 1
        failures = 0
        told = error if isinstance(error, StoreError) else None
        while True:
            try:
                # Once all have been asked, they are given their time: all may have too much to do.
                hurried = self._watched and failures < len(self.addresses)
                return self._attempt(call_id, verb, body, attempt, deadline, hurried)
            except (ConnectionLost, DeadlineExceeded, *CALL_AGAIN) as failure:
                failures += 1
                attempt += not isinstance(failure, Unreachable)
                # That the store is away says more than that a namenode waits for it.
                if isinstance(failure, StoreError) and not isinstance(told, OutcomeUnknown):
                    told = failure
                self._wait_or_give_up(told or failure, failures, deadline)

    def _attempt(
        self, call_id: int, verb: str, body: bytes, attempt: int, deadline: float, hurried: bool
    ) -> memoryview:
        connection = self._take(hurried)
        seconds = max(0.001, min(self._attempt_seconds, deadline - monotonic()))
        try:
            response = connection.exchange(
                call_id, self._encoder.encode(call_id, attempt, verb, body), seconds, watched=hurried
            )
        except BaseException as error:
            connection.close()
            if isinstance(error, (ConnectionLost, DeadlineExceeded)):
                self._fail_over(connection.address)
            raise
        if response.exception_class:
            raise self._error_of(connection, response)
        self._give_back(connection)
        return response.body

    def _wait_or_give_up(self, failure: OastError, failures: int, deadline: float) -> None:
        """Return when the call is worth another attempt; raise ``failure`` when it is not."""
        rounds, more = divmod(failures, len(self.addresses))
        if not self._reached:
            deadline = min(deadline, deadline - self.timeout_seconds + FIRST_REACH_SECONDS)
        # Others are tried at once; after a round of them there is a pause.
        pause = 0.0
        if not more:
            pause = min(_BACKOFF_SECONDS_MAX, _BACKOFF_SECONDS_FIRST * 2 ** (rounds - 1))
            pause *= random.uniform(0.5, 1.0)
        if monotonic() + pause >= deadline:
            raise failure
        if pause:
            time.sleep(pause)

    # --- for who does not wait (client.pipeline) ------------------------------------------------------

    @property
    def watched(self) -> bool:
        """Whether there are other namenodes to turn to when one does not answer."""
        return self._watched

    def new_request(self, verb: str, body: bytes) -> tuple[int, bytes]:
        """A call's id, and what is to be sent."""
        call_id = FIRST_CALL_ID + next(self._numbers) % _CALL_IDS
        return call_id, self._encoder.encode(call_id, 0, verb, body)

    def take_idle(self) -> Connection | None:
        """A connection that nobody uses; it does not come back."""
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_up(self, connection: Connection, hangs: bool) -> None:
        """A connection broke, so may have all others; with ``hangs`` another namenode is to be preferred."""
        connection.close()
        self._drop_free()
        if hangs:
            self._fail_over(connection.address)

    def finish(self, call_id: int, verb: str, body: bytes, error: OastError) -> memoryview:
        """The answer of a call that was sent and that ``error`` came of; waits."""
        return self._persist(call_id, verb, body, monotonic() + self.timeout_seconds, error)

    # --- many calls ---------------------------------------------------------------------------------

    def call_many(
        self, verb: str, caller: Caller, arguments: Sequence[Sequence[Any]]
    ) -> list[Any | OastError]:
        """``call`` for each list of arguments, many at a time on one connection.

        Answers are in the order of ``arguments``; a call that failed gives its error in its place.
        """
        codec = VERBS.get(verb)
        if codec is None:
            raise NoSuchVerb(f"no such verb: {verb}")
        results: list[Any] = []
        for start in range(0, len(arguments), PIPELINED):
            bodies = [encode_arguments((caller, *values)) for values in arguments[start : start + PIPELINED]]
            for item in self._pipeline(verb, bodies):
                results.append(codec.decode_result(item) if isinstance(item, memoryview) else item)
        return results

    def _pipeline(self, verb: str, bodies: list[bytes]) -> list[memoryview | OastError]:
        """Send some calls at once and collect their answers; what got none is sent on its own."""
        deadline = monotonic() + self.timeout_seconds
        calls = {FIRST_CALL_ID + next(self._numbers) % _CALL_IDS: body for body in bodies}
        found: dict[int, memoryview | OastError] = {}
        lost: OastError | None = None
        try:
            self._exchange_many(verb, calls, found)
        except (ConnectionLost, ServerStopping, DeadlineExceeded) as error:
            lost = error
        for call_id, body in calls.items():
            item = found.get(call_id, lost)
            if item is None or isinstance(item, CALL_AGAIN) or item is lost:
                try:
                    found[call_id] = self._persist(call_id, verb, body, deadline, lost)
                except OastError as error:
                    found[call_id] = error
        return [found[call_id] for call_id in calls]

    def _exchange_many(
        self, verb: str, calls: dict[int, bytes], found: dict[int, memoryview | OastError]
    ) -> None:
        connection = self._take()
        encode, seconds = self._encoder.encode, self._attempt_seconds
        try:
            connection.send(
                b"".join(encode(number, 0, verb, body) for number, body in calls.items()),
                seconds,
                watched=self._watched,
            )
            while len(found) < len(calls):
                response = connection.receive(seconds, watched=self._watched)
                if response.fatal or response.call_id not in calls:
                    raise ProtocolError(f"the namenode at {connection.address} answered another call")
                failed = response.exception_class
                error = decode_error(failed, response.message) if failed else None
                found[response.call_id] = error or response.body
        except BaseException as error:
            connection.close()
            if isinstance(error, (ConnectionLost, DeadlineExceeded)):
                self._fail_over(connection.address)
            raise
        self._give_back(connection)

    # --- connections --------------------------------------------------------------------------------

    def _take(self, hurried: bool = False) -> Connection:
        """A free connection, or a new one; ``hurried``: there are others to try. Raises Unreachable."""
        if self._closed:
            raise OastError("the connection to the namenodes is closed")
        try:
            return self._free.pop()
        except IndexError:
            pass
        address = self.addresses[self._first]
        try:
            seconds = self.connect_timeout_seconds
            if hurried:
                seconds = min(seconds, PATIENCE_SECONDS)
            connection = Connection.open(address, self._encoder, seconds)
        except ConnectionLost:
            self._fail_over(address)
            raise
        self._reached = True
        return connection

    def _give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._free.append(connection)

    def _fail_over(self, address: Address) -> None:
        """Prefer the next namenode from now on, if nobody has changed over already."""
        with self._lock:
            if self.addresses[self._first] == address:
                self._first = (self._first + 1) % len(self.addresses)
                self._drop_free()

    def _drop_free(self) -> None:
        while self._free:
            try:
                self._free.pop().close()
            except IndexError:
                break

    def _abandon(self) -> None:
        """In a forked child: give up the parent's connections and begin as new."""
        inherited = self._free
        self._start()
        for connection in inherited:
            connection.close()


def _reopen(
    addresses: list[tuple[str, int]], timeout_seconds: float, connect_timeout_seconds: float
) -> RemoteMetadata:
    return RemoteMetadata(
        addresses, timeout_seconds=timeout_seconds, connect_timeout_seconds=connect_timeout_seconds
    )


def _after_fork() -> None:
    for client in list(_clients):
        client._abandon()


os.register_at_fork(after_in_child=_after_fork)
