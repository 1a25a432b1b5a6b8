"""What a datanode is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DatanodeConfig:
    """Configuration of one datanode process.

    ``volumes`` are directories, each best on a disk of its own; they are made if they do not exist.
    ``namenodes`` are control addresses (``host:port``); a datanode without any only serves what it has.
    ``local_socket`` is the path of the Unix socket for clients beside it; None for no socket.
    """

    volumes: tuple[Path, ...]
    namenodes: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    """Address to listen on; also the one that clients are given, unless ``advertised_host`` is set."""
    advertised_host: str | None = None
    data_port: int = 0
    local_socket: Path | None = None
    http_port: int | None = None
    """Prometheus metrics, and WebHDFS if it is added; 0 takes a free port, None serves none."""

    reserved_bytes: int = 256 * 1024 * 1024
    """Space of each volume's disk that blocks never take."""
    storage_type: str = "DISK"
    rack: str = ""
    """Where in the network it stands, such as ``/row1/rack7``; readers are sent to near replicas first."""
    sync_on_close: bool = True
    """A block that was closed is on disk before its writer is answered."""

    heartbeat_seconds: float | None = None
    """None: what the namenode asks for."""
    block_report_seconds: float | None = None
    """None: what the namenode asks for."""
    connection_timeout_seconds: float = 75.0
    """Longest wait for a peer in the middle of an operation (writers send a heartbeat every 30 s)."""
    reader_timeout_seconds: float = 480.0
    """Longest wait for a reader to take what it asked for: programs pause within a file (HDFS: the same)."""
    idle_seconds: float = 300.0
    """Longest wait for the next operation on an open connection."""
    connections_max: int = 1024
    stop_grace_seconds: float = 5.0
    """How long writers and readers may go on after SIGTERM."""
    held_bytes_max: int = 32 * 1024 * 1024
    """Memory for small blocks that may end in the metadata; what finds no room there goes into files."""

    scrub_bytes_per_second: int = 8 * 1024 * 1024
    """Rate of the background check of checksums; 0 turns it off."""
    scrub_period_seconds: float = 21 * 24 * 3600.0
    """Each replica is checked about once in this time."""
    volume_check_seconds: float = 30.0
    log_level: str = "info"
