"""The machine, the software and the moment of a measurement, which figures mean nothing without."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from oastfs.core.version import VERSION

_PACKAGES = ("lmdb", "msgspec", "psycopg2-binary", "uvloop", "hdfs-native", "scikit-learn", "pillow")


def machine() -> dict[str, Any]:
    """What the figures were measured on, and when (UTC)."""
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "system": _system(),
        "machine": platform.machine(),
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "packages": _versions(),
        "command": ["oastfs", *sys.argv[1:]],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _field(path: str, name: str) -> str:
    """The value of the first line ``name : value``; '' if there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
