"""``oastfs bench report``: a page with plots of results that were kept as JSON."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--html", required=True, type=click.Path(dir_okay=False), help="The page to write.")
@click.option("--title", default="OastFS benchmark", show_default=True, help="Its heading.")
def report_command(results: tuple[str, ...], html: str, title: str) -> None:
    """Make one HTML report of RESULTS, files that --out or --json gave.

    The page needs nothing from elsewhere and can be sent as it is. Of several files it makes one comparison.
    """
    from oastfs.bench.html import page
    from oastfs.bench.results import read_document

    Path(html).write_text(page([read_document(path) for path in results], title))
    click.echo(html)
