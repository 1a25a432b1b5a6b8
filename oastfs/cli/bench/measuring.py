"""Running tasks in turn, with the terminal told how far they are, and the results where they are wanted."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oastfs.cli.bench.options import Common
from oastfs.cli.output import print_json, print_table

if TYPE_CHECKING:
    from oastfs.bench.load import Observer
    from oastfs.bench.results import Result
    from oastfs.bench.worker import Task


class TerminalObserver:
    """One line on the terminal: what runs, for how long, and at what rate."""

    def __init__(self, show: Any) -> None:
        self._show = show
        self._what = ""
        self._last = (0.0, 0)

    def began(self, task: Task, phase: str) -> None:
        self._what = f"{task.workload} {phase}".removesuffix(f" {task.workload}") + f" on {task.target}"
        self._last = (0.0, 0)
        self._show(f"{self._what} …")

    def progress(self, amount: int, seconds: float) -> None:
        before_seconds, before = self._last
        if seconds <= before_seconds:
            return
        rate = (amount - before) / (seconds - before_seconds)
        self._last = (seconds, amount)
        self._show(f"{self._what}: {seconds:.0f} s, {amount:,} done, {rate:,.0f}/s")


@contextmanager
def watched() -> Iterator[Observer]:
    """An observer for this terminal; a silent one if there is none."""
    from oastfs.bench.load import Silent

    if not sys.stderr.isatty():
        yield Silent()
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield TerminalObserver(lambda text: status.update(text.replace("[", "\\[")))


def tasks_of(common: Common, workload: str, settings: dict[str, Any], **more: Any) -> list[Task]:
    """The same work on each target. Settings that are None are left to the workload."""
    from oastfs.bench.worker import Task

    given = {name: value for name, value in settings.items() if value is not None}
    return [
        Task(
            workload,
            target,
            common.callers,
            common.processes,
            given,
            base=common.base,
            seed=common.seed,
            **more,
        )
        for target in common.chosen_targets()
    ]


def measure(common: Common, tasks: Iterable[tuple[Task, dict[str, float]]]) -> list[Result]:
    """Run all tasks, each with its place on the axes of a series, as often as asked, in turn."""
    from oastfs.bench.load import checked, run

    planned = [(checked(task), axes) for task, axes in tasks]
    results = []
    with watched() as observer:
        for number in range(common.repeat):
            for task, axes in planned:
                # Each turn has random numbers of its own, the same for all targets.
                turn = dataclasses.replace(task, seed=task.seed + number)
                found = run(turn, observer, common.disks, common.watch)
                results += [dataclasses.replace(result, axes={**result.axes, **axes}) for result in found]
    return results


def deliver(common: Common, results: Sequence[Result]) -> None:
    """Print a table or JSON, and write the files that are wanted."""
    from oastfs.bench import table
    from oastfs.bench.results import to_document

    document = to_document(results)
    if common.out:
        Path(common.out).write_text(json.dumps(document))
    if common.html:
        from oastfs.bench.html import page

        Path(common.html).write_text(page([document]))
    if common.as_json:
        print_json(document)
        return
    print_table(table.HEADERS, table.rows(results), right=range(2, 10))
    if kinds := table.kind_rows(results):
        click.echo()
        print_table(table.KIND_HEADERS, kinds, right=range(2, 9))
    for remark in table.remarks(results):
        click.echo(f"Note: {remark}.")
