"""Building requests and refusals of the protocol from plain values, the same way for all who speak it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from oastfs.core.errors import (
    AlreadyExists,
    BlockNotFound,
    CorruptBlock,
    InvalidArgument,
    OastError,
    PermissionDenied,
    ProtocolError,
    Unsupported,
)
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.checksum import ChecksumKind
from oastfs.wire.transfer.ops import Op, encode_request

Stage = pb.OpWriteBlock.BlockConstructionStage
POOL_ID = "oastfs"
"""Block pool id. Ours are one pool; datanodes ignore what clients send."""


class Target(NamedTuple):
    """A datanode's storage as the next hop of a pipeline."""

    host: str
    data_port: int
    storage_uuid: str = ""
    datanode_uuid: str = ""

    @property
    def address(self) -> str:
        """As ``firstBadLink`` names it."""
        return f"{self.host}:{self.data_port}"


class BlockId(NamedTuple):
    """A block as a request names it."""

    block_id: int
    generation_stamp: int
    length: int = 0


def base_header(block: BlockId) -> pb.BaseHeader:
    """The block of a request, with the empty token that stands for no security."""
    return pb.BaseHeader(
        block=pb.ExtendedBlock(
            poolId=POOL_ID,
            blockId=block.block_id,
            generationStamp=block.generation_stamp,
            numBytes=block.length,
        ),
        token=pb.Token(identifier=b"", password=b"", kind="", service=""),
    )


def client_header(block: BlockId, client_name: str) -> pb.ClientOperationHeader:
    """``base_header`` and who asks."""
    return pb.ClientOperationHeader(baseHeader=base_header(block), clientName=client_name)


def datanode_info(target: Target) -> pb.DatanodeInfo:
    """A hop of a pipeline."""
    return pb.DatanodeInfo(
        id=pb.DatanodeID(
            ipAddr=target.host,
            hostName=target.host,
            datanodeUuid=target.datanode_uuid,
            xferPort=target.data_port,
            infoPort=0,
            ipcPort=0,
        )
    )


def write_request(
    block: BlockId,
    targets: Sequence[Target],
    stage: Stage.ValueType,
    *,
    client_name: str = "",
    new_stamp: int | None = None,
    checksum: ChecksumKind = ChecksumKind.CRC32C,
    bytes_per_checksum: int = 512,
    lend: bool = False,
) -> bytes:
    """OP_WRITE_BLOCK to the first of ``targets``, which passes it on to the others.

    ``block.generation_stamp`` is the replica's present stamp and ``new_stamp`` the one that the write
    gives it (for a new block: the same). ``block.length`` is the committed or acknowledged length: a
    replica that exists is cut to it. It goes into numBytes and into minBytesRcvd, which is
    where datanodes look, because Java puts the block size into numBytes. ``lend`` asks for the replica's
    data file, to write it without the datanode; HDFS's datanodes pass over that.
    """
    first, rest = targets[0], targets[1:]
    message = pb.OpWriteBlock(
        header=client_header(block, client_name),
        targets=[datanode_info(target) for target in rest],
        stage=stage,
        pipelineSize=len(targets),
        minBytesRcvd=block.length,
        maxBytesRcvd=block.length,
        latestGenerationStamp=block.generation_stamp if new_stamp is None else new_stamp,
        requestedChecksum=pb.Checksum(type=int(checksum), bytesPerChecksum=bytes_per_checksum),  # type: ignore[arg-type]
        storageType=pb.DISK,
        targetStorageTypes=[pb.DISK for _ in rest],
        storageId=first.storage_uuid,
        targetStorageIds=[target.storage_uuid for target in rest],
        lend=lend or None,
    )
    return encode_request(Op.WRITE_BLOCK, message)


def read_request(
    block: BlockId, offset: int, length: int, *, client_name: str = "", send_checksums: bool = True
) -> bytes:
    """OP_READ_BLOCK of ``length`` bytes from ``offset`` of a block."""
    message = pb.OpReadBlock(
        header=client_header(block, client_name), offset=offset, len=length, sendChecksums=send_checksums
    )
    return encode_request(Op.READ_BLOCK, message)


def transfer_request(block: BlockId, targets: Sequence[Target], *, client_name: str = "") -> bytes:
    """OP_TRANSFER_BLOCK: ask a datanode to copy its replica to others."""
    message = pb.OpTransferBlock(
        header=client_header(block, client_name),
        targets=[datanode_info(target) for target in targets],
        targetStorageTypes=[pb.DISK for _ in targets],
        targetStorageIds=[target.storage_uuid for target in targets],
    )
    return encode_request(Op.TRANSFER_BLOCK, message)


def checksum_request(block: BlockId, *, composite: bool = False) -> bytes:
    """OP_BLOCK_CHECKSUM over the first ``block.length`` bytes."""
    kind = pb.COMPOSITE_CRC if composite else pb.MD5CRC
    message = pb.OpBlockChecksum(
        header=base_header(block), blockChecksumOptions=pb.BlockChecksumOptions(blockChecksumType=kind)
    )
    return encode_request(Op.BLOCK_CHECKSUM, message)


def short_circuit_request(block: BlockId) -> bytes:
    """OP_REQUEST_SHORT_CIRCUIT_FDS, for a datanode's Unix socket."""
    message = pb.OpRequestShortCircuitAccess(header=base_header(block), maxVersion=1)
    return encode_request(Op.REQUEST_SHORT_CIRCUIT_FDS, message)


_ERRORS: dict[int, type[OastError]] = {
    pb.ERROR_CHECKSUM: CorruptBlock,
    pb.ERROR_INVALID: InvalidArgument,
    pb.ERROR_ACCESS_TOKEN: PermissionDenied,
    pb.ERROR_UNSUPPORTED: Unsupported,
}


def check_response(response: pb.BlockOpResponse) -> None:
    """Raise what a datanode's refusal stands for; return if it is a success.

    Any plain ERROR is BlockNotFound: on this datanode, at least, the block cannot be had.
    """
    if response.status != pb.SUCCESS:
        kind = _ERRORS.get(response.status, BlockNotFound)
        raise kind(response.message or f"the datanode answered {pb.Status.Name(response.status)}")


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
