"""``oastfs mkdir``, ``rm``, ``mv``, ``touch`` and ``ln``."""

from __future__ import annotations

import os
from datetime import datetime

import click

from oastfs.cli.failure import Failure, UsageFailure
from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.target import expand, filesystem, stat, stat_or_none
from oastfs.core.errors import AlreadyExists, IsADirectory, NotFound
from oastfs.core.types import RenameMode


def umask() -> int:
    """The process's umask (reading it means setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@click.command()
@click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.option("-p", "--parents", is_flag=True, help="Make parents too; no error if it exists.")
@click.option("-m", "--mode", "mode_text", help="Permission bits in octal.")
def mkdir_command(locations: tuple[Location, ...], parents: bool, mode_text: str | None) -> None:
    """Make directories."""
    try:
        mode = 0o777 & ~umask() if mode_text is None else int(mode_text, 8)
    except ValueError:
        raise UsageFailure(f"no octal mode: {mode_text}") from None
    tally = Tally()
    for location in locations:
        with tally.item():
            fs = filesystem(location)
            fs.metadata.mkdirs(fs.caller, location.path, mode, parents, parents)
    tally.finish()


@click.command()
@click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories with all that is in them.")
@click.option("-f", "--force", is_flag=True, help="No error for what does not exist.")
def rm_command(locations: tuple[Location, ...], recursive: bool, force: bool) -> None:
    """Remove files and trees. A tree of any size is gone at once."""
    tally = Tally()
    for location in locations:
        with tally.item():
            try:
                for where in expand([location]):
                    _remove(where, recursive)
            except NotFound:
                if not force:
                    raise
    tally.finish()


def _remove(where: Location, recursive: bool) -> None:
    if where.path == "/":
        raise UsageFailure("the root cannot be removed; remove what is in it: rm -r '/*'")
    fs = filesystem(where)
    if recursive:
        fs.metadata.delete(fs.caller, where.path, True)
        return
    try:
        fs.metadata.unlink(fs.caller, where.path)
    except IsADirectory:
        raise IsADirectory("Is a directory (use -r to remove it)", path=where.path) from None


@click.command()
@click.argument("sources", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.argument("target", metavar="TARGET", type=LOCATION)
@click.option("-n", "--no-clobber", is_flag=True, help="Fail rather than replace a file.")
def mv_command(sources: tuple[Location, ...], target: Location, no_clobber: bool) -> None:
    """Move or rename files and directories, each in one step whatever its size."""
    mode = RenameMode.NO_REPLACE if no_clobber else RenameMode.POSIX
    found = list(expand(sources))
    if any(source.address != target.address for source in found):
        raise UsageFailure("mv stays within one filesystem; use cp -r, then rm -r")
    into = _directory_or_none(target, several=len(found) > 1)
    tally = Tally()
    for source in found:
        with tally.item():
            fs = filesystem(source)
            where = into.child(source.name) if into else target
            fs.metadata.rename(fs.caller, source.path, where.path, mode)
    tally.finish()


def _directory_or_none(target: Location, several: bool) -> Location | None:
    """The target if it is a directory to move into. Raises Failure if it must be and is not."""
    status = stat_or_none(target)
    if status is not None and status.is_directory:
        return target
    if several:
        raise Failure(f"{target.path}: with several sources the target must be an existing directory")
    return None


@click.command()
@click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.option("-c", "--no-create", is_flag=True, help="Make no files.")
@click.option("-d", "--date", "date_text", help="This time (ISO 8601, local) instead of now.")
def touch_command(locations: tuple[Location, ...], no_create: bool, date_text: str | None) -> None:
    """Make empty files, or set the times of existing ones."""
    time_ns = _parse_date(date_text)
    tally = Tally()
    for location in locations:
        with tally.item():
            fs = filesystem(location)
            if stat_or_none(location) is None:
                if no_create:
                    continue
                try:
                    fs.metadata.create(fs.caller, location.path, 0o666 & ~umask())
                except AlreadyExists:
                    pass  # another made it meanwhile, which is as good
                if time_ns is None:
                    continue
            if time_ns is None:
                fs.metadata.utimes(fs.caller, location.path, now=True)
            else:
                fs.metadata.utimes(fs.caller, location.path, time_ns, time_ns)
    tally.finish()


def _parse_date(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp() * 10**6) * 1000
    except ValueError:
        raise UsageFailure(f"no date: {text} (such as 2025-12-31T23:59)") from None


@click.command()
@click.argument("source", metavar="TARGET")
@click.argument("location", metavar="LINK", type=LOCATION)
@click.option("-s", "--symbolic", is_flag=True, help="A symbolic link to TARGET as it is written.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing LINK.")
def ln_command(source: str, location: Location, symbolic: bool, force: bool) -> None:
    """Make hard or symbolic links: LINK becomes another name of TARGET, or leads to it."""
    fs = filesystem(location)
    existing = stat_or_none(location, follow=False)
    if existing is not None and existing.is_directory:
        location = location.child(source.rstrip("/").rpartition("/")[2])
        existing = stat_or_none(location, follow=False)
    if not symbolic:
        target = LOCATION.convert(source, None, None)
        if target.address != location.address:
            raise UsageFailure("a hard link stays within one filesystem")
        stat(target, follow=False)  # before an existing link is removed
    if existing is not None and force:
        fs.metadata.unlink(fs.caller, location.path)
    if symbolic:
        fs.metadata.symlink(fs.caller, location.path, source)
    else:
        fs.metadata.link(fs.caller, target.path, location.path)
