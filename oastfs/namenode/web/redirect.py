"""Who reads or writes contents is sent to a datanode: which one.

One that has the bytes that are asked for, if there is one; else any that is alive, the client's own machine
first. Only datanodes that serve HTTP count. Without any the request fails, as in HDFS: a namenode
serves no contents over HTTP.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from oastfs.namenode.context import Context
from oastfs.namenode.ops.datanodes import state_name
from oastfs.namenode.web.operations import Calls
from oastfs.store.schema import DATANODE
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import FILE_NOT_FOUND, JavaError, WebRequest

REDIRECTED: Final = frozenset(
    {("GET", "OPEN"), ("GET", "GETFILECHECKSUM"), ("PUT", "CREATE"), ("POST", "APPEND")}
)

Place = tuple[str, int]
"""Host and HTTP port of a datanode."""


def live_places(tx: Transaction, context: Context) -> list[Place]:
    """Every datanode that is alive and serves HTTP."""
    return [
        (row.host, row.http_port)
        for key, row in tx.scan(DATANODE)
        if row.http_port and state_name(int(key[0]), row, context) == "live"
    ]


def choose(asked: WebRequest, calls: Calls, live: Callable[[], list[Place]], client_host: str) -> Place:
    """The datanode for a request. Raises JavaError where the file is not there, or no datanode is."""
    excluded = {one.strip() for one in asked.text("excludedatanodes").split(",")}
    alive = [place for place in live() if not excluded & {place[0], f"{place[0]}:{place[1]}"}]
    if not alive:
        advice = "Failed to find datanode, suggest to check cluster health."
        given = asked.text("excludedatanodes") or "null"
        raise JavaError("java.io.IOException", f"{advice} excludeDatanodes={given}")
    if asked.op != "CREATE":
        holding = [place for place in _places(_block(asked, calls)) if place in alive]
        if holding:
            return holding[0]  # the nearest to the client comes first
    near = [place for place in alive if place[0] == client_host]
    return random.choice(near or alive)


def _block(asked: WebRequest, calls: Calls) -> types.LocatedBlocks:
    """The block that matters most: that of the first byte read, or the one to append to."""
    answer = calls("getFileInfo", pb.GetFileInfoRequest(src=asked.path), pb.GetFileInfoResponse)
    if not answer.HasField("fs"):
        raise JavaError(FILE_NOT_FOUND, f"File {asked.path} not found.")
    length = answer.fs.length
    offset = asked.number("offset", 0) if asked.op == "OPEN" else max(length - 1, 0)
    if asked.op == "OPEN" and (offset < 0 or offset >= length > 0):
        raise JavaError(
            "java.io.IOException",
            f"Offset={offset} out of the range [0, {length}); {asked.op}, path={asked.path}",
        )
    if not length or answer.fs.fileType != types.HdfsFileStatus.IS_FILE:
        return types.LocatedBlocks()
    request = pb.GetBlockLocationsRequest(src=asked.path, offset=offset, length=1)
    return calls("getBlockLocations", request, pb.GetBlockLocationsResponse).locations


def _places(found: types.LocatedBlocks) -> list[Place]:
    blocks = found.blocks[:1]
    return [(one.id.hostName, one.id.infoPort) for block in blocks for one in block.locs]
