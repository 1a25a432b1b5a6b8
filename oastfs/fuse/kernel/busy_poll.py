"""poll(2) that looks again and again for a moment before it goes to sleep.

A lone caller who was just answered often asks again within some ten microseconds. To have fallen asleep by
then, and be woken by another processor, takes longer than most requests, more so in a virtual machine. So
after an event that came soon the next one is awaited awake; after one that did not, asleep, until one comes
soon again. Between looks the processor is offered to whoever wants it.

Where several ask in turn there is nearly always something to do, and they need the processors themselves.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final

AWAKE_SECONDS: Final = 0.0001
"""What comes within so long came soon."""
_clock = time.perf_counter


class BusyPoll:
    """Waits for events of a poll object."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll.poll
        self._soon = False

    def wait(self, lone_caller: bool) -> None:
        """Return once there is an event."""
        poll, until = self._poll, _clock() + AWAKE_SECONDS
        if self._soon and lone_caller:
            while _clock() < until:
                if poll(0):
                    return
                os.sched_yield()
        poll()
        self._soon = _clock() < until
