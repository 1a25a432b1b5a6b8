"""Blocks with their locations, as readers and writers of HDFS are told of them.

HDFS's clients know nothing of inline content and holes: they are shown as blocks that the namenode serves
itself, on the port that the client speaks to (``core.inline_blocks``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from oastfs.core.errors import InvalidArgument, IsADirectory
from oastfs.core.inline_blocks import hole_block_id, inline_block_id
from oastfs.core.types import Flag, LocatedBlock, Location
from oastfs.namenode import blocks, leases, registry, tree
from oastfs.namenode.blocks.allocate import FIRST_STAMP
from oastfs.namenode.blocks.locate import live_targets, locations, readable
from oastfs.namenode.cluster import DEFAULT_RACK
from oastfs.namenode.hdfs.call import Address, Call
from oastfs.store.schema import BLOCK, CONTENT, Block, Inode
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.transfer.messages import POOL_ID

INLINE_STAMP: Final = 1
"""Generation stamp of blocks that namenodes serve: their content is looked up anew at each read."""
_HOLE_BYTES_MAX: Final = 1 << 30
_PLACES_MAX: Final = 3
"""Namenodes that are named as locations of what any of them serves."""
_ANYWHERE: Final = ("", "0.0.0.0", "::")
"""What a namenode listens on that was not told its own address: others cannot reach it by that."""
_BLOCKS: Final = int(Flag.BLOCKS)
_OPEN: Final = int(Flag.OPEN)
_STORAGE_TYPES: Final = dict(types.StorageType.items())


class Tail(NamedTuple):
    """The last block of a file that an exclusive writer has open: ``block`` at file ``offset``."""

    offset: int
    block: Block


def token() -> types.Token:
    """The empty token that stands for no security."""
    return types.Token(identifier=b"", password=b"", kind="", service="")


def datanode_id(location: Location) -> types.DatanodeID:
    """How a datanode is named."""
    return types.DatanodeID(
        ipAddr=location.host,
        hostName=location.host,
        datanodeUuid=location.datanode_uuid,
        xferPort=location.data_port,
        infoPort=location.http_port,
        ipcPort=location.control_port or location.data_port,
    )


@lru_cache(maxsize=4096)
def _datanode_info(location: Location, rack: str) -> types.DatanodeInfo:
    return types.DatanodeInfo(id=datanode_id(location), location=rack)


def storage_type(name: str) -> types.StorageType.ValueType:
    """A storage type by its name."""
    return _STORAGE_TYPES.get(name, types.DISK)


def rack_of(call: Call, location: Location) -> str:
    """The network location of a datanode."""
    row = call.context.cluster.datanodes.get(location.datanode_id)
    return DEFAULT_RACK if row is None else row.rack


def _racks_of(call: Call, host: str) -> set[str]:
    """Where a client is: the racks of datanodes on its machine."""
    return {row.rack for row in call.context.cluster.datanodes.values() if row.host == host}


def add_locations(call: Call, block: types.LocatedBlock, places: Sequence[Location]) -> None:
    """Fill in who has a block, nearest to the client first: its own machine, its rack, then as they come."""
    if len(places) > 1:
        near = _racks_of(call, call.client_host)
        places = sorted(
            places, key=lambda place: (place.host != call.client_host, rack_of(call, place) not in near)
        )
    for place in places:
        block.locs.append(_datanode_info(place, rack_of(call, place)))
        block.isCached.append(False)
        block.storageTypes.append(storage_type(place.storage_type))
        block.storageIDs.append(place.storage_uuid)


def encode_block(call: Call, block: LocatedBlock, stamp: int | None = None) -> types.LocatedBlock:
    """A block and its replicas."""
    encoded = types.LocatedBlock(
        b=extended(block.block_id, block.generation_stamp if stamp is None else stamp, block.length),
        offset=block.offset,
        corrupt=False,
        blockToken=token(),
    )
    add_locations(call, encoded, block.locations)
    return encoded


def extended(block_id: int, stamp: int, length: int) -> types.ExtendedBlock:
    """A block's name."""
    return types.ExtendedBlock(poolId=POOL_ID, blockId=block_id, generationStamp=stamp, numBytes=length)


# --- what namenodes serve -------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _namenode_location(server: Address) -> Location:
    name = f"namenode-{server.host}-{server.port}"
    return Location(0, name, 0, name, server.host, server.port, server.port)


def _served_here(tx: Transaction, call: Call, block_id: int, offset: int, length: int) -> types.LocatedBlock:
    places = namenode_locations(tx, call)
    return encode_block(call, LocatedBlock(block_id, INLINE_STAMP, offset, length, places))


def namenode_locations(tx: Transaction, call: Call) -> tuple[Location, ...]:
    """This namenode as the client reached it, then others, which a reader turns to when this one is gone."""
    now_ns, here = call.context.now_ns, call.server
    found = [_namenode_location(here)]
    for row in call.context.cluster.namenodes(tx, now_ns):
        if len(found) == _PLACES_MAX:
            break
        other = Address(row.host, row.port)
        if other != here and row.host not in _ANYWHERE and registry.is_live(row, now_ns):
            found.append(_namenode_location(other))
    return tuple(found)


def _holes(tx: Transaction, call: Call, start: int, end: int) -> Iterable[types.LocatedBlock]:
    while start < end:
        length = min(end - start, _HOLE_BYTES_MAX)
        yield _served_here(tx, call, hole_block_id(start), start, length)
        start += length


# --- whole files ------------------------------------------------------------------------------------


def located_blocks(
    tx: Transaction, call: Call, node: tree.Node, offset: int, length: int
) -> types.LocatedBlocks:
    """The blocks that hold bytes of ``[offset, offset + length)``, and the last one in any case."""
    inode = node.inode
    writer = exclusive_writer(tx, inode)
    tail = None if writer is None else _tail(tx, call, inode)
    file_length = inode.length if tail is None else tail.offset
    found = types.LocatedBlocks(
        fileLength=file_length, underConstruction=writer is not None, isLastBlockComplete=tail is None
    )
    end = min(offset + length, file_length)
    if inode.flags & _BLOCKS:
        found.blocks.extend(_stored_blocks(tx, call, inode, offset, end))
    else:
        found.blocks.extend(_inline_blocks(tx, call, inode, offset, end))
    if tail is not None:
        # Readers ask the datanodes how much of it there is by now.
        found.lastBlock.CopyFrom(_tail_block(tx, call, tail))
        if tail.block.length and offset < tail.offset + tail.block.length and offset + length > tail.offset:
            # What was there before it was taken up again; not of the file's length all the same.
            found.blocks.append(found.lastBlock)
    elif file_length:
        _add_last(tx, call, inode, found)
    else:
        found.isLastBlockComplete = False
    return found


def _add_last(tx: Transaction, call: Call, inode: Inode, found: types.LocatedBlocks) -> None:
    """``lastBlock`` of a closed file."""
    if found.blocks and found.blocks[-1].offset + found.blocks[-1].b.numBytes >= inode.length:
        found.lastBlock.CopyFrom(found.blocks[-1])
        return
    at = inode.length - 1
    if inode.flags & _BLOCKS:
        last = list(_stored_blocks(tx, call, inode, at, inode.length))
    else:
        last = list(_inline_blocks(tx, call, inode, at, inode.length))
    found.lastBlock.CopyFrom(last[-1])


def _stored_blocks(
    tx: Transaction, call: Call, inode: Inode, offset: int, end: int
) -> Iterable[types.LocatedBlock]:
    at = offset
    for block in blocks.locate(tx, call.context, inode, offset, end - offset):
        yield from _holes(tx, call, at, block.offset)
        yield encode_block(call, block)
        at = block.offset + block.length
    yield from _holes(tx, call, at, end)


def _inline_blocks(
    tx: Transaction, call: Call, inode: Inode, offset: int, end: int
) -> Iterable[types.LocatedBlock]:
    if offset >= end:
        return
    content_end = inode.length
    if inode.length > call.context.info.inline_limit:
        row = tx.get(CONTENT, (inode.id,))
        content_end = 0 if row is None else min(len(row.data), inode.length)
    if offset < content_end:
        yield _served_here(tx, call, inline_block_id(inode.id), 0, content_end)
    yield from _holes(tx, call, max(offset, content_end), end)


# --- files that are being written -------------------------------------------------------------------


def exclusive_writer(tx: Transaction, inode: Inode) -> str | None:
    """Who has the file for itself (HDFS's lease holder), if anybody."""
    if not inode.flags & _OPEN:
        return None
    return next((holder for holder, row in leases.holders(tx, inode) if row.exclusive), None)


def _tail(tx: Transaction, call: Call, inode: Inode) -> Tail | None:
    """The last block, if its writer may still add to it."""
    found = next(iter(tx.scan(BLOCK, (inode.id,), limit=1, reverse=True)), None)
    if found is None:
        return None
    offset, block = int(found[0][1]), found[1]
    if blocks.stands_for_content(inode, offset, block):
        # Without a live datanode readers get what the file was before it was appended to.
        return Tail(offset, block) if live_targets(tx, call.context, block) else None
    if block.shortened:
        return None
    full = block.length >= (inode.block_size or call.context.info.block_size)
    if offset + block.length < inode.length or (full and not block.pending_stamp):
        return None
    return Tail(offset, block)


def _tail_block(tx: Transaction, call: Call, tail: Tail) -> types.LocatedBlock:
    block = tail.block
    if block.pending_stamp:
        views = live_targets(tx, call.context, block)
    else:
        views = readable(tx, call.context, block)
    # Not the pending stamp: replicas have it only once their pipeline is set up anew.
    stamp = block.generation_stamp or FIRST_STAMP
    return encode_block(
        call, LocatedBlock(block.block_id, stamp, tail.offset, block.length, locations(views), True)
    )


def resolve_for_reading(tx: Transaction, call: Call, path: str) -> tree.Node:
    """The file of a path. Raises what HDFS raises for others."""
    node = tree.resolve(tx, call.context, path)
    if node.is_directory:
        raise IsADirectory(path=path)
    if not node.is_file:
        raise InvalidArgument("not a regular file", path=path)
    return node
