"""Telling the other namenodes that this one is there."""

from __future__ import annotations

from functools import partial

from oastfs.core.errors import OastError
from oastfs.namenode import registry
from oastfs.namenode.jobs.base import Job
from oastfs.namenode.namespace import Namespace


class Presence(Job):
    """Keeps the row of one namenode fresh. Not one of ``all_jobs``: it belongs to a server's address."""

    name = "presence"
    interval_seconds = registry.HEARTBEAT_SECONDS
    pause_after_error_seconds = registry.HEARTBEAT_SECONDS
    everywhere = True

    def __init__(self, namespace: Namespace, host: str, ports: registry.Ports) -> None:
        super().__init__(namespace)
        self._host = host
        self._ports = ports
        self._namenode_id = 0

    @property
    def namenode_id(self) -> int:
        """The id that it registered under; 0 before."""
        return self._namenode_id

    def run_once(self, now_ns: int) -> int:
        host, ports = self._host, self._ports
        if self._namenode_id:
            beat = partial(registry.beat, namenode_id=self._namenode_id, host=host, ports=ports)
            self.write(now_ns, beat)
        else:
            self._namenode_id = self.write(now_ns, partial(registry.register, host=host, ports=ports))
        return 0

    def leave(self) -> None:
        """Remove the row, when nothing beats any more."""
        namenode_id, self._namenode_id = self._namenode_id, 0
        if namenode_id:
            try:
                self.store.write(lambda tx: registry.leave(tx, namenode_id))
            except OastError:
                pass  # a store that is full must not keep it from stopping; the row grows old
