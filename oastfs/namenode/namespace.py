"""The namespace on a store in this process: every verb as a transaction.

A namenode server, the mount in direct mode, tests and benchmarks all call this. It keeps nothing
that another process could not read from the store.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, get_type_hints

import msgspec

from oastfs.core.errors import NoSuchVerb
from oastfs.core.metadata import Metadata
from oastfs.core.types import Caller
from oastfs.namenode import safe_mode
from oastfs.namenode.context import Context, Environment
from oastfs.namenode.filesystem import load_info
from oastfs.namenode.hints import Hints
from oastfs.namenode.ops import READS, operation
from oastfs.store.ids import IdAllocator
from oastfs.store.schema import FIRST_INODE_ID, RETRY, RetryEntry
from oastfs.store.transaction import Store, Transaction

_MINUTE_NS = 60 * 10**9
RETRY_MINUTES = 10
"""How long the answer of an at-most-once call is kept for a client that asks again."""
RETRY_WAIT_NS = 5 * 10**8
"""A call that waited this long is taken for one that may have been carried out elsewhere. Clients wait longer
than this before they turn to another namenode."""


_TWO_PATHS = frozenset({"rename", "link"})


class RetryKey(msgspec.Struct, frozen=True, gc=False):
    """Which call of which client. ``again``: the client may have sent it before."""

    client_id: str
    call_id: int
    again: bool


class Namespace(Metadata):
    """All verbs, carried out here. ``clock_ns`` gives nanoseconds since the epoch.

    A datanode that was not heard of for ``dead_after_seconds`` does not count as live.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        randomness: random.Random | None = None,
        owns_store: bool = False,
        dead_after_seconds: float | None = None,
    ) -> None:
        self.store = store
        self.info = load_info(store)
        self._owns_store = owns_store
        self._clock_ns = clock_ns
        self._environment = Environment(
            self.info,
            IdAllocator(store, "inode", first=FIRST_INODE_ID),
            IdAllocator(store, "block", first=1),
            (randomness or random.Random()).randrange,
            store.count,
            store.usage,
            None if store.reads_inline else Hints(),
        )
        if dead_after_seconds is not None:
            self._environment.cluster.dead_after_ns = int(dead_after_seconds * 10**9)
        self._read = store.read
        self._operations: dict[str, Callable[..., Any]] = {}

    def close(self) -> None:
        if self._owns_store:
            self.store.close()

    @property
    def hints(self) -> Hints | None:
        """What is remembered of paths, if reads cost trips."""
        return self._environment.hints

    @staticmethod
    def is_read(verb: str) -> bool:
        """Whether the verb changes nothing."""
        return verb in READS

    def context(self, caller: Caller, now_ns: int = 0) -> Context:
        """A context, at the present time unless told, for who runs operations itself (jobs, servers)."""
        return Context(caller, now_ns or self._clock_ns(), self._environment)

    def call(self, verb: str, caller: Caller, *arguments: Any) -> Any:
        function = self._operations.get(verb) or self._load(verb)
        context = Context(caller, self._clock_ns(), self._environment)
        if verb in READS:
            return self._read(lambda tx: function(tx, context, *arguments))
        return self.store.write(lambda tx: function(tx, context, *arguments))

    def submit_read(
        self,
        verb: str,
        caller: Caller,
        arguments: tuple[Any, ...],
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        """A verb that changes nothing, as ``Store.submit_read``."""
        function = self._operations.get(verb) or self._load(verb)
        context = Context(caller, self._clock_ns(), self._environment)
        self.store.submit_read(lambda tx: function(tx, context, *arguments), done)

    def submit(
        self,
        verb: str,
        caller: Caller,
        arguments: tuple[Any, ...],
        done: Callable[[Any, BaseException | None], None],
    ) -> None:
        """Carry out a mutating verb without waiting: ``done(result, error)`` comes once it is durable, from a
        thread of the store's."""
        self.store.submit(self.change(verb, caller, arguments), done)

    def change(
        self,
        verb: str,
        caller: Caller,
        arguments: tuple[Any, ...],
        retry: RetryKey | None = None,
        brief: bool = False,
    ) -> Callable[[Transaction], Any]:
        """A mutating verb, for a store to carry out. If it is to be ``brief`` it may raise TakesLongError.

        With ``retry`` the answer is kept in the same transaction, and a call that was carried out before
        is answered from there (HDFS's retry cache, in the database as in HopsFS, so that any
        namenode can answer).
        """
        function = self._operations.get(verb) or self._load(verb)
        context = Context(caller, self._clock_ns(), self._environment)
        context.brief = brief
        return self.kept(
            context,
            lambda tx: function(tx, context, *arguments),
            retry,
            msgspec.msgpack.encode,
            lambda kept: msgspec.msgpack.decode(kept, type=_result_type(verb)),
        )

    def submit_together(
        self,
        calls: Sequence[tuple[str, Caller, tuple[Any, ...], Callable[[Any, BaseException | None], None]]],
    ) -> None:
        """``submit`` of each (verb, caller, arguments, done), by a thread that may be made to do the work.

        See ``Store.submit_together``.
        """
        jobs: list[Any] = []
        for verb, caller, arguments, done in calls:
            function = self._operations.get(verb) or self._load(verb)
            context = Context(caller, self._clock_ns(), self._environment)
            jobs.append((partial(_carry_out, function, context, arguments), done))
        self.store.submit_together(jobs)

    def kept(
        self,
        context: Context,
        operation: Callable[[Transaction], Any],
        retry: RetryKey | None,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
    ) -> Callable[[Transaction], Any]:
        """An operation whose answer is kept, as in ``change``, as what ``encode`` makes of it."""
        if retry is None:
            return operation
        begun = False

        def once(tx: Transaction) -> Any:
            nonlocal begun
            # After a long wait the client may have given up on us, and asked another namenode; and what
            # this transaction was in conflict with, if it is run again, may be just that.
            again = retry.again or begun or self._clock_ns() - context.now_ns > RETRY_WAIT_NS
            begun = True
            if again and (kept := _find_kept(tx, retry, context.now_ns)) is not None:
                return decode(kept.response)
            result = operation(tx)
            minute = context.now_ns // _MINUTE_NS + RETRY_MINUTES
            kept = RetryEntry(encode(result), (minute + 1) * _MINUTE_NS)
            tx.put(RETRY, (minute, retry.client_id, retry.call_id), kept)
            return result

        return once

    def _load(self, verb: str) -> Callable[..., Any]:
        if verb.startswith("_") or verb in ("call", "close") or not callable(getattr(Metadata, verb, None)):
            raise NoSuchVerb(f"no such verb: {verb}")
        function = operation(verb)
        if verb not in READS and verb not in safe_mode.ALLOWED:
            function = _held_up_in_safe_mode(verb, function)
        self._operations[verb] = function
        return function


def _carry_out(
    function: Callable[..., Any], context: Context, arguments: tuple[Any, ...], tx: Transaction
) -> Any:
    return function(tx, context, *arguments)


def _held_up_in_safe_mode(verb: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(tx: Transaction, context: Context, *arguments: Any) -> Any:
        if (hints := context.environment.hints) is not None:
            paths = arguments[: 2 if verb in _TWO_PATHS else 1]
            if all(isinstance(path, str) for path in paths):
                hints.expect(tx, *paths)
        safe_mode.require_off(tx, verb, arguments[0] if arguments else "")
        return function(tx, context, *arguments)

    return guarded


def _find_kept(tx: Transaction, retry: RetryKey, now_ns: int) -> RetryEntry | None:
    first = now_ns // _MINUTE_NS
    keys = [(minute, retry.client_id, retry.call_id) for minute in range(first, first + RETRY_MINUTES + 2)]
    return next((row for row in tx.get_many(RETRY, keys) if row is not None), None)


def _result_type(verb: str) -> Any:
    return get_type_hints(getattr(Metadata, verb))["return"]
