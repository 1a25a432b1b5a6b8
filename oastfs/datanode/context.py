"""What every operation of the data port works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.replica import Replica
from oastfs.datanode.small_blocks import SmallBlocks


@dataclass(frozen=True)
class DataContext:
    """The datanode as its connections see it."""

    store: BlockStore
    config: DatanodeConfig
    metrics: Metrics
    verify_soon: Callable[[Replica], None]
    """Have the scrubber look at a replica that a reader complained of."""
    small_blocks: SmallBlocks
    report_blocks: Callable[[bool], None] = lambda incremental: None
    """Tell namenodes of changes now (incremental), or of all replicas."""
    request_stop: Callable[[], None] = lambda: None
    """An administrator wants the datanode to end."""
