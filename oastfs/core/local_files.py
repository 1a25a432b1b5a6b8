"""Asking what the local filesystem has, where an error must not be taken for a "no".

From Python 3.14 on ``pathlib`` says so whatever goes wrong: of a disk that fails, or a mount that has died.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_ABSENT = (FileNotFoundError, NotADirectoryError)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file. Raises OSError if that cannot be told."""
    return _mode_of(path) is not None


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether that is a directory, or a link to one. Raises OSError if that cannot be told."""
    mode = _mode_of(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode_of(path: str | os.PathLike[str]) -> int | None:
    try:
        return Path(path).stat().st_mode
    except _ABSENT:
        return None
