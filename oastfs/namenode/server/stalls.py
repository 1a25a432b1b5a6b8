"""Telling that this process stood still: calls may have lain unread and been carried out elsewhere."""

from __future__ import annotations

from typing import Final

from oastfs.namenode.namespace import RETRY_WAIT_NS

_STALLED_NS: Final = 10**9
"""How long after a stall the calls that come are taken for old ones."""


class StallWatch:
    """Told of each write as it comes, on the event loop's thread."""

    __slots__ = ("_stalled_until_ns", "_wrote_ns")

    def __init__(self) -> None:
        self._wrote_ns = 0
        self._stalled_until_ns = 0

    def is_stalled(self, now_ns: int) -> bool:
        """Whether calls may have lain unread while this process stood still (or had no writes, just as well).

        Their clients may have had them carried out by another namenode meanwhile.
        """
        if now_ns - self._wrote_ns > RETRY_WAIT_NS:
            self._stalled_until_ns = now_ns + _STALLED_NS
        self._wrote_ns = now_ns
        return now_ns < self._stalled_until_ns
