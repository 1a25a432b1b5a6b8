"""Keeping passwords out of what is shown: messages, logs, lists of mounts."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(://[^:/@]*):[^/]*@")


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return _PASSWORD.sub(r"\1:***@", url)
