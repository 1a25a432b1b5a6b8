"""The report for people: one HTML page with plots and tables, which loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from oastfs.bench import failover, failover_report, plots, table
from oastfs.bench.results import Result, from_document

_STYLE = """
:root {
  --ink: #1b1f24; --dim: #667; --grid: #dde; --paper: #fff; --row: #f4f6f9;
  --c0: #2468b4; --c1: #d9730d; --c2: #2a8c4a; --c3: #b3261e;
  --c4: #7a4fc0; --c5: #00868b; --c6: #b0792b; --c7: #c2338b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ee; --dim: #99a; --grid: #334; --paper: #14171c; --row: #1c2128;
    --c0: #6ca8f0; --c1: #f2a154; --c2: #6cc98a; --c3: #f08080;
    --c4: #b79cf0; --c5: #5cc8cc; --c6: #d9b06a; --c7: #ec8cc6;
  }
}
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 2rem auto; max-width: 84rem; padding: 0 1rem;
}
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 0; flex: 1 1 34rem; max-width: 42rem; }
figure > svg { width: 100%; height: auto; }
figure ul {
  list-style: none; padding: 0 0 0 4rem; margin: .2rem 0;
  display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; font-size: 12px;
}
svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
svg .title { font-size: 14px; font-weight: 600; }
svg .tick, svg .label { fill: var(--dim); }
.grid { stroke: var(--grid); fill: none; }
.line { fill: none; stroke-width: 2; }
.spread { stroke-width: 1; opacity: .6; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th { color: var(--dim); font-weight: 500; }
th:nth-child(-n+2), td:nth-child(-n+2), th:last-child, td:last-child { text-align: left; }
tbody tr:nth-child(odd) { background: var(--row); }
.dim { color: var(--dim); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: 13px; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
""" + "".join(
    f".s{n} {{ fill: var(--c{n}); }} .line.s{n}, .spread.s{n} {{ stroke: var(--c{n}); fill: none; }}\n"
    for n in range(8)
)


def page(documents: Sequence[dict[str, Any]], title: str = "OastFS benchmark") -> str:
    """One report of all documents' results. Raises InvalidArgument for what are no such documents."""
    kills = [document for document in documents if failover_report.is_document(document)]
    others = [document for document in documents if document not in kills]
    pauses = [result for document in kills for result in failover_report.from_document(document)]
    results = [result for document in others for result in from_document(document)]
    sections = [
        ("Systems side by side", [*plots.comparison(results), *plots.cpu_comparison(results)]),
        ("Rate against scale", plots.scale_curves(results)),
        ("Latency against load", plots.arrival_curves(results)),
        ("Latency curves", plots.latency_curves(results)),
        ("Over time", plots.timelines(results)),
        ("When namenodes are killed", failover_report.figures(pauses)),
    ]
    body = [f"<h1>{escape(title)}</h1>", _heading(documents)]
    for heading, figures in sections:
        if figures:
            body.append(f'<h2>{heading}</h2><div class="plots">{"".join(figures)}</div>')
    for heading, headers, rows in _tables(results, pauses):
        if rows:
            body.append(f"<h2>{heading}</h2>{_table(headers, rows)}")
    if remarks := table.remarks(results) + failover_report.remarks(pauses):
        body.append("<h2>Notes</h2><ul>" + "".join(f"<li>{escape(text)}.</li>" for text in remarks) + "</ul>")
    body += ["<h2>Machine</h2>", *(_machine(document["machine"]) for document in documents)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _tables(
    results: Sequence[Result], pauses: Sequence[failover.Result]
) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """(heading, headers, rows) of all tables, in order; without rows where there is nothing to tell."""
    return [
        ("All results", table.HEADERS, table.rows(results)),
        ("By operation", table.KIND_HEADERS, table.kind_rows(results)),
        ("Pauses", failover_report.HEADERS, failover_report.rows(pauses)),
        ("Settings and versions", ("workload", "target", "versions", "settings"), _settings(results)),
        ("Settings of failover", failover_report.SETTINGS_HEADERS, failover_report.settings(pauses)),
    ]


def _heading(documents: Sequence[dict[str, Any]]) -> str:
    moments = sorted(document["machine"]["time"] for document in documents)
    machine = documents[0]["machine"]
    when = moments[0] if moments[0] == moments[-1] else f"{moments[0]} to {moments[-1]}"
    return (
        f'<p class="dim">OastFS {escape(machine["version"])}, {machine["cores"]} cores '
        f"({escape(machine['processor'] or machine['machine'])}), {escape(when)}. "
        "Rates are medians of repeated runs; latencies count all of them.</p>"
    )


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in headers)
    lines = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _settings(results: Sequence[Result]) -> list[list[str]]:
    seen = {}
    for result in results:
        settings = {**result.settings, "callers": result.callers, "processes": result.processes}
        texts = [f"{name} {value}" for name, value in settings.items()]
        versions = ", ".join(f"{name} {value}" for name, value in result.versions.items())
        seen[(result.workload, result.target)] = [result.workload, result.target, versions, ", ".join(texts)]
    return list(seen.values())


def _machine(machine: dict[str, Any]) -> str:
    rows = []
    for name, value in machine.items():
        text = (
            " ".join(value) if name == "command" else value if isinstance(value, str) else json.dumps(value)
        )
        rows.append(f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(text)}</dd>")
    return f"<dl>{''.join(rows)}</dl>"
