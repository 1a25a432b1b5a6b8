"""``oastfs put``, ``get`` and ``cp``: one engine with other ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

import click

from oastfs.cli.changing import umask
from oastfs.cli.content import copy_stream
from oastfs.cli.failure import Failure, UsageFailure
from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location, has_scheme
from oastfs.cli.target import expand, filesystem
from oastfs.cli.transfer.ends import Sink, Source, join
from oastfs.cli.transfer.engine import Copier, CopyOptions
from oastfs.cli.transfer.local import LocalSink, LocalSource
from oastfs.cli.transfer.progress import ProgressBar
from oastfs.cli.transfer.remote import RemoteSink, RemoteSource

F = TypeVar("F", bound=Callable[..., object])

STREAM = "-"


def copy_options(function: F) -> F:
    """The flags that put, get and cp share."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="No progress bar."),
        click.option("-n", "--no-clobber", is_flag=True, help="Fail rather than replace a file."),
        click.option(
            "-p",
            "--preserve",
            is_flag=True,
            help="Keep modes, times, owners, extended attributes and hard links.",
        ),
    ):
        function = option(function)
    return function


habitual_recursive = click.option(
    "-r", "-R", "--recursive", is_flag=True, hidden=True, expose_value=False, help="Always so."
)
"""Typed by habit: put and get copy directories whole in any case."""


@click.command()
@click.argument("sources", metavar="LOCAL...", nargs=-1, required=True)
@click.argument("target", metavar="URL", type=LOCATION)
@copy_options
@habitual_recursive
def put_command(
    sources: tuple[str, ...], target: Location, preserve: bool, no_clobber: bool, quiet: bool
) -> None:
    """Copy local files into the filesystem.

    Directories are copied whole; - is the standard input.
    """
    for source in sources:
        if has_scheme(source):
            raise UsageFailure(f"put copies local files; for {source} use cp or get")
    fs = filesystem(target)
    sink = RemoteSink(fs, not no_clobber, settles=preserve)
    if STREAM in sources:
        if len(sources) > 1:
            raise UsageFailure("- (the standard input) goes alone")
        with sink.create(target.path, 0o666 & ~umask()) as stream:
            copy_stream(sys.stdin.buffer, stream)
        return
    _copy(LocalSource(), sources, sink, target.path, CopyOptions(preserve, umask()), "put", quiet)


@click.command()
@click.argument("sources", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.argument("target", metavar="LOCAL")
@copy_options
@habitual_recursive
def get_command(
    sources: tuple[Location, ...], target: str, preserve: bool, no_clobber: bool, quiet: bool
) -> None:
    """Copy files out of the filesystem.

    Directories are copied whole; - is the standard output.
    """
    if has_scheme(target):
        raise UsageFailure(f"get copies to this machine; for {target} use cp or put")
    found = list(expand(sources))
    if target == STREAM:
        for location in found:
            with RemoteSource(filesystem(location)).open(location.path) as stream:
                copy_stream(stream, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    source = RemoteSource(filesystem(_same_filesystem(found)))
    paths = [location.path for location in found]
    sink = LocalSink(not no_clobber)
    _copy(source, paths, sink, target, CopyOptions(preserve, umask()), "get", quiet)


@click.command()
@click.argument("sources", metavar="URL...", nargs=-1, required=True, type=LOCATION)
@click.argument("target", metavar="TARGET", type=LOCATION)
@copy_options
@click.option("-r", "-R", "--recursive", is_flag=True, help="Directories with all that is in them.")
def cp_command(
    sources: tuple[Location, ...],
    target: Location,
    preserve: bool,
    no_clobber: bool,
    quiet: bool,
    recursive: bool,
) -> None:
    """Copy files within the filesystem, or from one to another."""
    found = list(expand(sources))
    source = RemoteSource(filesystem(_same_filesystem(found)))
    paths = [location.path for location in found]
    if found[0].address == target.address:
        _refuse_copy_into_itself(paths, target.path)
    if not recursive:
        for path in paths:
            if source.item(path, follow=True).is_directory:
                raise Failure(f"{path}: Is a directory (use -r to copy it)")
    sink = RemoteSink(filesystem(target), not no_clobber, settles=preserve)
    _copy(source, paths, sink, target.path, CopyOptions(preserve, umask()), "cp", quiet)


def _same_filesystem(locations: Iterable[Location]) -> Location:
    first, *others = locations
    if any(other.address != first.address for other in others):
        raise UsageFailure("the sources must be in one filesystem")
    return first


def _refuse_copy_into_itself(paths: Iterable[str], target: str) -> None:
    for path in paths:
        if target == path or target.startswith(join(path, "")):
            raise UsageFailure(f"{path} cannot be copied into itself: {target}")


def _copy(
    source: Source,
    paths: Iterable[str],
    sink: Sink,
    target: str,
    options: CopyOptions,
    title: str,
    quiet: bool,
) -> None:
    chosen = list(paths)
    into = sink.is_directory(target)
    if len(chosen) > 1 and not into:
        raise Failure(f"{target}: with several sources the target must be an existing directory")
    tally = Tally()
    with (
        ProgressBar(title, shown=not quiet) as progress,
        Copier(source, sink, options, tally, progress) as copier,
    ):
        for path in chosen:
            try:
                item = source.item(path, follow=not options.preserve)
            except OSError as error:
                tally.fail(error)
                continue
            copier.copy(item, join(target, item.name) if into and item.name else target)
    tally.finish()
