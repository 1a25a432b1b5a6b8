"""``oastfs namenode`` and ``datanode``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from oastfs.cli.hosts import check_host, check_port, host_option, insecure_option
from oastfs.cli.processes import die_with_supervisor
from oastfs.cli.sizes import SIZE

F = TypeVar("F", bound=Callable[..., Any])
PORT = click.IntRange(0, 65_535)
DEFAULT_PORT = 8020
DEFAULT_CONTROL_PORT = 8120


level_option = click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), help="(info)"
)


def trash_options(command: F) -> F:
    """Settings of the filesystem that namenodes are given."""
    for name, text in (
        ("--trash-checkpoint-interval", "Minutes between checkpoints of the trash (as --trash-interval)."),
        ("--trash-interval", "Minutes that HDFS clients' removed files are kept; 0: no trash. Stays set."),
    ):
        command = click.option(name, type=click.IntRange(0, 1 << 31), metavar="MINUTES", help=text)(command)
    return command


def _begin(process: str, log_level: str, warning: str | None) -> None:
    """Log from the start on, the warning of an open address first: it is where an operator looks."""
    die_with_supervisor()
    from oastfs.diagnostics.door import Door

    Door(process)
    if warning:
        import structlog

        from oastfs.core.logging import configure

        configure(process, level=log_level)
        structlog.get_logger("oastfs.cli").warning("open to others", meaning=warning)


@click.command()
@click.argument("metadata", metavar="METADATA_URL...", nargs=-1, required=True)
@host_option
@click.option("--port", default=DEFAULT_PORT, type=PORT, help="Port for clients (8020); 0: a free one.")
@click.option("--control-port", default=DEFAULT_CONTROL_PORT, type=PORT, help="Port for datanodes (8120).")
@click.option("--http-port", default=9870, type=PORT, help="Port for metrics, health and WebHDFS (9870).")
@click.option("--format", "format_first", is_flag=True, help="Make a filesystem if the store is empty.")
@click.option("--audit-log", type=click.Path(path_type=Path), help="A line for each change, in this file.")
@click.option("--stop-seconds", default=10.0, help="How long calls in flight may take when it stops (10).")
@click.option(
    "--dead-after",
    type=click.FloatRange(0.5),
    default=30.0,
    help="Seconds until a silent datanode is lost (30).",
)
@trash_options
@level_option
@insecure_option
def namenode_command(
    metadata: tuple[str, ...],
    host: str,
    port: int,
    control_port: int,
    http_port: int,
    format_first: bool,
    audit_log: Path | None,
    stop_seconds: float,
    dead_after: float,
    trash_interval: int | None,
    trash_checkpoint_interval: int | None,
    log_level: str,
    insecure: bool,
) -> int:
    """Run one namenode, on a metadata store such as lmdb:///srv/oast.

    Namenodes are stateless: any number of them may serve one store, and clients are given all of them.
    """
    warning = check_host(host, insecure)
    for number, option in ((port, "--port"), (control_port, "--control-port"), (http_port, "--http-port")):
        check_port(host, number, option)
    from oastfs.namenode.filesystem import FormatOptions
    from oastfs.namenode.server.process import NamenodeConfig, run_namenode

    _begin("namenode", log_level, warning)
    return run_namenode(
        NamenodeConfig(
            metadata,
            host=host,
            port=port,
            control_port=control_port,
            http_port=http_port,
            format_options=FormatOptions() if format_first else None,
            audit_log=audit_log,
            log_level=log_level,
            stop_seconds=stop_seconds,
            dead_after_seconds=dead_after,
            trash_interval_minutes=trash_interval,
            trash_checkpoint_interval_minutes=trash_checkpoint_interval,
        )
    )


@click.command()
@click.argument("volumes", metavar="DIRECTORY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--namenode",
    "namenodes",
    multiple=True,
    metavar="HOST:PORT",
    help="Control address of a namenode; give every one of them. (localhost:8120)",
)
@host_option
@click.option("--advertise", "advertised_host", help="Name or address that clients are told (the host).")
@click.option("--port", default=9866, type=PORT, help="Port for data (9866); 0: a free one.")
@click.option("--http-port", default=9864, type=PORT, help="Port for metrics and WebHDFS (9864).")
@click.option("--local-socket", type=click.Path(path_type=Path), help="Unix socket for clients beside it.")
@click.option(
    "--reserved", default="256M", type=SIZE, help="Space of each disk that blocks never take (256M)."
)
@click.option("--storage-type", default="DISK", type=click.Choice(["DISK", "SSD", "ARCHIVE", "RAM_DISK"]))
@click.option(
    "--rack", default="", metavar="PATH", help="Where it stands, such as /row1/rack7 (/default-rack)."
)
@click.option(
    "--scrub-rate", default="8M", type=SIZE, help="Bytes a second that the scrubber reads (8M); 0: none."
)
@click.option(
    "--heartbeat", type=float, metavar="SECONDS", help="Between heartbeats (what the namenode says)."
)
@click.option("--block-report", type=float, metavar="SECONDS", help="Between block reports (likewise).")
@level_option
@insecure_option
def datanode_command(
    volumes: tuple[Path, ...],
    namenodes: tuple[str, ...],
    host: str,
    advertised_host: str | None,
    port: int,
    http_port: int,
    local_socket: Path | None,
    reserved: int,
    storage_type: str,
    rack: str,
    scrub_rate: int,
    heartbeat: float | None,
    block_report: float | None,
    log_level: str,
    insecure: bool,
) -> int:
    """Run one datanode, with its blocks in DIRECTORY..., each best on a disk of its own."""
    warning = check_host(host, insecure)
    for number, option in ((port, "--port"), (http_port, "--http-port")):
        check_port(host, number, option)
    from oastfs.datanode.config import DatanodeConfig
    from oastfs.datanode.process import run_datanode
    from oastfs.webgateway import WebGateway

    _begin("datanode", log_level, warning)
    return run_datanode(
        DatanodeConfig(
            volumes=tuple(path.absolute() for path in volumes),
            namenodes=namenodes or (f"localhost:{DEFAULT_CONTROL_PORT}",),
            host=host,
            advertised_host=advertised_host,
            data_port=port,
            local_socket=local_socket,
            http_port=http_port,
            log_level=log_level,
            reserved_bytes=reserved,
            storage_type=storage_type,
            rack=rack,
            scrub_bytes_per_second=scrub_rate,
            heartbeat_seconds=heartbeat,
            block_report_seconds=block_report,
        ),
        WebGateway(),
    )
