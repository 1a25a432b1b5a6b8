"""``oastfs chmod``, ``chown``, ``setrep`` and ``xattr``."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from oastfs.cli import modes, output
from oastfs.cli.changing import umask
from oastfs.cli.failure import UsageFailure
from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.target import expand, filesystem, stat, walk
from oastfs.core.types import FileStatus

locations_argument = click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)
recursive_option = click.option("-R", "--recursive", is_flag=True, help="Everything below as well.")


def _each(location: Location, recursive: bool, follow: bool = True) -> Iterator[tuple[Location, FileStatus]]:
    for where in expand([location]):
        status = stat(where, follow)
        if recursive:
            yield from walk(where, status)
        else:
            yield where, status


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("mode_text", metavar="MODE")
@locations_argument
@recursive_option
def chmod_command(mode_text: str, locations: tuple[Location, ...], recursive: bool) -> None:
    """Set permission bits: octal, such as 640, or symbolic, such as u+rwX,go-w."""
    try:
        change = modes.parse(mode_text, umask())
    except ValueError as error:
        raise UsageFailure(str(error)) from None
    tally = Tally()
    for location in locations:
        with tally.item():
            for where, status in _each(location, recursive):
                if not status.is_symlink:
                    fs = filesystem(where)
                    fs.metadata.chmod(fs.caller, where.path, change(status.mode))
    tally.finish()


@click.command()
@click.argument("owner", metavar="USER[:GROUP]")
@locations_argument
@recursive_option
@click.option("-h", "--no-dereference", is_flag=True, help="Of symbolic links themselves.")
def chown_command(owner: str, locations: tuple[Location, ...], recursive: bool, no_dereference: bool) -> None:
    """Set owner and group: USER, USER:GROUP or :GROUP, as names or numbers."""
    user, _, group = owner.partition(":")
    if not user and not group:
        raise UsageFailure(f"no owner: {owner} (such as alice:staff)")
    follow = not (no_dereference or recursive)
    tally = Tally()
    for location in locations:
        with tally.item():
            uid, gid = _principal_ids(location, user, group)
            for where, _ in _each(location, recursive, follow):
                fs = filesystem(where)
                fs.metadata.chown(fs.caller, where.path, uid, gid, follow)
    tally.finish()


def _principal_ids(location: Location, user: str, group: str) -> tuple[int, int]:
    fs = filesystem(location)
    users = [user] if user and not user.isdecimal() else []
    groups = [group] if group and not group.isdecimal() else []
    uids, gids = fs.metadata.principal_ids(fs.caller, users, groups) if users or groups else ([], [])
    uid = uids[0] if uids else int(user or -1)
    gid = gids[0] if gids else int(group or -1)
    return uid, gid


@click.command()
@click.argument("replication", metavar="N", type=click.IntRange(min=1))
@locations_argument
@recursive_option
def setrep_command(replication: int, locations: tuple[Location, ...], recursive: bool) -> None:
    """Set the number of replicas of files; they are made or removed in the background."""
    tally = Tally()
    for location in locations:
        with tally.item():
            for where, status in _each(location, recursive):
                if status.is_file:
                    fs = filesystem(where)
                    fs.metadata.set_replication(fs.caller, where.path, replication)
    tally.finish()


@click.group("xattr")
def xattr_command() -> None:
    """Read and set extended attributes."""


@xattr_command.command("ls")
@click.argument("location", metavar="URL", type=LOCATION)
@output.json_option
def xattr_ls(location: Location, as_json: bool) -> None:
    """List attributes with their values."""
    fs = filesystem(location)
    found = fs.metadata.get_xattrs(fs.caller, location.path)
    if as_json:
        output.print_json({name: _json_value(value) for name, value in sorted(found.items())})
        return
    for name, value in sorted(found.items()):
        click.echo(f"{name}={_text_value(value)}")


def _text_value(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else "0x" + value.hex()


def _json_value(value: bytes) -> dict[str, str]:
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


@xattr_command.command("get")
@click.argument("location", metavar="URL", type=LOCATION)
@click.argument("name")
def xattr_get(location: Location, name: str) -> None:
    """Write the value of one attribute to the standard output, as it is."""
    fs = filesystem(location)
    found = fs.metadata.get_xattrs(fs.caller, location.path, [name])
    sys.stdout.buffer.write(found[name])
    if output.on_terminal():
        click.echo()


@xattr_command.command("set")
@click.argument("location", metavar="URL", type=LOCATION)
@click.argument("name")
@click.argument("value", required=False)
@click.option("--file", "source", type=click.Path(path_type=Path, allow_dash=True), help="Value from a file.")
def xattr_set(location: Location, name: str, value: str | None, source: Path | None) -> None:
    """Set one attribute; its name begins with user., trusted., security. or system."""
    if (value is None) == (source is None):
        raise UsageFailure("give the value, or --file")
    if source is not None:
        data = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    else:
        data = (value or "").encode("utf-8", "surrogateescape")
    fs = filesystem(location)
    fs.metadata.set_xattr(fs.caller, location.path, name, data)


@xattr_command.command("rm")
@click.argument("location", metavar="URL", type=LOCATION)
@click.argument("name")
def xattr_rm(location: Location, name: str) -> None:
    """Remove one attribute."""
    fs = filesystem(location)
    fs.metadata.remove_xattr(fs.caller, location.path, name)
