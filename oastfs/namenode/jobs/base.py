"""What all jobs have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

from oastfs.core.types import SUPERUSER
from oastfs.namenode import safe_mode
from oastfs.namenode.context import Context
from oastfs.namenode.namespace import Namespace
from oastfs.store.transaction import Transaction

T = TypeVar("T")


class Job(ABC):
    """One kind of background work. Reads no clock: the time comes with each step."""

    name: ClassVar[str]
    interval_seconds: ClassVar[float]
    """How long to wait when a step found nothing to do."""
    pause_after_error_seconds: ClassVar[float] = 10.0
    everywhere: ClassVar[bool] = False
    """Every namenode runs it. Else the leader does: it looks after the whole store."""
    waits_in_safe_mode: ClassVar[bool] = False
    """It deletes or moves data, or closes files."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.store = namespace.store

    def is_held_up(self) -> bool:
        """Whether safe mode keeps it from running now."""
        return self.waits_in_safe_mode and self.store.read(safe_mode.is_on)

    @abstractmethod
    def run_once(self, now_ns: int) -> int:
        """Do one bounded step; how much was done. 0: there is nothing more to do for now."""

    def run_all(self, now_ns: int) -> int:
        """Steps until there is nothing more to do; how much was done."""
        total = 0
        while done := self.run_once(now_ns):
            total += done
        return total

    def context(self, now_ns: int) -> Context:
        """A superuser's context at ``now_ns``."""
        return self.namespace.context(SUPERUSER, now_ns)

    def write(self, now_ns: int, operation: Callable[[Transaction, Context], T]) -> T:
        """Run as a transaction."""
        context = self.context(now_ns)
        return self.store.write(lambda tx: operation(tx, context))
