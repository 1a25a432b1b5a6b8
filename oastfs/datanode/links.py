"""The namenodes that a datanode talks to: those named at its start, and those that these know of.

Each answer to a heartbeat names all namenodes that live. One that is new is registered with; one that was
found so, does not answer and is not named any more is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import structlog

from oastfs.datanode.namenodes import NamenodeLink
from oastfs.datanode.reporter import Registered
from oastfs.wire.proto import control_pb2 as pb

log = structlog.get_logger(__name__)

Told = Iterable[pb.NamenodeAddress]


class NamenodeLinks:
    """Safe to use from many threads. ``make`` gives a link to a control address, and is told whom to tell."""

    def __init__(self, make: Callable[[str, Callable[[Told], None]], NamenodeLink]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._given: list[NamenodeLink] = []
        self._found: list[NamenodeLink] = []
        self._stopped = False

    def start(self, addresses: Sequence[str]) -> None:
        """Begin with these."""
        with self._lock:
            for address in addresses:
                self._begin(address, self._given)

    def stop(self) -> None:
        """Send no more heartbeats."""
        with self._lock:
            self._stopped = True
            links = self._all()
        for link in links:
            link.stop()

    def registered(self) -> list[Registered]:
        """Those that answer."""
        return [found for link in self._all() if (found := link.registered) is not None]

    def find(self, client_address: str) -> str | None:
        """Where clients reach the namenode that names itself so."""
        found = (link.reach(client_address) for link in self._all())
        return next((reached for reached in found if reached is not None), None)

    def _all(self) -> list[NamenodeLink]:
        return self._given + self._found

    def _begin(self, address: str, among: list[NamenodeLink]) -> None:
        link = self._make(address, self._told)
        among.append(link)  # first: once it has registered it is looked for here
        link.start()

    def _told(self, namenodes: Told) -> None:
        """Called on a link's thread."""
        named = {one.control_address: one.client_address for one in namenodes}
        with self._lock:
            if self._stopped:
                return
            for link in list(self._found):
                gone = link.address not in named and link.registered is None
                twice = any(one.client_address == link.client_address != "" for one in self._given)
                if gone or twice:
                    log.info("a namenode is left", namenode=link.address)
                    self._found.remove(link)
                    link.retire()
            known = {link.address for link in self._all()} | {link.client_address for link in self._all()}
            for control_address, client_address in named.items():
                if known.isdisjoint((control_address, client_address)):
                    log.info("another namenode", namenode=control_address)
                    self._begin(control_address, self._found)
