"""What people see of rates: tables that are drawn anew in a terminal, lines one after the other elsewhere."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

import click

from oastfs.cli import output
from oastfs.cli.stats.rates import OperationRate, PartRate, Rates

_OPERATIONS_MAX = 15
_MOUNT_OPERATIONS_MAX = 8

Table = tuple[Sequence[str], list[list[str]]]
"""Headers and rows; the first column is text, all others are numbers."""


class Screen:
    """Shows rates as they come; on a terminal in its place, as JSON a line for each interval."""

    def __init__(self, address: str, as_json: bool) -> None:
        self._address = address
        self._as_json = as_json
        self._live: Any = None

    def __enter__(self) -> Screen:
        if output.on_terminal() and not self._as_json:
            from rich.live import Live

            self._live = Live(auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, found: Rates) -> None:
        """The rates of one interval."""
        if self._as_json:
            click.echo(json.dumps(_record(self._address, found)))
            return
        head = f"{time.strftime('%H:%M:%S')}  {self._address}  {found.seconds:.1f} s"
        blocks = list(_tables(found))
        if self._live is not None:
            self._live.update(_drawn(head, blocks), refresh=True)
            return
        click.echo(head)
        for headers, rows in blocks:
            click.echo()
            for line in output.aligned([list(headers), *rows], range(1, len(headers))):
                click.echo(line.rstrip())
        for part in found.parts:
            if part.amiss:
                click.echo(f"{part.kind} {part.name}: {part.amiss}")
        click.echo()


def _drawn(head: str, blocks: Iterable[Table]) -> Any:
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn: list[Any] = [Text(head, style="bold")]
    for headers, rows in blocks:
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, header in enumerate(headers):
            table.add_column(header, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(Text, row))
        drawn.append(table)
    return Group(*drawn)


def _tables(found: Rates) -> Iterable[Table]:
    by_kind: dict[str, list[PartRate]] = {"namenode": [], "datanode": [], "mount": []}
    for part in found.parts:
        by_kind[part.kind].append(part)
    if by_kind["namenode"]:
        headers = ("namenode", "calls/s", "mean ms", "errors/s", "in flight", "clients", "cpu", "memory")
        yield (*headers, "trips/s", "cache hits"), [_namenode(part) for part in by_kind["namenode"]]
    if found.operations:
        yield from _operations("call", found.operations, _OPERATIONS_MAX)
    if by_kind["datanode"]:
        columns = ("datanode", "requests/s", "read/s", "written/s", "clients", "replicas")
        yield columns, [_datanode(part) for part in by_kind["datanode"]]
    if by_kind["mount"]:
        rows = [[one.name, _number(one.per_second), _milliseconds(one.mean_ms)] for one in by_kind["mount"]]
        yield ("mount", "requests/s", "mean ms"), rows
    if found.mount_operations:
        yield from _operations("request of mounts", found.mount_operations, _MOUNT_OPERATIONS_MAX)


def _operations(title: str, operations: list[OperationRate], most: int) -> Iterable[Table]:
    rows = [
        [
            one.kind,
            _number(one.per_second),
            _milliseconds(one.mean_ms),
            _milliseconds(one.p99_ms),
            _number(one.errors_per_second),
        ]
        for one in operations[:most]
    ]
    yield (title, "per second", "mean ms", "p99 ms <", "errors/s"), rows


def _namenode(part: PartRate) -> list[str]:
    figures = part.figures
    leads = " (leads)" if figures.get("leader") == 1 else ""
    hits = figures.get("cache_hits", math.nan)
    return [
        f"{part.name}{leads}",
        _number(part.per_second),
        _milliseconds(part.mean_ms),
        _number(figures.get("errors_per_second", math.nan)),
        _number(figures.get("in_flight", math.nan)),
        _number(figures.get("connections", math.nan)),
        _percent(figures.get("cpu", math.nan)),
        _size(figures.get("memory_bytes", math.nan)),
        _number(figures.get("store_trips_per_second", math.nan)),
        _percent(hits),
    ]


def _datanode(part: PartRate) -> list[str]:
    figures = part.figures
    return [
        part.name,
        _number(part.per_second),
        _size(figures.get("read_bytes_per_second", math.nan)),
        _size(figures.get("written_bytes_per_second", math.nan)),
        _number(figures.get("connections", math.nan)),
        _number(figures.get("replicas", math.nan)),
    ]


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.1f}" if 0 < value < 10 and value != int(value) else f"{value:,.0f}"


def _milliseconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if value < 10 else f"{value:.0f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f}%"


def _size(value: float) -> str:
    return "-" if math.isnan(value) else output.size_text(int(value), True)


def _record(address: str, found: Rates) -> dict[str, Any]:
    """For machines: what is not known is null."""
    record = {"address": address, "time_ns": time.time_ns(), **asdict(found)}
    return _without_nan(record)  # type: ignore[no-any-return]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
