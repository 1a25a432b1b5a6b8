"""``oastfs stat``, ``du`` and ``df``."""

from __future__ import annotations

import time
from typing import Any

import click

from oastfs.cli import output
from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.target import entries, expand, filesystem, stat
from oastfs.core.types import ContentSummary, FileStatus


@click.command()
@click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.option("-L", "--follow", is_flag=True, help="Of what a symbolic link leads to.")
@output.json_option
def stat_command(locations: tuple[Location, ...], follow: bool, as_json: bool) -> None:
    """Show the attributes of files."""
    tally = Tally()
    records = []
    for location in locations:
        with tally.item():
            for where in expand([location]):
                records.append(_record(where, stat(where, follow)))
                if not as_json:
                    click.echo(_describe(records[-1]))
    if as_json:
        output.print_json(records)
    tally.finish()


def _record(where: Location, status: FileStatus) -> dict[str, Any]:
    fs = filesystem(where)
    names = output.Names(fs)
    names.learn([status])
    record = output.status_record(status, where.path, names)
    if status.is_symlink:
        record["target"] = fs.metadata.readlink(fs.caller, where.path)
    return record


def _describe(record: dict[str, Any]) -> str:
    target = f" -> {output.printable(record['target'])}" if "target" in record else ""
    kind = record["type"] + (", inline" if record["inline"] else "")
    mode = int(record["mode"], 8)
    letters = output.mode_text(mode, record["acl"])[1:]
    lines = [
        f"    Path: {output.printable(record['path'])}{target}",
        f"    Type: {kind}",
        f"    Size: {record['size']} ({output.size_text(record['size'], True)})",
        f"    Mode: {record['mode']} ({letters})",
        f"   Owner: {record['owner']} ({record['uid']})",
        f"   Group: {record['group']} ({record['gid']})",
        f"   Links: {record['links']}",
        f"   Inode: {record['inode']}",
    ]
    if record["type"] == "file":
        lines.append(f"Replicas: {record['replication']}, blocks of {record['block_size']}")
    for title, key in (("Access", "atime_ns"), ("Modify", "mtime_ns"), ("Change", "ctime_ns")):
        lines.append(f"  {title}: {_full_time(record[key])}")
    return "\n".join(lines)


def _full_time(time_ns: int) -> str:
    seconds, ns = divmod(time_ns, 10**9)
    local = time.localtime(seconds)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{ns:09d} {time.strftime('%z', local)}"


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("locations", metavar="[URL]...", nargs=-1, type=LOCATION)
@output.human_option
@click.option("-s", "--summarize", is_flag=True, help="Totals of the arguments only.")
@output.json_option
def du_command(locations: tuple[Location, ...], human: bool, summarize: bool, as_json: bool) -> None:
    """Show the space that trees take: bytes, with replicas, files, directories.

    Without -s each entry of a directory has its line, then the directory itself.
    """
    tally = Tally()
    rows: list[tuple[str, ContentSummary]] = []
    for location in expand(locations or (LOCATION.convert("/", None, None),)):
        with tally.item():
            fs = filesystem(location)
            if not summarize and stat(location).is_directory:
                for entry in entries(location):
                    path = location.child(entry.name).path
                    if not entry.is_symlink:
                        rows.append((path, fs.metadata.content_summary(fs.caller, path)))
            rows.append((location.path, fs.metadata.content_summary(fs.caller, location.path)))
    if as_json:
        output.print_json([_summary_record(path, summary) for path, summary in rows])
    elif rows:
        output.print_table(
            ("bytes", "with replicas", "files", "directories", "path"),
            [_summary_row(path, summary, human) for path, summary in rows],
            right=range(4),
        )
    tally.finish()


def _summary_record(path: str, summary: ContentSummary) -> dict[str, Any]:
    return {
        "path": path,
        "length": summary.length,
        "space_consumed": summary.space_consumed,
        "files": summary.file_count,
        "directories": summary.directory_count,
    }


def _summary_row(path: str, summary: ContentSummary, human: bool) -> list[str]:
    return [
        output.size_text(summary.length, human),
        output.size_text(summary.space_consumed, human),
        str(summary.file_count),
        str(summary.directory_count),
        output.printable(path),
    ]


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@output.human_option
@output.json_option
def df_command(location: Location, human: bool, as_json: bool) -> None:
    """Show the space of the filesystem."""
    fs = filesystem(location)
    found = fs.metadata.statfs(fs.caller)
    if as_json:
        record = {name: getattr(found, name) for name in found.__struct_fields__}
        output.print_json({"address": location.address, **record})
        return

    def share(used: int, total: int) -> str:
        return f"{100 * used // total}%" if total else "-"

    metadata_total = found.metadata_bytes + found.metadata_remaining
    rows = [
        ("blocks", found.capacity, found.used, found.remaining),
        ("metadata", metadata_total, found.metadata_bytes, found.metadata_remaining),
    ]
    output.print_table(
        (location.address, "size", "used", "free", "use"),
        [
            [name, *(output.size_text(n, human) for n in (total, used, free)), share(used, total)]
            for name, total, used, free in rows
        ],
        right=(1, 2, 3, 4),
    )
    click.echo(f"{found.inodes} inodes")
