"""How the mount's operations wait: they yield what has to be waited for, and a driver does it.

An operation that may have to wait is a generator. It yields a ``Change`` (a verb that is answered once it is
durable) or a ``Wait`` (a function that blocks, such as reading from a datanode), is sent the result, or has
the error thrown into it. ``run`` carries one out in the calling thread; the kernel binding instead submits
changes to the store's group commit and goes on when the callback comes, so that no thread waits.

What follows a ``Change`` may therefore run on the store's own thread: it must neither read the store nor take
a lock that somebody may hold while waiting for the store (that of an ``OpenFile``). A ``Wait`` is for that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from oastfs.core.metadata import Metadata
from oastfs.core.types import Caller

T = TypeVar("T")


class Change:
    """A verb of the namespace, with its arguments in the order of ``core.metadata``.

    It changes something, or it asks and is not waited for (``Shared.asks_later``).
    """

    __slots__ = ("arguments", "caller", "verb")

    def __init__(self, verb: str, caller: Caller, *arguments: Any) -> None:
        self.verb = verb
        self.caller = caller
        self.arguments = arguments


class Wait:
    """A function that may block."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function


Operation = Generator["Change | Wait", Any, T]
"""An operation that ends with a T."""


def run(metadata: Metadata, operation: Operation[T]) -> T:
    """Carry an operation out here and now."""
    try:
        step = next(operation)
        while True:
            try:
                if type(step) is Change:
                    value = metadata.call(step.verb, step.caller, *step.arguments)
                else:
                    value = step.function()  # type: ignore[union-attr]
            except Exception as error:
                step = operation.throw(error)
            else:
                step = operation.send(value)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
