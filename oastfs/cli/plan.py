"""What `oastfs up` is going to run: directories, ports and command lines, worked out beforehand.

Layout of a store's directory: the LMDB files are in the directory itself, so that ``lmdb:///srv/oast`` is the
same address for `oastfs up` and for direct mode; beside them ``datanodes/N`` (volumes), ``logs`` and
``run`` (sockets and the supervisor's pid).
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from oastfs.cli.failure import UsageFailure
from oastfs.cli.hosts import check_port, public_name
from oastfs.cli.location import has_scheme
from oastfs.core.ports import free_ports

LMDB_SCHEME = "lmdb://"
SOCKET_PATH_BYTES_MAX = 100
"""Linux allows 107."""
CONTROL_PORT_DISTANCE = 100
DATANODE_PORT_DISTANCE = 100


@dataclass(frozen=True)
class UpOptions:
    """The options of `oastfs up`, as given."""

    store: str
    mount: Path | None
    host: str
    port: int
    http_port: int
    datanode_port: int
    metadata: tuple[str, ...]
    namenodes: int
    datanodes: int
    replication: int | None
    inline_limit: int | None
    block_size: int | None
    data: tuple[Path, ...]
    log_directory: Path | None
    insecure: bool
    trash_interval: int | None = None
    trash_checkpoint_interval: int | None = None


@dataclass(frozen=True)
class NamenodePlan:
    """Ports of one namenode."""

    name: str
    port: int
    control_port: int
    http_port: int


@dataclass(frozen=True)
class DatanodePlan:
    """Ports and volumes of one datanode."""

    name: str
    port: int
    http_port: int
    volumes: tuple[Path, ...]
    socket: Path


@dataclass(frozen=True)
class Plan:
    """All of it."""

    directory: Path
    metadata: tuple[str, ...]
    host: str
    namenodes: tuple[NamenodePlan, ...]
    datanodes: tuple[DatanodePlan, ...]
    logs: Path
    mount: Path | None

    @property
    def public_host(self) -> str:
        return public_name(self.host)

    @property
    def url(self) -> str:
        """The ``oastfs://`` address through all namenodes."""
        return "oastfs://" + ",".join(f"{self.public_host}:{n.port}" for n in self.namenodes)

    @property
    def mount_url(self) -> str:
        """What the mount opens: an embedded store directly, which saves the trips."""
        embedded = len(self.metadata) == 1 and self.metadata[0].startswith(LMDB_SCHEME)
        return self.metadata[0] if embedded else self.url

    @property
    def pid_file(self) -> Path:
        """Holds the supervisor's pid while it runs."""
        return self.directory / "run" / "up.pid"


def store_directory(store: str) -> Path:
    """The directory of a store given as ``lmdb:///path`` or as a path. Raises UsageFailure."""
    if store.startswith(LMDB_SCHEME):
        text = store[len(LMDB_SCHEME) :]
        if not text.startswith("/"):
            raise UsageFailure(f"the path of an lmdb URL is absolute, with three slashes: lmdb:///{text}")
        text = unquote(text)
    elif has_scheme(store):
        raise UsageFailure(
            f"STORE is a directory or lmdb:///path; give {store.partition(':')[0]} URLs by --metadata"
        )
    else:
        text = store
    if not text:
        raise UsageFailure("STORE is empty; give a directory or lmdb:///path")
    return Path(text).expanduser().absolute()


def make_plan(options: UpOptions) -> Plan:
    """Work out and check what to run. Raises Failure if a port is taken."""
    directory = store_directory(options.store)
    metadata = options.metadata or (f"{LMDB_SCHEME}{quote(str(directory))}",)
    namenodes = _namenodes(options)
    return Plan(
        directory,
        metadata,
        options.host,
        namenodes,
        _datanodes(options, directory),
        options.log_directory or directory / "logs",
        options.mount.absolute() if options.mount else None,
    )


def _namenodes(options: UpOptions) -> tuple[NamenodePlan, ...]:
    found = []
    for number in range(options.namenodes):
        port = _port(options, options.port, number, "--port")
        control = port + CONTROL_PORT_DISTANCE if options.port else 0
        http = _port(options, options.http_port, number, "--http-port")
        found.append(NamenodePlan(f"namenode-{number + 1}", port, _port(options, control, 0, "--port"), http))
    return tuple(found)


def _datanodes(options: UpOptions, directory: Path) -> tuple[DatanodePlan, ...]:
    found = []
    for number in range(options.datanodes):
        name = f"datanode-{number + 1}"
        if options.data:
            volumes = tuple(
                path.absolute() / name if options.datanodes > 1 else path.absolute() for path in options.data
            )
        else:
            volumes = (directory / "datanodes" / str(number + 1),)
        offset = number * DATANODE_PORT_DISTANCE
        # Metrics are two ports below, as Hadoop's own datanodes have them (9866 and 9864).
        http = options.datanode_port - 2 if options.datanode_port else 0
        found.append(
            DatanodePlan(
                name,
                _port(options, options.datanode_port, offset, "--datanode-port"),
                _port(options, http, offset, "--datanode-port"),
                volumes,
                socket_path(directory, name),
            )
        )
    return tuple(found)


def _port(options: UpOptions, first: int, offset: int, option: str) -> int:
    """The port ``offset`` after the first, checked; any free one if the first is 0."""
    port = first and first + offset
    check_port(options.host, port, option)
    return port or free_ports(1, options.host)[0]


def socket_path(directory: Path, name: str) -> Path:
    """Where a datanode's Unix socket goes: beside its data, or in /tmp where that path is too long."""
    path = directory / "run" / f"{name}.sock"
    if len(str(path).encode()) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"oastfs-{digest}" / f"{name}.sock"
