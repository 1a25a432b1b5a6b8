"""``oastfs bench failover``: on namenodes of its own, which it kills."""

from __future__ import annotations

import json
from pathlib import Path

import click

from oastfs.cli.output import json_option, print_json, print_table, printable


@click.command("failover")
@click.option("--target", "metadata", multiple=True, required=True, help="The URL of a metadata store.")
@click.option("--through", "faces", multiple=True, help="oastfs, fsspec, mount, hdfs-native, java.")
@click.option(
    "--namenodes", default=3, show_default=True, type=click.IntRange(2, 16), help="How many to start."
)
@click.option("--kills", default=6, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option(
    "--callers", default=4, show_default=True, type=click.IntRange(1, 1024), help="Callers at once."
)
@json_option
@click.option("--out", type=click.Path(dir_okay=False), help="Write the results as JSON to a file.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write a report with plots to a file.")
def failover_command(
    metadata: tuple[str, ...],
    faces: tuple[str, ...],
    namenodes: int,
    kills: int,
    callers: int,
    as_json: bool,
    out: str | None,
    html: str | None,
) -> None:
    """What callers notice when the namenode that serves them is killed.

    Starts namenodes of its own on the store, kills the one in use again and again, and tells how long calls
    paused and how many failed.
    """
    from oastfs.bench import failover_report
    from oastfs.bench.faces import FACES
    from oastfs.bench.failover import Options, Result, run

    for face in faces:
        if face not in FACES:
            raise click.UsageError(f"no client {face!r}; there are {', '.join(FACES)}")
    results: list[Result] = [
        run(Options(metadata, face, namenodes, kills, callers)) for face in faces or ("oastfs",)
    ]
    document = failover_report.to_document(results)
    if out:
        Path(out).write_text(json.dumps(document))
    if html:
        from oastfs.bench.html import page

        Path(html).write_text(page([document]))
    if as_json:
        print_json(document)
        return
    print_table(failover_report.HEADERS, failover_report.rows(results), right=range(1, 7))
    for remark in failover_report.remarks(results):
        click.echo(printable(remark))
