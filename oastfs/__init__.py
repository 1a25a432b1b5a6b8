"""OastFS: a distributed filesystem with its metadata in a transactional database.

One namespace, four faces: a POSIX mount, the ``hdfs://`` protocol, fsspec and a Python client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oastfs.core.version import VERSION as __version__

if TYPE_CHECKING:
    from oastfs.client import Filesystem, connect

__all__ = ["Filesystem", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    # Loaded at first use: servers and the command do without.
    if name not in ("Filesystem", "connect"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from oastfs import client

    return getattr(client, name)
