"""What every operation of the data port works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oastfs.core.errors import (
    AlreadyExists,
    CorruptBlock,
    InvalidArgument,
    OastError,
    ProtocolError,
    Unsupported,
)
from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.replica import Replica
from oastfs.wire.proto import datatransfer_pb2 as pb


@dataclass(frozen=True)
class DataContext:
    """The datanode as its connections see it."""

    store: BlockStore
    config: DatanodeConfig
    metrics: Metrics
    verify_soon: Callable[[Replica], None]
    """Have the scrubber look at a replica that a reader complained of."""


def status_of(error: OSError) -> pb.Status.ValueType:
    """How the protocol names an error."""
    if isinstance(error, CorruptBlock):
        return pb.ERROR_CHECKSUM
    if isinstance(error, AlreadyExists):
        return pb.ERROR_EXISTS
    if isinstance(error, (InvalidArgument, ProtocolError)):
        return pb.ERROR_INVALID
    if isinstance(error, Unsupported):
        return pb.ERROR_UNSUPPORTED
    return pb.ERROR


def refusal(error: OSError) -> pb.BlockOpResponse:
    """The answer to an operation that failed before it began."""
    text = str(error) if isinstance(error, OastError) else f"I/O error: {error.strerror or error}"
    return pb.BlockOpResponse(status=status_of(error), message=text)
