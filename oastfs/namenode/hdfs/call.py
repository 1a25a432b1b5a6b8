"""What a call is told besides its request: who asks from where, and what this namenode is called."""

from __future__ import annotations

from typing import NamedTuple

from oastfs.namenode.context import Context
from oastfs.namenode.hdfs.names import Names


class Address(NamedTuple):
    """Where a server is reached."""

    host: str
    port: int


class Call:
    """One call. ``server`` is this namenode's address as the client reached it."""

    __slots__ = ("client_host", "context", "names", "server")

    def __init__(self, context: Context, names: Names, client_host: str, server: Address) -> None:
        self.context = context
        self.names = names
        self.client_host = client_host
        self.server = server
