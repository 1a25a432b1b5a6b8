"""A last deadline for each test, for those that its own one cannot end.

A test that runs out of time is told by a signal, which Python hears between two instructions: one that waits
in the kernel for a mount that does not answer, or in C for a lock, never does, and the run waits with it.
So some time later a thread that needs nothing from Python writes all threads' stacks and ends the process.
xdist reports the test as failed and goes on in a new process; the reaper ends what the old one had started.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import Protocol

import pytest

GRACE_SECONDS = 60.0
"""For a test that was told in time: its fixtures are still to be torn down."""


class TimeoutSettings(Protocol):
    """What pytest-timeout knows of a test."""

    timeout: float


class LastDeadline:
    """A plugin beside pytest-timeout, whose deadlines it extends."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        # Its own: pytest puts a file in the place of standard error while a test runs.
        self._stderr = os.dup(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self._stderr)

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, settings: TimeoutSettings) -> None:
        seconds = settings.timeout + self._grace_seconds
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._stderr)

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_cancel_timer(self) -> None:
        faulthandler.cancel_dump_traceback_later()
