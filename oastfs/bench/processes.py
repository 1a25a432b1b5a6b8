"""CPU time of OastFS's processes on this machine, read from /proc, so that cost per operation can be told."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PARTS = ("namenode", "datanode", "mount")
_HADOOP = {
    "org.apache.hadoop.hdfs.server.namenode.NameNode": "hdfs-namenode",
    "org.apache.hadoop.hdfs.server.datanode.DataNode": "hdfs-datanode",
}
"""Apache HDFS's servers on the same machine, for comparisons."""


def find_parts() -> dict[int, str]:
    """Process ids of running namenodes, datanodes and mounts, ours and HDFS's, with what they are."""
    found: dict[int, str] = {}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            arguments = (directory / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue  # it ended meanwhile, or is not ours to see
        part = next((name for name in PARTS if name in arguments), None)
        if part and any(argument.endswith("oastfs") or argument == "oastfs.cli" for argument in arguments):
            found[int(directory.name)] = part
        elif hadoop := next((_HADOOP[name] for name in arguments if name in _HADOOP), None):
            found[int(directory.name)] = hadoop
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used; 0.0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def memory_bytes(pid: int) -> int:
    """Resident memory of a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class CpuMeter:
    """How much CPU time each part uses between construction and ``used``."""

    def __init__(self) -> None:
        self._parts = find_parts()
        self._before = {pid: cpu_seconds(pid) for pid in self._parts}

    def used(self) -> dict[str, float]:
        """Seconds by part, summed over its processes."""
        total: dict[str, float] = {}
        for pid, part in self._parts.items():
            # One that ended meanwhile tells nothing any more.
            total[part] = total.get(part, 0.0) + max(0.0, cpu_seconds(pid) - self._before[pid])
        return {part: seconds for part, seconds in total.items() if seconds}
