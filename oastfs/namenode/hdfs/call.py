"""What a call is told besides its request: who asks from where, and what this namenode is called."""

from __future__ import annotations

from typing import NamedTuple

from oastfs.namenode import storage_policies
from oastfs.namenode.context import Context
from oastfs.namenode.hdfs.names import Names
from oastfs.store.transaction import Transaction


class Address(NamedTuple):
    """Where a server is reached."""

    host: str
    port: int


class Call:
    """One call. ``server`` is this namenode's address as the client reached it."""

    __slots__ = ("_inherited", "_policies_in_use", "client_host", "context", "names", "server")

    def __init__(self, context: Context, names: Names, client_host: str, server: Address) -> None:
        self.context = context
        self.names = names
        self.client_host = client_host
        self.server = server
        self._policies_in_use: bool | None = None
        self._inherited: dict[int, int] = {}

    def policies_in_use(self, tx: Transaction) -> bool:
        """Whether the filesystem has storage policies; a listing asks for each of its entries."""
        if self._policies_in_use is None:
            self._policies_in_use = storage_policies.in_use(tx)
        return self._policies_in_use

    def inherited_policy(self, tx: Transaction, directory_id: int) -> int:
        """Id of the storage policy that holds in a directory, 0 if none was set."""
        found = self._inherited.get(directory_id)
        if found is None:
            found = self._inherited[directory_id] = storage_policies.inherited_id(tx, directory_id)
        return found
