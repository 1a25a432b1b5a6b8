"""``oastfs ls`` and ``oastfs tree``."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from oastfs.cli import output
from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.target import entries, expand, filesystem, pages, stat
from oastfs.core.types import FileStatus

_COLUMNS_ENTRIES_MAX = 5_000
"""More names than this are written one a line even on a terminal, as they come."""


@dataclass(frozen=True)
class LsOptions:
    """The flags of ``ls``."""

    long: bool
    all: bool
    recursive: bool
    human: bool
    directory: bool
    by_time: bool
    by_size: bool
    reverse: bool

    @property
    def sorts(self) -> bool:
        """Whether entries are wanted in another order than the filesystem's own (by name)."""
        return self.by_time or self.by_size or self.reverse


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("locations", metavar="[URL]...", nargs=-1, type=LOCATION)
@click.option("-l", "--long", is_flag=True, help="Modes, owners, sizes and times.")
@click.option("-a", "--all", is_flag=True, help="Names that begin with a dot as well.")
@click.option("-R", "--recursive", is_flag=True, help="Directories below as well.")
@output.human_option
@click.option("-d", "--directory", is_flag=True, help="Directories themselves, not what is in them.")
@click.option("-t", "by_time", is_flag=True, help="Newest first.")
@click.option("-S", "by_size", is_flag=True, help="Largest first.")
@click.option("-r", "--reverse", is_flag=True, help="In reverse order.")
@output.json_option
def ls_command(locations: tuple[Location, ...], as_json: bool, **flags: Any) -> None:
    """List directories, by name."""
    options = LsOptions(**flags)
    chosen = locations or (LOCATION.convert("/", None, None),)
    tally = Tally()
    if as_json:
        output.print_json_list(_records(chosen, options, tally))
        tally.finish()
        return
    files, directories = _divide(chosen, options, tally)
    if files:
        _print_entries(filesystem(files[0][0]), [_named(w, s) for w, s in files], options)
    titled = len(files) + len(directories) + tally.failed > 1 or options.recursive
    for number, where in enumerate(directories):
        with tally.item():
            _print_directory(where, options, titled, first=not files and number == 0)
    tally.finish()


def _divide(
    locations: Iterable[Location], options: LsOptions, tally: Tally
) -> tuple[list[tuple[Location, FileStatus]], list[Location]]:
    files, directories = [], []
    for location in locations:
        with tally.item():
            for where in expand([location]):
                # As ls: a link named on the command line is followed to a directory unless -l or -d.
                status = stat(where, follow=not (options.long or options.directory))
                if status.is_directory and not options.directory:
                    directories.append(where)
                else:
                    files.append((where, status))
    return files, directories


def _named(where: Location, status: FileStatus) -> tuple[str, FileStatus]:
    return where.path, status


def _print_directory(where: Location, options: LsOptions, titled: bool, first: bool) -> None:
    if titled:
        click.echo(("" if first else "\n") + f"{output.printable(where.path)}:")
    below: list[Location] = []
    for page in _ordered_pages(where, options):
        if options.recursive:
            below += [where.child(entry.name) for entry in page if entry.is_directory]
        _print_entries(filesystem(where), [(e.name, e) for e in page], options, where)
    for directory in below:
        _print_directory(directory, options, titled, first=False)


def _ordered_pages(where: Location, options: LsOptions) -> Iterator[list[FileStatus]]:
    if options.sorts:
        found = [entry for page in pages(where) for entry in _visible(page, options)]
        yield _sorted(found, options)
        return
    for page in pages(where):
        yield _visible(page, options)


def _visible(page: list[FileStatus], options: LsOptions) -> list[FileStatus]:
    return page if options.all else [entry for entry in page if not entry.name.startswith(".")]


def _sorted(found: list[FileStatus], options: LsOptions) -> list[FileStatus]:
    if options.by_time:
        found.sort(key=lambda s: (-s.mtime_ns, s.name))
    elif options.by_size:
        found.sort(key=lambda s: (-s.length, s.name))
    return found[::-1] if options.reverse else found


def _print_entries(
    fs: Any, found: list[tuple[str, FileStatus]], options: LsOptions, where: Location | None = None
) -> None:
    if not found:
        return
    if not options.long:
        _print_names(found)
        return
    names = output.Names(fs)
    names.learn(status for _, status in found)
    rows = [_long_row(fs, name, status, names, options, where) for name, status in found]
    for line in output.aligned(rows, right=(1, 4)):
        click.echo(line)


def _print_names(found: list[tuple[str, FileStatus]]) -> None:
    if not output.on_terminal() or len(found) > _COLUMNS_ENTRIES_MAX:
        click.echo("\n".join(output.styled_name(status, name) for name, status in found))
        return
    texts = [output.printable(name) for name, _ in found]
    width = max(map(len, texts)) + 2
    columns = max(1, shutil.get_terminal_size().columns // width)
    lines = -(-len(found) // columns)
    for line in range(lines):
        cells = []
        for number in range(line, len(found), lines):
            pad = " " * (width - len(texts[number]))
            cells.append(output.styled_name(found[number][1], found[number][0]) + pad)
        click.echo("".join(cells).rstrip())


def _long_row(
    fs: Any,
    name: str,
    status: FileStatus,
    names: output.Names,
    options: LsOptions,
    where: Location | None,
) -> list[str]:
    shown = output.styled_name(status, name)
    if status.is_symlink:
        path = name if where is None else where.child(name).path
        shown += f" -> {output.printable(fs.metadata.readlink(fs.caller, path))}"
    return [
        output.mode_text(status.mode, status.has_acl),
        str(status.nlink),
        names.user(status),
        names.group(status),
        output.size_text(status.length, options.human),
        output.time_text(status.mtime_ns),
        shown,
    ]


def _records(locations: Iterable[Location], options: LsOptions, tally: Tally) -> Iterator[dict[str, Any]]:
    files, directories = _divide(locations, options, tally)
    for where, status in files:
        yield _record(where, status)
    pending = directories[::-1]
    while pending:
        where = pending.pop()
        below = []
        for page in _ordered_pages(where, options):
            names = output.Names(filesystem(where))
            names.learn(page)
            for entry in page:
                child = where.child(entry.name)
                yield output.status_record(entry, child.path, names)
                if options.recursive and entry.is_directory:
                    below.append(child)
        pending += reversed(below)


def _record(where: Location, status: FileStatus) -> dict[str, Any]:
    names = output.Names(filesystem(where))
    names.learn([status])
    return output.status_record(status, where.path, names)


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@click.option("-L", "--level", "depth_max", type=click.IntRange(min=1), help="Go this deep only.")
@click.option("-a", "--all", "with_hidden", is_flag=True, help="Names that begin with a dot as well.")
@click.option("-d", "directories_only", is_flag=True, help="Directories only.")
def tree_command(
    location: Location, depth_max: int | None, with_hidden: bool, directories_only: bool
) -> None:
    """Show a tree of directories."""
    status = stat(location)
    click.echo(output.styled_name(status, location.path))
    counts = {"directories": 0, "files": 0}

    def show(where: Location, indent: str, depth: int) -> None:
        below = [
            entry
            for entry in entries(where)
            if (with_hidden or not entry.name.startswith("."))
            and (entry.is_directory or not directories_only)
        ]
        for number, entry in enumerate(below, 1):
            branch, bar = ("└── ", "    ") if number == len(below) else ("├── ", "│   ")
            click.echo(f"{indent}{branch}{output.styled_name(entry, entry.name)}")
            counts["directories" if entry.is_directory else "files"] += 1
            if entry.is_directory and (depth_max is None or depth < depth_max):
                show(where.child(entry.name), indent + bar, depth + 1)

    if status.is_directory:
        show(location, "", 1)
    click.echo(f"\n{counts['directories']} directories, {counts['files']} files")
