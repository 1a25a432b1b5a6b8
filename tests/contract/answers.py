"""What a store tells of operations that were submitted."""

from __future__ import annotations

import threading
from typing import Any


class Answers:
    """Collects the callbacks of ``submit``."""

    def __init__(self, count: int) -> None:
        self.got: list[tuple[Any, BaseException | None]] = []
        self.all = threading.Event()
        self._count = count

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.got.append((result, error))
        if len(self.got) == self._count:
            self.all.set()
