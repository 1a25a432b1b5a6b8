"""``oastfs status``, ``datanodes``, ``format`` and ``fsck``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from oastfs.cli import output
from oastfs.cli.failure import ExitCode, UsageFailure
from oastfs.cli.location import LOCATION, URL_VARIABLE, Location, split
from oastfs.cli.sizes import SIZE
from oastfs.cli.target import filesystem
from oastfs.client.url import Address
from oastfs.core.secrets import without_password
from oastfs.core.types import DatanodeReport, FilesystemInfo, NamenodeReport, StorageStatus

if TYPE_CHECKING:
    from oastfs.namenode.fsck import Problem, Report

_PROBLEM_LINES_MAX = 100
_HEALTH_LINES_MAX = 20
"""Findings of one kind that are printed; --json has more."""


@click.command()
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@output.json_option
def status_command(location: Location, as_json: bool) -> None:
    """Show the state of the filesystem and its datanodes."""
    fs = filesystem(location)
    info = fs.metadata.filesystem_info(fs.caller)
    space = fs.metadata.statfs(fs.caller)
    reports = fs.metadata.datanodes(fs.caller)
    namenodes = fs.metadata.namenodes(fs.caller)
    safe_mode = fs.metadata.safe_mode(fs.caller, "get")
    if as_json:
        output.print_json(
            {
                "address": location.address,
                "filesystem": _fields(info),
                "space": _fields(space),
                "safe_mode": safe_mode,
                "namenodes": [_fields(report) for report in namenodes],
                "datanodes": [_fields(report) for report in reports],
            }
        )
        return
    lines = _lines(location, info, space)
    if safe_mode:
        lines.insert(2, ("safe mode", "on: nothing is changed until `oastfs safemode leave`"))
    if namenodes:
        lines.insert(-1, ("namenodes", ", ".join(map(_address_and_state, namenodes))))
    for name, value in lines:
        click.echo(f"{name:>18}: {value}")
    if reports:
        click.echo()
        _print_datanodes(reports)


def _lines(location: Location, info: FilesystemInfo, space: StorageStatus) -> list[tuple[str, str]]:
    def size(size_bytes: int) -> str:
        return output.size_text(size_bytes, True)

    state = "healthy" if not space.under_replicated else "being replicated"
    if space.datanodes_dead:
        state = "degraded: " + ("a datanode is dead" if space.datanodes_dead == 1 else "datanodes are dead")
    return [
        ("address", location.address),
        ("state", state),
        ("filesystem", f"{info.filesystem_id}, version {info.version}"),
        ("inodes", str(space.inodes)),
        ("metadata", f"{size(space.metadata_bytes)} used, {size(space.metadata_remaining)} free"),
        ("blocks", f"{space.blocks}, {space.under_replicated} with too few replicas"),
        ("block space", f"{size(space.used)} used, {size(space.remaining)} free of {size(space.capacity)}"),
        ("datanodes", f"{space.datanodes_live} live, {space.datanodes_dead} dead"),
        (
            "new files",
            f"replication {info.replication}, blocks of {size(info.block_size)}, "
            f"inline up to {size(info.inline_limit)}",
        ),
    ]


def _address(namenode: NamenodeReport) -> str:
    return str(Address(namenode.host, namenode.port))


def _address_and_state(namenode: NamenodeReport) -> str:
    remark = " (leads)" if namenode.leader and namenode.live else "" if namenode.live else " (silent)"
    return _address(namenode) + remark


@click.command()
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@output.json_option
def namenodes_command(location: Location, as_json: bool) -> None:
    """List the namenodes, and which of them leads."""
    fs = filesystem(location)
    reports = fs.metadata.namenodes(fs.caller)
    if as_json:
        output.print_json([_fields(report) for report in reports])
        return
    rows = []
    for report in reports:
        age_seconds = max(0, time.time_ns() - report.last_heartbeat_ns) // 10**9
        state = "silent" if not report.live else "leads" if report.leader else "live"
        rows.append(
            [
                str(report.namenode_id),
                _address(report),
                str(report.http_port),
                state,
                f"{age_seconds} s ago",
            ]
        )
    output.print_table(("id", "address", "http port", "state", "heard of"), rows, right=(0, 2))


@click.command()
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@output.json_option
def datanodes_command(location: Location, as_json: bool) -> None:
    """List the datanodes."""
    fs = filesystem(location)
    reports = fs.metadata.datanodes(fs.caller)
    if as_json:
        output.print_json([_fields(report) for report in reports])
        return
    _print_datanodes(reports)


def _print_datanodes(reports: list[DatanodeReport]) -> None:
    rows = []
    for report in reports:
        age_seconds = max(0, time.time_ns() - report.last_heartbeat_ns) // 10**9
        sizes = (report.capacity, report.used, report.remaining)
        rows.append(
            [
                str(report.datanode_id),
                f"{report.host}:{report.data_port}",
                report.state,
                str(report.blocks),
                *(output.size_text(size, True) for size in sizes),
                f"{age_seconds} s ago",
            ]
        )
    headers = ("id", "address", "state", "blocks", "size", "used", "free", "heard of")
    output.print_table(headers, rows, right=(0, 3, 4, 5, 6))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@click.command()
@click.argument("metadata", metavar="METADATA_URL...", nargs=-1, required=True)
@click.option("--replication", type=click.IntRange(1, 512), help="Replicas of new files (1).")
@click.option("--inline-limit", type=SIZE, help="Largest file that is kept as metadata (64K).")
@click.option("--block-size", type=SIZE, help="Largest block of a file (128M).")
def format_command(
    metadata: tuple[str, ...], replication: int | None, inline_limit: int | None, block_size: int | None
) -> None:
    """Make a new, empty filesystem on a metadata store, such as lmdb:///srv/oast.

    An existing filesystem is never overwritten.
    """
    from oastfs.cli.stores import FormatRequest, format_new

    info = format_new(metadata, FormatRequest(replication or 1, inline_limit, block_size))
    click.echo(f"made filesystem {info.filesystem_id} on {' '.join(map(without_password, metadata))}")


@click.command()
@click.argument("metadata", metavar="[METADATA_URL]...", nargs=-1)
@click.option("--repair", "mend", is_flag=True, help="Mend what can be mended without guessing.")
@click.option("--deep", is_flag=True, help="Ask datanodes for every replica; reads all data.")
@click.option("--strict", is_flag=True, help="Fail also for blocks that lack replicas.")
@output.json_option
def fsck_command(metadata: tuple[str, ...], mend: bool, deep: bool, strict: bool, as_json: bool) -> None:
    """Check every invariant, and repair on request.

    It reads the metadata store itself (lmdb:///srv/oast; what OASTFS_URL names, if that is a store), beside
    running servers if need be. Exit code 0: nothing is wrong (any more).
    """
    from oastfs.cli.stores import opened
    from oastfs.namenode.fsck import check, repair

    urls = metadata or default_store()
    with opened(urls) as store:
        report = (repair if mend else check)(store, deep=deep)
    if as_json:
        output.print_json(_report_record(report))
    else:
        _print_report(report)
    if not report.clean or (strict and report.health_counts):
        raise click.exceptions.Exit(ExitCode.FAILED)


def default_store() -> tuple[str, ...]:
    """The metadata store that OASTFS_URL names. Raises UsageFailure if it names none."""
    default = os.environ.get(URL_VARIABLE, "")
    if not default or default.startswith(("oastfs://", "hdfs://")):
        raise UsageFailure("which metadata store? Give its URL, such as lmdb:///srv/oast")
    return (split(default)[0],)


def _report_record(report: Report) -> dict[str, Any]:
    def problems(found: list[Problem]) -> list[dict[str, Any]]:
        return [{"code": p.code, "where": p.where, "text": p.text, "repairable": p.repairable} for p in found]

    return {
        "clean": report.clean,
        "problems": problems(report.problems),
        "counts": dict(report.counts),
        "health": problems(report.health),
        "health_counts": dict(report.health_counts),
        "checked": dict(report.checked),
        "repaired": problems(report.repaired),
    }


def _print_report(report: Report) -> None:
    for title, found, lines_max in (
        ("repaired", report.repaired, _PROBLEM_LINES_MAX),
        ("problem", report.problems, _PROBLEM_LINES_MAX),
        ("blocks", report.health, _HEALTH_LINES_MAX),
    ):
        for problem in found[:lines_max]:
            click.echo(f"{title}: {output.printable(str(problem))}")
        if len(found) > lines_max:
            click.echo(f"{title}: ... and more (--json shows them)")
    rows = f"{report.checked.total()} rows in {len(report.checked)} tables checked"
    unhealthy = report.health_counts.total()
    health = f"; {unhealthy} blocks lack replicas" if unhealthy else ""
    if report.clean:
        click.echo(f"clean: {rows}{health}")
        return
    mendable = sum(problem.repairable for problem in report.problems)
    hint = f"; --repair mends {mendable} of them" if mendable else ""
    click.echo(f"{report.counts.total()} problems: {rows}{health}{hint}")
