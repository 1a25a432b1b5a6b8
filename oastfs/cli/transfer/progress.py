"""A progress bar on stderr, for transfers that take long and a person who watches."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

QUIET_SECONDS = 1.0
"""A transfer that is over by then shows nothing."""


class ProgressBar:
    """Counts files and bytes; shows a bar if it is on a terminal and it takes long."""

    def __init__(self, title: str, shown: bool = True) -> None:
        self._title = title
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._files = [0, 0]  # copied, found
        self._bytes = [0, 0]
        self._wanted = shown and sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def found(self, files: int, size_bytes: int) -> None:
        """More to copy."""
        with self._lock:
            self._files[1] += files
            self._bytes[1] += size_bytes
            self._show()

    def moved(self, files: int, size_bytes: int) -> None:
        """More copied."""
        with self._lock:
            self._files[0] += files
            self._bytes[0] += size_bytes
            self._show()

    def _show(self) -> None:
        if not self._wanted:
            return
        if self._bar is None:
            if time.monotonic() - self._began < QUIET_SECONDS:
                return
            self._start()
        self._bar.update(
            self._task,
            completed=self._bytes[0],
            total=max(self._bytes[1], self._bytes[0], 1),
            files=f"{self._files[0]}/{self._files[1]} files",
        )

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TextColumn("{task.fields[files]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._title, total=1, files="")
        self._bar.start()
