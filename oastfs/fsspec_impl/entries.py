"""The dictionaries by which fsspec describes files, made from ``FileStatus``."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from typing import Any

from oastfs.core.types import FileStatus

Info = dict[str, Any]

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def info_of(path: str, status: FileStatus) -> Info:
    """One entry. ``size`` is in bytes, ``mtime`` and ``created`` are seconds since the epoch.

    ``created`` is the time of the last change of the inode (``st_ctime``), the nearest that there is.
    """
    return {
        "name": path,
        "size": status.length,
        "type": _KINDS.get(status.mode & 0o170000, "other"),
        "created": status.ctime_ns / 1e9,
        "islink": False,
        "mode": status.mode,
        "uid": status.uid,
        "gid": status.gid,
        "mtime": status.mtime_ns / 1e9,
        "ino": status.inode_id,
        "nlink": status.nlink,
    }


def through_link(path: str, target: FileStatus | OSError, link: FileStatus) -> Info:
    """A symbolic link, described as what it leads to; as ``link`` if that is nothing."""
    info = info_of(path, link if isinstance(target, OSError) else target)
    info["islink"] = True
    return info


def datetime_of(time_ns: int) -> datetime:
    """A time in UTC, to the microsecond."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)
