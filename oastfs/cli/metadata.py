"""``oastfs metadata``: the whole of a metadata store to a file, from a file, or into another store."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from oastfs.cli import output
from oastfs.cli.failure import Failure, UsageFailure
from oastfs.core.secrets import without_password

if TYPE_CHECKING:
    from oastfs.store.export import Header, Tally
    from oastfs.store.transaction import Store, Transaction

_fsck = click.option("--fsck", "check_after", is_flag=True, help="Check every invariant of what came out.")
_restart = click.option("--restart", is_flag=True, help="Clear first what an unfinished import left there.")
_stores = click.argument("metadata", metavar="METADATA_URL...", nargs=-1, required=True)
_STEP_SECONDS = 0.5


@click.group("metadata")
def metadata_command() -> None:
    """Export, import and copy metadata stores, small files included.

    Blocks stay where they are: on the datanodes, which find their filesystem again in its new store.
    """


@metadata_command.command("export")
@_stores
@click.option("-o", "--output", "target", default="-", metavar="FILE", help="Where to (standard output).")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@output.json_option
def metadata_export(metadata: tuple[str, ...], target: str, force: bool, as_json: bool) -> None:
    """Write one snapshot of a store to a file, compressed and checksummed.

    Servers may go on meanwhile. An LMDB store grows while it is exported and changed at once, since the
    snapshot's pages are kept.
    """
    from oastfs.cli.stores import opened
    from oastfs.store.export import EXPORTED, ExportWriter, chunks, read_once
    from oastfs.store.export.file import new_header
    from oastfs.store.export.rows import encode_rows

    if target == "-" and as_json:
        raise UsageFailure("--json wants --output FILE: the export itself goes to standard output")
    if target == "-" and sys.stdout.isatty():
        raise UsageFailure("an export is no text for a terminal: give --output FILE, or redirect it")
    with opened(metadata) as store, _written(target, force) as stream, _Progress() as progress:
        header = new_header(_filesystem_id(store), len(live_namenodes(store)))
        writer = ExportWriter(stream, header)

        def run(tx: Transaction) -> None:
            for table in EXPORTED:
                for rows in chunks(tx, table):
                    writer.add(table, encode_rows(rows), len(rows))
                    progress(table.name, len(rows))

        read_once(store, run)
        tallies = writer.finish()
        size_bytes = writer.size_bytes
    where = "standard output" if target == "-" else target
    text = f"exported {_told(tallies)} to {where}, {output.size_text(size_bytes, True)}"
    _finish(header.filesystem_id, tallies, text, as_json, to_stderr=target == "-")


@metadata_command.command("import")
@click.argument("source", metavar="FILE")
@_stores
@_restart
@_fsck
@output.json_option
def metadata_import(
    source: str, metadata: tuple[str, ...], restart: bool, check_after: bool, as_json: bool
) -> None:
    """Fill a new, empty store from an export; FILE may be - for standard input.

    A file is checked before anything is changed. What was put in is read back and compared; until then the
    store cannot be used, so an import that is interrupted leaves nothing that looks like a filesystem.
    """
    from oastfs.cli.stores import opened
    from oastfs.store.export import ExportReader, Load, inspect
    from oastfs.store.export.file import is_seekable

    with _read(source) as stream:
        if is_seekable(stream):
            inspect(stream)
            stream.seek(0)
        reader = ExportReader(stream)
        with opened(metadata, create=True) as store, _Progress() as progress:
            load = Load(store, progress)
            load.begin(restart)
            load.add_export(reader)
            tallies = load.finish()
            _check(store, check_after)
    text = f"imported {_told(tallies)} into {_shown(metadata)}"
    _finish(reader.header.filesystem_id, tallies, text, as_json)


@metadata_command.command("copy")
@click.argument("source", metavar="SOURCE_URL")
@click.argument("target", metavar="TARGET_URL")
@click.option("--source", "more_sources", multiple=True, metavar="URL", help="A further shard of the source.")
@click.option("--target", "more_targets", multiple=True, metavar="URL", help="A further shard of the target.")
@click.option("--online", is_flag=True, help="Although namenodes serve it: what they change later is lost.")
@_restart
@_fsck
@output.json_option
def metadata_copy(
    source: str,
    target: str,
    more_sources: tuple[str, ...],
    more_targets: tuple[str, ...],
    online: bool,
    restart: bool,
    check_after: bool,
    as_json: bool,
) -> None:
    """Copy one snapshot of a store into a new, empty one, and compare both.

    To move a filesystem, stop its namenodes, mounts and other users of the store first, and never run any on
    the old store again.
    """
    from oastfs.cli.stores import opened
    from oastfs.store.export import copy_store

    with opened((source, *more_sources)) as old:
        filesystem_id = _filesystem_id(old)
        if not online and (live := live_namenodes(old)):
            raise Failure(
                f"namenodes serve this store ({', '.join(live)}): stop them first, or what they change will "
                "be missing in the copy (--online copies a snapshot nevertheless)"
            )
        with opened((target, *more_targets), create=True) as new, _Progress() as progress:
            tallies = copy_store(old, new, restart=restart, told=progress)
            _check(new, check_after)
    text = f"copied {_told(tallies)} to {_shown((target, *more_targets))}"
    _finish(filesystem_id, tallies, text, as_json)


@metadata_command.command("show")
@click.argument("source", metavar="FILE|METADATA_URL...", nargs=-1, required=True)
@output.json_option
def metadata_show(source: tuple[str, ...], as_json: bool) -> None:
    """Count the rows of an export or of a store and print their digests; a damaged export is told.

    Digests are equal exactly if all rows are, whatever kind of store holds them.
    """
    header, filesystem_id, tallies = _look_at(source)
    if as_json:
        output.print_json(_record(filesystem_id, tallies))
        return
    click.echo(f"filesystem {filesystem_id}")
    if header is not None:
        made = output.time_text(header.made_ns)
        beside = f", while {header.namenodes} namenodes served it" if header.namenodes else ""
        click.echo(f"exported {made} by version {header.made_by}, schema {header.schema_version}{beside}")
    rows = [[name, str(tally.rows), tally.sha256] for name, tally in tallies.items() if tally.rows]
    output.print_table(("table", "rows", "sha256"), rows, right=(1,))


def live_namenodes(store: Store) -> list[str]:
    """Addresses of the namenodes that serve a store now."""
    from oastfs.namenode.registry import is_live
    from oastfs.store.schema import NAMENODE

    now_ns = time.time_ns()
    rows = store.read(lambda tx: [row for _, row in tx.scan(NAMENODE)])
    return [f"{row.host}:{row.port}" for row in rows if is_live(row, now_ns)]


# --- helpers ----------------------------------------------------------------------------------------


def _filesystem_id(store: Store) -> str:
    from oastfs.namenode.filesystem import load_info

    return load_info(store).filesystem_id


def _look_at(source: Sequence[str]) -> tuple[Header | None, str, dict[str, Tally]]:
    from oastfs.cli.location import has_scheme
    from oastfs.cli.stores import opened
    from oastfs.store.export import inspect, read_once, summarize

    if not has_scheme(source[0]):
        if len(source) > 1:
            raise UsageFailure("give one file, or the URLs of one store")
        with _read(source[0]) as stream:
            header, tallies = inspect(stream)
        return header, header.filesystem_id, tallies
    with opened(source) as store:
        return None, _filesystem_id(store), read_once(store, summarize)


def _check(store: Store, wanted: bool) -> None:
    if not wanted:
        return
    from oastfs.namenode.fsck import check

    report = check(store)
    if not report.clean:
        for problem in report.problems[:10]:
            click.echo(f"problem: {output.printable(str(problem))}", err=True)
        raise Failure(
            f"fsck found {report.counts.total()} problems, in the source as well: run `oastfs fsck --repair`"
        )


@contextmanager
def _read(source: str) -> Iterator[IO[bytes]]:
    if source == "-":
        yield sys.stdin.buffer
        return
    with Path(source).open("rb") as stream:
        yield stream


@contextmanager
def _written(target: str, force: bool) -> Iterator[IO[bytes]]:
    """A stream to write to; a file appears under its name once it is whole and durable."""
    if target == "-":
        yield sys.stdout.buffer
        return
    path = Path(target)
    if path.exists() and not force:
        raise Failure(f"{target} exists: --force replaces it")
    part = path.with_name(f"{path.name}.part")
    try:
        # A namespace is not for everybody's eyes.
        part.unlink(missing_ok=True)
        part.touch(0o600)
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _told(tallies: dict[str, Tally]) -> str:
    names = tallies["inode"].rows
    return f"{sum(tally.rows for tally in tallies.values())} rows of metadata ({names} names)"


def _shown(urls: Sequence[str]) -> str:
    return " ".join(map(without_password, urls))


def _record(filesystem_id: str, tallies: dict[str, Tally]) -> dict[str, Any]:
    tables = {name: {"rows": tally.rows, "sha256": tally.sha256} for name, tally in tallies.items()}
    return {"filesystem": filesystem_id, "tables": tables}


def _finish(
    filesystem_id: str, tallies: dict[str, Tally], text: str, as_json: bool, to_stderr: bool = False
) -> None:
    if as_json:
        output.print_json(_record(filesystem_id, tallies))
    else:
        click.echo(text, err=to_stderr)


class _Progress:
    """A line on stderr, for a person who watches: the table, and rows a second."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._began = self._next = time.monotonic()
        self._rows = 0

    def __enter__(self) -> Callable[[str, int], None]:
        return self._count

    def __exit__(self, *unused: object) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _count(self, table: str, rows: int) -> None:
        self._rows += rows
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + _STEP_SECONDS
            rate = self._rows / max(now - self._began, 1e-3)
            click.echo(f"\r\x1b[K{self._rows:,} rows, {rate:,.0f} rows/s: {table}", nl=False, err=True)
