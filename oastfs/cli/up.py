"""``oastfs up``: a whole filesystem in the foreground."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from oastfs.cli.failure import Failure
from oastfs.cli.hosts import check_host, host_option, insecure_option
from oastfs.cli.mounting import why_no_mount
from oastfs.cli.plan import DatanodePlan, NamenodePlan, Plan, UpOptions, make_plan
from oastfs.cli.servers import trash_options
from oastfs.cli.sizes import SIZE
from oastfs.cli.supervisor import Child, Supervisor
from oastfs.core.supervision import tell_ready
from oastfs.core.version import VERSION

READY_SECONDS = 60.0
PORT = click.IntRange(0, 65_000)


@click.command()
@click.argument("store")
@click.option("--mount", type=click.Path(path_type=Path), help="Mount it on this directory as well.")
@host_option
@click.option("--port", default=8020, type=PORT, help="Port of the first namenode (8020); 0: a free one.")
@click.option("--http-port", default=9870, type=PORT, help="Metrics of the first namenode (9870).")
@click.option("--datanode-port", default=9866, type=PORT, help="Port of the first datanode (9866).")
@click.option("--metadata", multiple=True, metavar="URL", help="Keep metadata there, not in STORE.")
@click.option("--namenodes", default=1, type=click.IntRange(1, 64), help="How many (1).")
@click.option("--datanodes", default=1, type=click.IntRange(0, 64), help="How many (1).")
@click.option("--replication", type=click.IntRange(1, 512), help="Of new filesystems: min(3, datanodes).")
@click.option("--inline-limit", type=SIZE, help="Of new filesystems: largest file kept as metadata (64K).")
@click.option("--block-size", type=SIZE, help="Of new filesystems (128M).")
@click.option("--data", multiple=True, type=click.Path(path_type=Path), help="Volumes for blocks.")
@click.option("--log-dir", "log_directory", type=click.Path(path_type=Path), help="Logs (STORE/logs).")
@trash_options
@insecure_option
def up_command(**values: Any) -> None:
    """Run a whole filesystem in the foreground.

    STORE is a directory or lmdb:///path; it is made if it does not exist. Everything is below it: metadata,
    blocks, logs. Ctrl-C or SIGTERM stops cleanly and unmounts.

    \b
    Example: oastfs up /srv/oast --mount ~/oast
    """
    options = UpOptions(**values)
    warning = check_host(options.host, options.insecure)
    if warning:
        click.echo(warning, err=True)
    plan = make_plan(options)
    plan.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(plan)
    try:
        _prepare(plan, options)
        _run(plan, options)
    finally:
        os.close(lock)


def _lock(plan: Plan) -> int:
    """Keep a second `up` off the store: a lock of its directory, which goes with the process."""
    lock = os.open(plan.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = plan.pid_file.read_text().strip() if plan.pid_file.exists() else "?"
        raise Failure(f"{plan.directory} is run by process {pid} already: stop that one first") from None
    return lock


def _prepare(plan: Plan, options: UpOptions) -> None:
    """Make the filesystem if there is none, and say what is going to run."""
    from oastfs.cli.stores import FormatRequest, ensure_formatted

    replication = options.replication or max(1, min(3, options.datanodes))
    wanted = FormatRequest(replication, options.inline_limit, options.block_size)
    info, new = ensure_formatted(plan.metadata, wanted)
    plan.logs.mkdir(parents=True, exist_ok=True)
    plan.pid_file.parent.mkdir(exist_ok=True)
    plan.pid_file.write_text(str(os.getpid()))
    click.echo(
        f"oastfs {VERSION}: {'new' if new else 'existing'} filesystem in {plan.directory}, "
        f"{_counted(len(plan.namenodes), 'namenode')}, {_counted(len(plan.datanodes), 'datanode')}, "
        f"replication {info.replication}; logs in {plan.logs}"
    )
    for name, asked, fixed in (
        ("replication", options.replication, info.replication),
        ("inline limit", options.inline_limit, info.inline_limit),
        ("block size", options.block_size, info.block_size),
    ):
        if not new and asked is not None and asked != fixed:
            click.echo(f"{name} stays {fixed}: it was fixed when the filesystem was made")
    if not plan.datanodes:
        click.echo(f"no datanode: files above {info.inline_limit} bytes cannot be written")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _run(plan: Plan, options: UpOptions) -> None:
    supervisor = Supervisor()
    supervisor.install_signal_handlers()
    try:
        for namenode in plan.namenodes:
            supervisor.start(_namenode(plan, namenode, options))
        # Datanodes after that: one that finds nobody tries again only a while later.
        supervisor.wait_until(lambda: _listen(plan), "namenodes that listen", READY_SECONDS)
        for datanode in plan.datanodes if not supervisor.stopping else ():
            supervisor.start(_datanode(plan, datanode, options))
        supervisor.wait_until(Ready(plan), "a filesystem that answers", READY_SECONDS)
        mounted = not supervisor.stopping and _mount(plan, supervisor)
        if not supervisor.stopping:
            click.echo(ready_line(plan, mounted))
            tell_ready()
        supervisor.run()
    finally:
        supervisor.stop()
        for datanode in plan.datanodes:
            with suppress(OSError):  # not there, or something else is in it
                if _is_ours(datanode.socket.parent):
                    datanode.socket.parent.rmdir()
    click.echo("stopped")


def ready_line(plan: Plan, mounted: bool) -> str:
    """One line with every address."""
    first = plan.namenodes[0]
    parts = [f"ready hdfs://{plan.public_host}:{first.port}", plan.url]
    if mounted:
        parts.append(f"mount {plan.mount}")
    parts.append(f"metrics http://{plan.public_host}:{first.http_port}/metrics")
    return "  ".join(parts)


def _listen(plan: Plan) -> bool:
    for namenode in plan.namenodes:
        try:
            socket.create_connection((plan.host, namenode.port), timeout=1).close()
        except OSError:
            return False
    return True


class Ready:
    """Probes whether every namenode answers and every datanode is live."""

    def __init__(self, plan: Plan) -> None:
        self._urls = [f"oastfs://{plan.host}:{namenode.port}" for namenode in plan.namenodes]
        self._datanode_ports = {datanode.port for datanode in plan.datanodes}

    def __call__(self) -> bool:
        from oastfs.client import connect

        try:
            for url in self._urls:
                with connect(url) as fs:
                    fs.metadata.stat(fs.caller, "/")
                    reports = fs.metadata.datanodes(fs.caller)
                live = {report.data_port for report in reports if report.state == "live"}
                if not self._datanode_ports <= live:
                    return False
        except OSError:
            return False
        return True


def _mount(plan: Plan, supervisor: Supervisor) -> bool:
    if plan.mount is None:
        return False
    reason = why_no_mount()
    if reason:
        click.echo(f"no mount: {reason}")
        return False
    arguments = ["mount", plan.mount_url, str(plan.mount), "--foreground"]
    supervisor.start(Child("mount", arguments, plan.logs / "mount.log"))
    supervisor.wait_until(plan.mount.is_mount, f"the mount on {plan.mount}", READY_SECONDS)
    return True


def _namenode(plan: Plan, namenode: NamenodePlan, options: UpOptions) -> Child:
    arguments = ["namenode", *plan.metadata, "--host", plan.host]
    arguments += ["--port", str(namenode.port), "--control-port", str(namenode.control_port)]
    arguments += ["--http-port", str(namenode.http_port)]
    for option, minutes in (
        ("--trash-interval", options.trash_interval),
        ("--trash-checkpoint-interval", options.trash_checkpoint_interval),
    ):
        arguments += [] if minutes is None else [option, str(minutes)]
    arguments += ["--insecure"] if options.insecure else []
    return Child(namenode.name, arguments, plan.logs / f"{namenode.name}.log")


def _make_socket_directory(plan: Plan, directory: Path) -> None:
    """Outside of the filesystem's own directory (``cli.plan.socket_path``) it may be there already, made by
    somebody who would answer in the datanode's place. Raises Failure."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not directory.is_relative_to(plan.directory) and not _is_ours(directory):
        raise Failure(
            f"{directory} is not ours alone: remove it, or keep the filesystem where paths are shorter"
        )


def _is_ours(directory: Path) -> bool:
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _datanode(plan: Plan, datanode: DatanodePlan, options: UpOptions) -> Child:
    _make_socket_directory(plan, datanode.socket.parent)
    arguments = ["datanode", *map(str, datanode.volumes), "--host", plan.host]
    if options.insecure and plan.public_host != plan.host:
        arguments += ["--advertise", plan.public_host]
    for namenode in plan.namenodes:
        arguments += ["--namenode", f"{plan.host}:{namenode.control_port}"]
    arguments += ["--port", str(datanode.port), "--http-port", str(datanode.http_port)]
    arguments += ["--local-socket", str(datanode.socket)]
    arguments += ["--insecure"] if options.insecure else []
    return Child(datanode.name, arguments, plan.logs / f"{datanode.name}.log")
