"""CPU time, memory, disk and database trips of the servers on this machine: what an operation costs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oastfs.bench.targets import Target
from oastfs.bench.targets.base import Servers, database_address, local_ports

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
PARTS = ("namenode", "datanode", "mount")
CALLERS = "callers"
_LISTENING = "0A"
_HADOOP = {
    "org.apache.hadoop.hdfs.server.namenode.NameNode": "hdfs-namenode",
    "org.apache.hadoop.hdfs.server.datanode.DataNode": "hdfs-datanode",
}
_PROGRAMS = {
    "postgres": "postgresql",
    "juicefs": "juicefs",
    "weed": "seaweedfs",
    "redis-server": "redis",
    "glusterfs": "glusterfs",
    "glusterfsd": "glusterfs",
    "mfsmaster": "moosefs-master",
    "mfschunkserver": "moosefs-chunkserver",
    "mfsmount": "moosefs-mount",
    "ceph-mds": "ceph-mds",
    "ceph-osd": "ceph-osd",
    "ceph-mon": "ceph-mon",
    "ceph-fuse": "ceph-fuse",
}
"""Servers and mounts of other systems, by the name of their program, for comparisons."""


@dataclass
class ProcessUse:
    """What one process used, or all of a part that are many (``pid`` 0)."""

    part: str
    pid: int
    cpu_seconds: float
    memory_bytes: int


@dataclass
class Usage:
    """What a phase took besides time. None: it cannot be known."""

    processes: list[ProcessUse] = field(default_factory=list)
    trips: int | None = None
    disk_bytes: int | None = None
    """Space that the target takes on disk afterwards."""
    disk_growth_bytes: int | None = None
    disks: dict[str, int] = field(default_factory=dict)
    """Growth of the directories that were asked for."""

    def add_callers(self, cpu_seconds: float, memory_bytes: int) -> None:
        """The load generator's own processes."""
        self.processes.append(ProcessUse(CALLERS, 0, cpu_seconds, memory_bytes))

    def cpu_seconds(self) -> dict[str, float]:
        """By part, those that used any."""
        total: dict[str, float] = {}
        for process in self.processes:
            total[process.part] = total.get(process.part, 0.0) + process.cpu_seconds
        return {part: seconds for part, seconds in total.items() if seconds}


def part_of(arguments: Sequence[str]) -> str | None:
    """What a process with this command line is; None if it is of no interest."""
    if any(argument.endswith("/oastfs") or argument in ("oastfs", "oastfs.cli") for argument in arguments):
        return next((name for name in PARTS if name in arguments), None)
    if hadoop := next((_HADOOP[name] for name in arguments if name in _HADOOP), None):
        return hadoop
    # PostgreSQL's processes say what they do: "postgres: checkpointer".
    program = arguments[0].partition(" ")[0].rstrip(":").rpartition("/")[2] if arguments else ""
    return _PROGRAMS.get(program)


def find_servers(servers: Servers, watch: Sequence[str] = ()) -> dict[int, str]:
    """Process ids on this machine, with what they are: of a target's servers, and of what is ``watch``ed.

    Servers are those who listen on the ports, and mounts on the mount point, with all their children; with
    namenodes come the databases that their command lines name, with one of Apache HDFS all its datanodes.
    ``watch`` holds pieces of command lines.
    """
    commands = _commands()
    roots = _listeners(servers.ports, commands)
    databases = [
        database_address(word)
        for pid in roots
        for word in commands[pid][1]
        if word.startswith("postgresql") and "://" in word
    ]
    roots |= _listeners(local_ports(databases), commands)
    if servers.mount_point:
        roots |= {
            pid for pid, (_, words) in commands.items() if servers.mount_point in words and part_of(words)
        }
    if any(part_of(commands[pid][1]) in _HADOOP.values() for pid in roots):
        roots |= {pid for pid, (_, words) in commands.items() if part_of(words) in _HADOOP.values()}
    found = {}
    for pid, (_, words) in commands.items():
        text = " ".join(words)
        watched = next((piece for piece in watch if piece in text and pid != os.getpid()), None)
        if watched is not None:
            found[pid] = part_of(words) or watched
        elif (root := _root_of(pid, commands, roots)) is not None:
            found[pid] = part_of(commands[root][1]) or commands[root][1][0].rpartition("/")[2]
    return found


def _commands() -> dict[int, tuple[int, list[str]]]:
    """(parent, words of the command line) of each process that has one."""
    found: dict[int, tuple[int, list[str]]] = {}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            words = (directory / "cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        if words[0]:
            found[int(directory.name)] = (parent, words)
    return found


def _root_of(pid: int, commands: dict[int, tuple[int, list[str]]], roots: set[int]) -> int | None:
    """The process itself or one above it that is among ``roots``."""
    while pid in commands:
        if pid in roots:
            return pid
        pid = commands[pid][0]
    return None


def _listeners(ports: Collection[int], pids: Iterable[int]) -> set[int]:
    """Those of the processes that wait for connections on one of the ports."""
    sockets = _listening_sockets(ports) if ports else set()
    return {pid for pid in pids if sockets and not sockets.isdisjoint(_sockets_of(pid))}


def _listening_sockets(ports: Collection[int]) -> set[str]:
    """Sockets that wait for connections on these ports, as links in /proc show them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue  # no IPv6
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) in ports:
                found.add(f"socket:[{fields[9]}]")
    return found


def _sockets_of(pid: int) -> set[str]:
    try:
        return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()  # it ended meanwhile, or is not ours to see


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used; 0.0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def memory_bytes(pid: int) -> int:
    """Memory of a process, its share of what it has in common with others; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        pass  # not ours to see in detail
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def tree_bytes(directory: str) -> int:
    """Space that a directory's files take on its disk."""
    total = 0
    for above, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(f"{above}/{name}").st_blocks * 512
            except OSError:
                continue  # removed meanwhile
    return total


class Meter:
    """What is used between construction and ``read``, by the target's servers and by those watched."""

    def __init__(self, target: Target, disks: Sequence[str] = (), watch: Sequence[str] = ()) -> None:
        self._target = target
        self._watch = watch
        self._disks = {directory: tree_bytes(directory) for directory in disks}
        self._disk_bytes = target.disk_bytes()
        self._trips = target.server_trips()
        self._places = target.servers()
        self._before = {pid: cpu_seconds(pid) for pid in self._servers()}

    def read(self) -> Usage:
        """Of every process that is there now, one that was started meanwhile included."""
        processes = [
            ProcessUse(part, pid, used, memory_bytes(pid))
            for pid, part in sorted(self._servers().items())
            if (used := round(cpu_seconds(pid) - self._before.get(pid, 0.0), 3)) > 0
        ]
        trips, disk_bytes = self._target.server_trips(), self._target.disk_bytes()
        return Usage(
            processes=processes,
            trips=None if trips is None or self._trips is None else trips - self._trips,
            disk_bytes=disk_bytes,
            disk_growth_bytes=None
            if disk_bytes is None or self._disk_bytes is None
            else disk_bytes - self._disk_bytes,
            disks={directory: tree_bytes(directory) - before for directory, before in self._disks.items()},
        )

    def _servers(self) -> dict[int, str]:
        return find_servers(self._places, self._watch)
