"""``oastfs find``: files of a tree by name, type, size or age."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from oastfs.cli import output
from oastfs.cli.failure import UsageFailure
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.target import filesystem, stat, walk
from oastfs.core.types import FileStatus

_SIZE = re.compile(r"([+-]?)(\d+)([KMGT]?)i?B?", re.IGNORECASE)
_AGE = re.compile(r"([+-])(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Test = Callable[[FileStatus], bool]


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("location", metavar="[URL]", default="/", type=LOCATION)
@click.option("-n", "--name", "pattern", help="Names that match the pattern, such as '*.csv'.")
@click.option("-t", "--type", "kind", type=click.Choice(["f", "d", "l"]), help="Files, directories, links.")
@click.option("-s", "--size", help="Of this size: +10M for larger, -4K for smaller, 512 for exactly.")
@click.option("--modified", "age", help="Modified less (-2h) or more (+30d) than this ago (s, m, h, d).")
@click.option("-0", "--null", "null", is_flag=True, help="End each path with NUL, for xargs -0.")
@output.json_option
def find_command(
    location: Location,
    pattern: str | None,
    kind: str | None,
    size: str | None,
    age: str | None,
    null: bool,
    as_json: bool,
) -> None:
    """Find files by name, type, size or age; all of the conditions must hold."""
    tests = list(_tests(pattern, kind, size, age))
    found = (
        (where, status)
        for where, status in walk(location, stat(location))
        if all(test(status) for test in tests)
    )
    if as_json:
        output.print_json_list(_record(where, status) for where, status in found)
        return
    for where, _ in found:
        click.echo(where.path if null else output.printable(where.path), nl=not null)
        if null:
            click.echo("\0", nl=False)


def _record(where: Location, status: FileStatus) -> dict[str, Any]:
    names = output.Names(filesystem(where))
    names.learn([status])
    return output.status_record(status, where.path, names)


def _tests(pattern: str | None, kind: str | None, size: str | None, age: str | None) -> Iterator[Test]:
    if pattern is not None:
        matches = re.compile(fnmatch.translate(pattern)).match
        yield lambda status: matches(status.name) is not None
    if kind is not None:
        yield {
            "f": lambda status: status.is_file,
            "d": lambda status: status.is_directory,
            "l": lambda status: status.is_symlink,
        }[kind]
    if size is not None:
        yield _size_test(size)
    if age is not None:
        yield _age_test(age)


def _size_test(text: str) -> Test:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageFailure(f"no size: {text} (such as +10M, -4K, 512)")
    size_bytes = int(found[2]) << 10 * " KMGT".index(found[3].upper() or " ")
    if found[1] == "+":
        return lambda status: status.is_file and status.length > size_bytes
    if found[1] == "-":
        return lambda status: status.is_file and status.length < size_bytes
    return lambda status: status.is_file and status.length == size_bytes


def _age_test(text: str) -> Test:
    found = _AGE.fullmatch(text)
    if found is None:
        raise UsageFailure(f"no age: {text} (such as -2h, +30d)")
    limit_ns = time.time_ns() - int(found[2]) * _SECONDS[found[3]] * 10**9
    if found[1] == "+":
        return lambda status: status.mtime_ns < limit_ns
    return lambda status: status.mtime_ns > limit_ns
