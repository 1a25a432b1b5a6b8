"""Figures of a datanode, for Prometheus."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from oastfs.datanode.block_store import BlockStore
    from oastfs.datanode.volume import Volume


class Metrics:
    """Counters of one datanode, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.operations = Counter(
            "oastfs_datanode_operations", "Operations begun.", ["operation"], registry=self.registry
        )
        self.failures = Counter(
            "oastfs_datanode_failures", "Operations refused or broken.", ["operation"], registry=self.registry
        )
        self.bytes_written = self._counter("bytes_written", "Bytes of blocks received.")
        self.bytes_read = self._counter("bytes_read", "Bytes of blocks sent.")
        self.bytes_scrubbed = self._counter("bytes_scrubbed", "Bytes of blocks checked in the background.")
        self.corrupt = self._counter("corrupt_replicas", "Replicas found not to match their checksums.")
        self.offers = Counter(
            "oastfs_datanode_small_blocks",
            "Small blocks of HDFS clients: taken inline by a namenode, refused, or not answered for.",
            ["outcome"],
            registry=self.registry,
        )
        self.connections = Gauge(
            "oastfs_datanode_connections", "Open data connections.", registry=self.registry
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"oastfs_datanode_{name}", text, registry=self.registry)

    def watch(self, store: BlockStore) -> None:
        """Add gauges that are read from the store when asked for."""
        blocks = Gauge("oastfs_datanode_replicas", "Replicas held.", registry=self.registry)
        blocks.set_function(lambda: len(store))
        held = Gauge("oastfs_datanode_held_bytes", "Memory that small blocks take.", registry=self.registry)
        held.set_function(lambda: store.memory.used_bytes)
        labels = ["volume"]
        used = Gauge("oastfs_datanode_used_bytes", "Bytes of blocks.", labels, registry=self.registry)
        remaining = Gauge(
            "oastfs_datanode_remaining_bytes", "Room for blocks.", labels, registry=self.registry
        )
        failed = Gauge(
            "oastfs_datanode_volume_failed", "1 if the volume failed.", labels, registry=self.registry
        )
        for volume in store.volumes:
            name = str(volume.path)
            used.labels(name).set_function(partial(_used, volume))
            remaining.labels(name).set_function(partial(_remaining, volume))
            failed.labels(name).set_function(partial(_failed, volume))


def _used(volume: Volume) -> float:
    return volume.used_bytes


def _remaining(volume: Volume) -> float:
    return volume.space()[1]


def _failed(volume: Volume) -> float:
    return float(volume.failed)
