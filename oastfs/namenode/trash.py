"""How long removed things stay in the trash: two settings of the filesystem, in minutes.

Hadoop's clients move what they remove to ``/user/USER/.Trash/Current``, if the namenode says that there is a
trash (a deletion interval above 0). What a namenode has to do is the job in ``jobs/trash.py``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from oastfs.core.errors import InvalidArgument
from oastfs.store.schema import SETTING, Setting
from oastfs.store.transaction import Transaction

_INTERVAL: Final = ("trash_interval_minutes",)
_CHECKPOINT: Final = ("trash_checkpoint_interval_minutes",)
MINUTES_MAX: Final = 1 << 31


class Trash(NamedTuple):
    """``interval``: minutes until a checkpoint is deleted (0: no trash). ``checkpoint_interval``: between
    checkpoints (0: as ``interval``)."""

    interval: int
    checkpoint_interval: int

    @property
    def period(self) -> int:
        """Minutes between checkpoints: never more than until they are deleted (Hadoop's emptier)."""
        return min(self.checkpoint_interval or self.interval, self.interval)


def settings(tx: Transaction) -> Trash:
    """What holds now."""
    interval, checkpoint = tx.get_many(SETTING, [_INTERVAL, _CHECKPOINT])
    return Trash(int(interval.value) if interval else 0, int(checkpoint.value) if checkpoint else 0)


def change(tx: Transaction, interval: int | None, checkpoint_interval: int | None) -> None:
    """Set one or both; None leaves one as it is. Raises InvalidArgument."""
    for key, minutes in ((_INTERVAL, interval), (_CHECKPOINT, checkpoint_interval)):
        if minutes is None:
            continue
        if not 0 <= minutes <= MINUTES_MAX:
            raise InvalidArgument(f"an interval of the trash is 0 or more minutes, not {minutes}")
        tx.put(SETTING, key, Setting(str(minutes)))
