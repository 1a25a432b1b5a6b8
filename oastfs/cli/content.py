"""``oastfs cat``, ``head`` and ``tail``."""

from __future__ import annotations

import sys
import time
from typing import IO, Any

import click

from oastfs.cli.items import Tally
from oastfs.cli.location import LOCATION, Location
from oastfs.cli.target import expand, filesystem, stat

CHUNK_BYTES = 1 << 20
FOLLOW_SECONDS = 0.5

locations_argument = click.argument("locations", metavar="URL...", nargs=-1, required=True, type=LOCATION)


def open_for_reading(location: Location) -> IO[bytes]:
    """The content of a file as a stream."""
    fs = filesystem(location)
    stream: IO[bytes] = fs.open(location.path, "rb")
    return stream


def copy_stream(source: Any, target: Any, limit_bytes: int | None = None) -> int:
    """Copy bytes until the end, or ``limit_bytes``; how many were copied."""
    copied = 0
    while limit_bytes is None or copied < limit_bytes:
        wanted = CHUNK_BYTES if limit_bytes is None else min(CHUNK_BYTES, limit_bytes - copied)
        data = source.read(wanted)
        if not data:
            break
        target.write(data)
        copied += len(data)
    return copied


@click.command()
@locations_argument
def cat_command(locations: tuple[Location, ...]) -> None:
    """Write the content of files to the standard output, one after the other."""
    tally = Tally()
    for location in locations:
        with tally.item():
            for where in expand([location]):
                with open_for_reading(where) as stream:
                    copy_stream(stream, sys.stdout.buffer)
                sys.stdout.buffer.flush()
    tally.finish()


@click.command()
@locations_argument
@click.option("-n", "--lines", default=10, type=click.IntRange(min=0), help="Lines to show (10).")
@click.option("-c", "--bytes", "size_bytes", type=click.IntRange(min=0), help="Bytes to show instead.")
def head_command(locations: tuple[Location, ...], lines: int, size_bytes: int | None) -> None:
    """Show the beginning of files."""
    tally = Tally()
    found = list(expand(locations))
    for number, where in enumerate(found):
        with tally.item(), open_for_reading(where) as stream:
            _title(where, number, len(found))
            if size_bytes is not None:
                copy_stream(stream, sys.stdout.buffer, size_bytes)
            else:
                for _ in range(lines):
                    line = stream.readline()
                    if not line:
                        break
                    sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    tally.finish()


@click.command()
@locations_argument
@click.option("-n", "--lines", default=10, type=click.IntRange(min=0), help="Lines to show (10).")
@click.option("-c", "--bytes", "size_bytes", type=click.IntRange(min=0), help="Bytes to show instead.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended.")
def tail_command(locations: tuple[Location, ...], lines: int, size_bytes: int | None, follow: bool) -> None:
    """Show the end of files, and follow it."""
    tally = Tally()
    found = list(expand(locations))
    if follow and len(found) != 1:
        raise click.UsageError("-f follows one file")
    for number, where in enumerate(found):
        with tally.item(), open_for_reading(where) as stream:
            _title(where, number, len(found))
            length = stream.seek(0, 2)
            start = length - size_bytes if size_bytes is not None else _line_start(stream, length, lines)
            stream.seek(max(0, start))
            copy_stream(stream, sys.stdout.buffer, length - max(0, start))
            sys.stdout.buffer.flush()
            if follow:
                _follow(where, length)
    tally.finish()


def _title(where: Location, number: int, count: int) -> None:
    if count > 1:
        click.echo(f"{'' if number == 0 else chr(10)}==> {where.path} <==")


def _line_start(stream: IO[bytes], length: int, lines: int) -> int:
    """Where the last ``lines`` lines begin, found by reading backwards."""
    if lines == 0:
        return length
    position, wanted = length, lines
    while position > 0:
        size = min(CHUNK_BYTES, position)
        position -= size
        stream.seek(position)
        data = stream.read(size)
        # The newline that ends the file begins no line.
        at = size - 1 if position + size == length else size
        while (at := data.rfind(b"\n", 0, at)) != -1:
            wanted -= 1
            if wanted == 0:
                return position + at + 1
    return 0


def _follow(where: Location, position: int) -> None:
    """Print what is appended, until interrupted. A file that shrank is begun anew."""
    while True:
        length = stat(where).length
        if length < position:
            position = 0
        if length > position:
            with open_for_reading(where) as stream:
                stream.seek(position)
                position += copy_stream(stream, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        time.sleep(FOLLOW_SECONDS)
