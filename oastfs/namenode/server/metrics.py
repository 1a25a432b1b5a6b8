"""Figures of a namenode for Prometheus, counted for a fraction of a microsecond a call.

Calls are counted in plain integers on the event loop's thread; a collector turns them into metric
families when somebody asks. Latencies fall into powers of two of nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_FIRST_BIT, _LAST_BIT = 14, 36
"""Buckets shown: up to 16 us, and on by doubling up to 69 s."""


class VerbMetrics:
    """What is known of one method. ``buckets[n]`` counts calls that took from 2**(n-1) to 2**n ns."""

    __slots__ = ("buckets", "errors", "total_ns")

    def __init__(self) -> None:
        self.buckets = [0] * 65
        self.total_ns = 0
        self.errors: dict[str, int] = {}

    def observe(self, elapsed_ns: int) -> None:
        """One call that took ``elapsed_ns``."""
        self.total_ns += elapsed_ns
        self.buckets[elapsed_ns.bit_length()] += 1

    def observe_error(self, elapsed_ns: int, kind: str) -> None:
        """One call that ended in an error of this class name."""
        self.observe(elapsed_ns)
        self.errors[kind] = self.errors.get(kind, 0) + 1

    @property
    def count(self) -> int:
        return sum(self.buckets)


class Metrics:
    """All figures of one server. ``gauge`` adds those that are asked for when they are shown."""

    def __init__(self) -> None:
        self.verbs: dict[str, VerbMetrics] = {}
        self.transfers: dict[str, VerbMetrics] = {}
        self.transferred_bytes = 0
        self.connections_accepted = 0
        self.connections_refused = 0
        self.protocol_errors = 0
        self.gauges: list[tuple[str, str, Callable[[], float]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(_Families(self))
        ProcessCollector(registry=self.registry)

    def verb(self, name: str) -> VerbMetrics:
        """The figures of a method, which it has from its first call on."""
        return self.verbs.get(name) or self.verbs.setdefault(name, VerbMetrics())

    def transfer(self, name: str) -> VerbMetrics:
        """The figures of an operation of the data transfer protocol."""
        return self.transfers.get(name) or self.transfers.setdefault(name, VerbMetrics())

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Show ``value()`` under ``name``."""
        self.gauges.append((name, help_text, value))


class _Families(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        metrics = self._metrics
        yield _latencies("oastfs_rpc_seconds", "Time from a call's arrival to its answer.", metrics.verbs)
        yield _errors("oastfs_rpc_errors", "Calls that ended in an error, by its class.", metrics.verbs)
        yield _latencies(
            "oastfs_transfer_seconds",
            "Time from a request for data to its last byte.",
            metrics.transfers,
        )
        yield _errors("oastfs_transfer_errors", "Data transfers refused, by the error.", metrics.transfers)
        for name, text, value in (
            ("oastfs_rpc_connections_accepted", "Connections accepted.", metrics.connections_accepted),
            ("oastfs_rpc_connections_refused", "Connections over the limit.", metrics.connections_refused),
            ("oastfs_rpc_protocol_errors", "Connections that sent garbage.", metrics.protocol_errors),
            ("oastfs_transfer_bytes", "Bytes of inline blocks sent.", metrics.transferred_bytes),
        ):
            yield CounterMetricFamily(name, text, value=value)
        for name, text, read in metrics.gauges:
            yield GaugeMetricFamily(name, text, value=read())


def _errors(name: str, help_text: str, figures: dict[str, VerbMetrics]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=("verb", "error"))
    for verb, known in list(figures.items()):
        for kind, count in list(known.errors.items()):
            family.add_metric((verb, kind), count)
    return family


def _latencies(name: str, help_text: str, figures: dict[str, VerbMetrics]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, help_text, labels=("verb",))
    for verb, known in list(figures.items()):
        counts = list(known.buckets)
        total = sum(counts[:_FIRST_BIT])
        buckets = []
        for bit in range(_FIRST_BIT, _LAST_BIT + 1):
            total += counts[bit]
            buckets.append((repr((1 << bit) / 1e9), float(total)))
        buckets.append(("+Inf", float(sum(counts))))
        family.add_metric((verb,), buckets, sum_value=known.total_ns / 1e9)
    return family
