"""Workloads by name: what callers do, in phases. A new one is a class of ``Workload`` and a line here."""

from __future__ import annotations

from oastfs.bench.workloads.base import Workload
from oastfs.bench.workloads.scale import Scale
from oastfs.bench.workloads.single import SINGLE
from oastfs.bench.workloads.smallfiles import SmallFiles
from oastfs.bench.workloads.spotify import Spotify
from oastfs.bench.workloads.streams import STREAMS
from oastfs.bench.workloads.trees import Trees

__all__ = ["WORKLOADS", "Workload"]

WORKLOADS: dict[str, Workload] = {
    workload.name: workload for workload in (*SINGLE, *STREAMS, Spotify(), SmallFiles(), Trees(), Scale())
}
