"""What the RPC server asks of the protocols it carries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from oastfs.wire.hadoop_rpc import Request

if TYPE_CHECKING:
    from oastfs.namenode.server.connection import RpcConnection


class Handler(ABC):
    """Carries out the methods of one protocol name. Called on the event loop: it must not wait."""

    @abstractmethod
    def handle(self, request: Request, connection: RpcConnection) -> bytes | None:
        """The encoded answer of a call, or an exception that ``describe`` knows.

        None if it is answered later: then ``connection.begin`` was called, and ``connection.answer`` or
        ``fail`` and ``end`` follow on the loop's thread.
        """

    @abstractmethod
    def describe(self, error: BaseException) -> tuple[str, str]:
        """(exception class, message) as this protocol's clients understand them."""
