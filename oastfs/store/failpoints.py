"""Named places at which a test may have this process die, stop or fail.

``OASTFS_FAILPOINTS="two-phase.decided=kill"`` arms one in a process that is started so; ``arm`` does in
this one. Actions: ``kill`` (SIGKILL to itself), ``stop`` (SIGSTOP), ``sleep:SECONDS``, ``raise``; once. With
``@N`` behind the name, the first N - 1 times pass. What is not armed costs a look at an empty dictionary.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

TWO_PHASE: Final = (
    "two-phase.begun",
    "two-phase.prepared-one",
    "two-phase.prepared",
    "two-phase.decided",
    "two-phase.finished-one",
    "two-phase.finished",
    "two-phase.forgotten",
)
"""Between the steps of a commit on several shards, in their order."""
RECOVERY: Final = ("recovery.found", "recovery.decided", "recovery.finished")
"""Between the steps of settling what somebody else left in doubt."""
NAMES: Final = frozenset(TWO_PHASE + RECOVERY)


class Failed(RuntimeError):
    """What the action ``raise`` raises."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail() -> None:
    raise Failed("a failure point was reached")


_ACTIONS: Final[dict[str, Callable[[], None]]] = {"kill": _kill, "stop": _stop, "raise": _fail}


class _Armed:
    def __init__(self, action: Callable[[], None], passes: int) -> None:
        self.action = action
        self.passes = passes


_armed: dict[str, _Armed] = {}


def reach(name: str) -> None:
    """This place is reached."""
    if _armed and (armed := _armed.get(name)) is not None:
        if armed.passes > 0:
            armed.passes -= 1
            return
        del _armed[name]  # whoever goes on passes the next time
        armed.action()


def arm(name: str, action: str | Callable[[], None]) -> None:
    """Have ``reach(name)`` do this. Raises ValueError for what is not known."""
    name, _, time_of = name.partition("@")
    if name not in NAMES:
        raise ValueError(f"there is no failure point {name!r}")
    if isinstance(action, str):
        kind, _, seconds = action.partition(":")
        if kind == "sleep":
            action = _sleeping(float(seconds))
        elif kind in _ACTIONS:
            action = _ACTIONS[kind]
        else:
            raise ValueError(f"a failure point does not {action!r}")
    _armed[name] = _Armed(action, int(time_of or 1) - 1)


def _sleeping(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def disarm() -> None:
    """Nothing happens anywhere any more."""
    _armed.clear()


for _one in filter(None, os.environ.get("OASTFS_FAILPOINTS", "").split(",")):
    arm(*_one.split("=", 1))
