"""An event that happens once and that hardly anybody waits for."""

from __future__ import annotations

import threading


class Latch:
    """As ``threading.Event`` without ``clear``. Its lock is made for the first who waits: most have none."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Let all go on who wait now or later."""
        self._is_set = True
        with _making:
            event = self._event
        if event is not None:
            event.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it is set by then."""
        with _making:
            if self._is_set:
                return True
            if self._event is None:
                self._event = threading.Event()
        return self._event.wait(timeout_seconds)


_making = threading.Lock()
"""Held for an instant. ``set`` takes it after the flag is set: who makes an event before is seen, who comes
after sees the flag."""
