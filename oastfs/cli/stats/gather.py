"""One look at the counters of all parts: metrics of servers, and what mounts here tell of themselves."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oastfs.client import Filesystem

FETCH_SECONDS = 3.0

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]
"""Values by the name of the sample and its labels, sorted."""


@dataclass(frozen=True)
class Part:
    """One part's counters, or why there are none."""

    kind: str
    name: str
    at: float
    samples: Samples = field(default_factory=dict)
    operations: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of a mount."""
    amiss: str = ""


@dataclass(frozen=True)
class Look:
    """What all parts said."""

    parts: dict[tuple[str, str], Part]


class Gatherer:
    """Asks the parts of one filesystem, all at once."""

    def __init__(self, fs: Filesystem) -> None:
        self._fs = fs
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="stats")

    def __enter__(self) -> Gatherer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def look(self) -> Look:
        """Now. A part that does not answer is there with the reason; the filesystem's errors are raised."""
        fs = self._fs
        asked: list[Callable[[], Part]] = []
        for namenode in fs.metadata.namenodes(fs.caller):
            if namenode.live:
                asked.append(_server("namenode", namenode.host, namenode.port, namenode.http_port))
        for datanode in fs.metadata.datanodes(fs.caller):
            if datanode.state != "dead" and datanode.http_port:
                asked.append(_server("datanode", datanode.host, datanode.data_port, datanode.http_port))
        futures = [self._threads.submit(one) for one in asked]
        parts = [future.result() for future in futures] + _mounts(fs.info.filesystem_id)
        return Look({(part.kind, part.name): part for part in parts})


def _server(kind: str, host: str, port: int, http_port: int) -> Callable[[], Part]:
    bracketed = f"[{host}]" if ":" in host else host
    name = f"{bracketed}:{port}"

    def ask() -> Part:
        url = f"http://{bracketed}:{http_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:
                text = answer.read().decode()
            return Part(kind, name, time.monotonic(), parse(text))
        except urllib.error.HTTPError as refusal:
            with refusal:  # it holds the connection
                return Part(kind, name, time.monotonic(), amiss=f"{url} answers {refusal.code}")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            return Part(kind, name, time.monotonic(), amiss=f"{url} does not answer: {reason}")

    return ask


def parse(text: str) -> Samples:
    """The samples of an exposition. Raises ValueError."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _mounts(filesystem_id: str) -> list[Part]:
    """Those on this machine that tell us; what others run is not ours to see."""
    from oastfs.core.errors import OastError
    from oastfs.diagnostics import door

    found = []
    for pid in door.processes():
        try:
            told: dict[str, Any] = door.figures(pid)
        except OastError:
            continue
        if told.get("part") == "mount" and told.get("filesystem") == filesystem_id:
            found.append(
                Part("mount", told["mountpoint"], time.monotonic(), operations=told.get("operations", {}))
            )
    return found
