"""The table of ClientProtocol's calls. Modules of ``calls/`` fill it by declaring functions.

A function ``(tx, call, request) -> answer`` is given the decoded request and answers a protobuf message, or
its bytes. It may run again after a conflict, so it keeps nothing outside of its transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from oastfs.namenode.hdfs.call import Call
from oastfs.store.transaction import Transaction
from oastfs.wire.texts import Check, checks_of

Answer = Message | bytes
Function = Callable[[Transaction, Call, Any], Answer]
F = TypeVar("F", bound=Function)


_PATHS: Final = ("src", "dst", "path")


@dataclass(frozen=True)
class Method:
    """One call. ``reads``: it changes nothing. ``long``: a read that may take more than milliseconds.

    ``at_most_once``: what it answered is kept for a client that asks again (HDFS's retry cache).
    """

    name: str
    request: type[Message]
    function: Function
    reads: bool
    at_most_once: bool = False
    long: bool = False
    path_fields: tuple[str, ...] = field(init=False)
    """Fields of the request that are paths."""
    checks: tuple[Check, ...] = field(init=False)
    """Checks of the request's other texts."""

    def __post_init__(self) -> None:
        descriptor = self.request.DESCRIPTOR
        paths = tuple(name for name in _PATHS if name in descriptor.fields_by_name)
        object.__setattr__(self, "path_fields", paths)
        object.__setattr__(self, "checks", checks_of(descriptor, paths))


METHODS: Final[dict[str, Method]] = {}


def read(name: str, request: type[Message], *, long: bool = False) -> Callable[[F], F]:
    """Declare a call that changes nothing."""

    def declare(function: F) -> F:
        METHODS[name] = Method(name, request, function, True, long=long)
        return function

    return declare


def write(name: str, request: type[Message], *, at_most_once: bool = False) -> Callable[[F], F]:
    """Declare a call that changes something. Calls that may simply be repeated need no ``at_most_once``."""

    def declare(function: F) -> F:
        METHODS[name] = Method(name, request, function, False, at_most_once)
        return function

    return declare
