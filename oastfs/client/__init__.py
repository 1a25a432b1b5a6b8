"""The Python client: ``connect(url)`` gives a ``Filesystem``; ``open`` on it gives file objects.

It stands on ``core.metadata.Metadata``: namenodes over the wire, or the namespace in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oastfs.client.file import OpenFile
    from oastfs.client.filesystem import Filesystem, connect

__all__ = ["Filesystem", "OpenFile", "connect"]

_HOMES = {"Filesystem": "filesystem", "connect": "filesystem", "OpenFile": "file"}


def __getattr__(name: str) -> Any:
    # Loaded at first use: the command starts faster without.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
