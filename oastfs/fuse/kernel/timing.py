"""How many requests of each kind a mount had, and how long they took while somebody watches.

To count one costs less than a tenth of a microsecond; to time one costs several times that, so it is done
only for some seconds after the figures were asked for.
"""

from __future__ import annotations

import time
from typing import Any, Final

from oastfs.fuse.kernel.protocol import Opcode

KINDS: Final = 64
"""Above all opcodes."""
WATCHED_SECONDS: Final = 15.0
_UNANSWERED: Final = frozenset({Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT})


class Timing:
    """Figures of one mount. ``counts`` is added to by the loop that reads requests."""

    def __init__(self) -> None:
        self.counts = [0] * KINDS
        self.watching = False
        self._until = 0.0
        self._begun: dict[int, tuple[int, int]] = {}
        self._timed = [0] * KINDS
        self._took_ns = [0] * KINDS

    def begin(self, unique: int, opcode: int) -> None:
        """A request was read, while somebody watches."""
        now = time.perf_counter_ns()
        if now > self._until * 1e9:
            self.watching = False
            self._begun.clear()
        elif opcode not in _UNANSWERED:
            self._begun[unique] = (opcode, now)

    def end(self, unique: int) -> None:
        """It was answered."""
        begun = self._begun.pop(unique, None)
        if begun is not None:
            opcode, started_ns = begun
            self._timed[opcode] += 1
            self._took_ns[opcode] += time.perf_counter_ns() - started_ns

    def figures(self) -> dict[str, Any]:
        """By name of the request: how many there were, how many of them were timed, and what those took.

        Whoever asks watches for a while from now on.
        """
        self._until = time.perf_counter() + WATCHED_SECONDS
        self.watching = True
        return {
            one.name.lower(): {
                "count": self.counts[one],
                "timed": self._timed[one],
                "seconds": self._took_ns[one] / 1e9,
            }
            for one in Opcode
            if one < KINDS and self.counts[one]
        }
