"""One change that somebody wants made, and its outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from oastfs.store.transaction import Transaction

Operation = Callable[[Transaction], Any]
Done = Callable[[Any, BaseException | None], None]

_log = logging.getLogger(__name__)


class Job:
    """One queued operation: answered through ``done``, or a thread waits for ``answered``.

    ``returns``: whoever gets the answer is likely to queue another one, and may be worth waiting for.
    """

    __slots__ = ("answered", "done", "error", "operation", "result", "returns")

    def __init__(self, operation: Operation, done: Done | None = None, returns: bool = True) -> None:
        self.operation = operation
        self.done = done
        self.returns = returns
        self.answered: Any = None
        self.result: Any = None
        self.error: BaseException | None = None

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result

    def tell(self) -> None:
        """Answer through ``done``."""
        assert self.done is not None
        try:
            self.done(self.result, self.error)
        except Exception:
            _log.exception("a callback of submit failed")


def nothing(tx: Transaction) -> None:
    """An operation for the sake of having had a group."""
