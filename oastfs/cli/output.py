"""What people and scripts read: sizes, times, tables, JSON. No colours or cuts unless on a terminal."""

from __future__ import annotations

import json
import os
import stat as _stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from oastfs.client import Filesystem
    from oastfs.core.types import FileStatus

_UNITS = "BKMGTPE"
_TYPES = {
    _stat.S_IFREG: "file",
    _stat.S_IFDIR: "directory",
    _stat.S_IFLNK: "symlink",
    _stat.S_IFIFO: "fifo",
    _stat.S_IFSOCK: "socket",
    _stat.S_IFCHR: "character device",
    _stat.S_IFBLK: "block device",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
human_option = click.option("-h", "--human", is_flag=True, help="Sizes as 1.5K, 20M, 3.2G.")


def on_terminal() -> bool:
    """Whether a person reads the output."""
    return sys.stdout.isatty()


def in_colour() -> bool:
    """Whether to colour it (https://no-color.org)."""
    return on_terminal() and not os.environ.get("NO_COLOR")


def size_text(size_bytes: int, human: bool) -> str:
    """A size in bytes, or in units of 1024 with two digits or so."""
    if not human:
        return str(size_bytes)
    value, unit = float(size_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    if unit == 0:
        return str(size_bytes)
    return f"{value:.1f}{_UNITS[unit]}" if value < 9.95 else f"{value:.0f}{_UNITS[unit]}"


def time_text(time_ns: int) -> str:
    """Local date and time to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ns // 10**9))


def mode_text(mode: int, has_acl: bool) -> str:
    """Type and permissions as ls shows them, with a plus if there is an ACL."""
    return _stat.filemode(mode) + ("+" if has_acl else "")


def type_text(mode: int) -> str:
    """``file``, ``directory``, ``symlink``, …"""
    return _TYPES.get(_stat.S_IFMT(mode), "unknown")


def printable(text: str) -> str:
    """A name for a line of output; on a terminal, control characters are escaped."""
    if text.isprintable() or not on_terminal():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def styled_name(status: FileStatus, text: str) -> str:
    """A name in the colour of its kind, as ``ls`` has them."""
    text = printable(text)
    if not in_colour():
        return text
    if status.is_directory:
        return click.style(text, fg="blue", bold=True)
    if status.is_symlink:
        return click.style(text, fg="cyan")
    if status.is_file and status.mode & 0o111:
        return click.style(text, fg="green")
    return text


def print_json(value: Any) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_list(values: Iterable[dict[str, Any]]) -> None:
    """A JSON array, an element a line, written as the elements come."""
    separator = "["
    for value in values:
        click.echo(f"{separator}\n{json.dumps(value, ensure_ascii=False)}", nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """A table: with rich on a terminal, else plain aligned columns. ``right``: columns aligned right."""
    body = [list(row) for row in rows]
    right = set(right)
    if on_terminal():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, header in enumerate(headers):
            justify = "right" if number in right else "left"
            table.add_column(header, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in body:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    for line in aligned([list(headers), *body], right):
        click.echo(line)


def aligned(rows: list[list[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Rows as lines with columns of equal width; the last column is left as it is."""
    right = set(right)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    for row in rows:
        cells = [
            cell.rjust(widths[n]) if n in right else cell if n == last else cell.ljust(widths[n])
            for n, cell in enumerate(row)
        ]
        yield "  ".join(cells)


class Names:
    """Names of owners and groups, asked of the filesystem once each."""

    def __init__(self, fs: Filesystem) -> None:
        self._fs = fs
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def learn(self, statuses: Iterable[FileStatus]) -> None:
        """Ask for all the names that these need in one trip."""
        found = list(statuses)
        uids = sorted({s.uid for s in found} - self._users.keys())
        gids = sorted({s.gid for s in found} - self._groups.keys())
        if uids or gids:
            users, groups = self._fs.metadata.principal_names(self._fs.caller, uids, gids)
            self._users.update(zip(uids, users, strict=True))
            self._groups.update(zip(gids, groups, strict=True))

    def user(self, status: FileStatus) -> str:
        """The owner's name; ``learn`` first."""
        return self._users[status.uid]

    def group(self, status: FileStatus) -> str:
        """The group's name; ``learn`` first."""
        return self._groups[status.gid]


def status_record(status: FileStatus, path: str, names: Names) -> dict[str, Any]:
    """A status as the ``--json`` options print it. Sizes in bytes, times in ns since the epoch."""
    return {
        "path": path,
        "name": path.rpartition("/")[2],
        "type": type_text(status.mode),
        "size": status.length,
        "mode": f"{_stat.S_IMODE(status.mode):04o}",
        "acl": status.has_acl,
        "owner": names.user(status),
        "group": names.group(status),
        "uid": status.uid,
        "gid": status.gid,
        "links": status.nlink,
        "inode": status.inode_id,
        "atime_ns": status.atime_ns,
        "mtime_ns": status.mtime_ns,
        "ctime_ns": status.ctime_ns,
        "replication": status.replication,
        "block_size": status.block_size,
        "inline": status.is_file and status.is_inline,
    }
