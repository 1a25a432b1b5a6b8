"""What is measured: a filesystem of ours by URL, any HDFS, or any directory (a mount, a local disk) by path.

All offer the same few calls (``base.Target``), so one workload compares systems.
"""

from __future__ import annotations

from pathlib import Path

from oastfs.bench.targets.base import Target
from oastfs.core.errors import InvalidArgument

__all__ = ["Target", "open_target", "spread"]


def open_target(text: str, base: str) -> Target:
    """The target that a URL or a path names. Raises InvalidArgument if it is neither, Unsupported."""
    if text.startswith("hdfs://"):
        from oastfs.bench.targets.hdfs import HdfsTarget

        return HdfsTarget(text, base)
    if "://" in text:
        from oastfs.bench.targets.filesystem import FilesystemTarget

        return FilesystemTarget(text, base)
    if not Path(text).is_dir():
        raise InvalidArgument("a target is a URL or a directory", path=text)
    from oastfs.bench.targets.directory import DirectoryTarget

    return DirectoryTarget(text, base)


def spread(text: str, number: int) -> str:
    """The target of one caller: of several namenodes one, in turn, so that their load is even."""
    scheme, separator, rest = text.partition("://")
    if scheme != "oastfs":
        return text
    addresses, slash, path = rest.partition("/")
    each = addresses.split(",")
    return f"{scheme}{separator}{each[number % len(each)]}{slash}{path}"
