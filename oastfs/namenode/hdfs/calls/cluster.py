"""The filesystem as a whole: defaults, space, datanodes, state."""

from __future__ import annotations

from typing import Final

from oastfs.core.version import VERSION
from oastfs.namenode import trash
from oastfs.namenode.cluster import DATANODE_DECOMMISSIONING, StorageView
from oastfs.namenode.hdfs import located
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.calls.admin import require_superuser
from oastfs.namenode.hdfs.methods import read
from oastfs.namenode.ops.datanodes import state_name
from oastfs.namenode.ops.statfs import statfs
from oastfs.store.schema import DATANODE, Datanode
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_MS: Final = 1_000_000
_BUFFER_BYTES: Final = 4096


@read("getServerDefaults", pb.GetServerDefaultsRequest)
def get_server_defaults(
    tx: Transaction, call: Call, request: pb.GetServerDefaultsRequest
) -> pb.GetServerDefaultsResponse:
    """What clients use where they are not told otherwise."""
    info = call.context.info
    return pb.GetServerDefaultsResponse(
        serverDefaults=types.FsServerDefaults(
            blockSize=info.block_size,
            bytesPerChecksum=info.bytes_per_checksum,
            writePacketSize=info.packet_bytes,
            replication=info.replication,
            fileBufferSize=_BUFFER_BYTES,
            encryptDataTransfer=False,
            trashInterval=trash.settings(tx).interval,
            checksumType=types.CHECKSUM_CRC32C,
            keyProviderUri="",
            policyId=7,  # HOT
            snapshotTrashRootEnabled=False,
        )
    )


@read("getFsStats", pb.GetFsStatusRequest, long=True)
def get_fs_stats(tx: Transaction, call: Call, request: pb.GetFsStatusRequest) -> pb.GetFsStatsResponse:
    """Space on all datanodes, and blocks in need."""
    found = statfs(tx, call.context)
    return pb.GetFsStatsResponse(
        capacity=found.capacity,
        used=found.used,
        remaining=found.remaining,
        under_replicated=found.under_replicated,
        corrupt_blocks=0,
        missing_blocks=0,
        missing_repl_one_blocks=0,
        blocks_in_future=0,
        pending_deletion_blocks=0,
    )


@read("getFsReplicatedBlockStats", pb.GetFsReplicatedBlockStatsRequest, long=True)
def get_block_stats(
    tx: Transaction, call: Call, request: pb.GetFsReplicatedBlockStatsRequest
) -> pb.GetFsReplicatedBlockStatsResponse:
    """Blocks in need: all blocks are replicated ones."""
    return pb.GetFsReplicatedBlockStatsResponse(
        low_redundancy=statfs(tx, call.context).under_replicated,
        corrupt_blocks=0,
        missing_blocks=0,
        missing_repl_one_blocks=0,
        blocks_in_future=0,
        pending_deletion_blocks=0,
        highest_prio_low_redundancy_blocks=0,
    )


@read("getFsECBlockGroupStats", pb.GetFsECBlockGroupStatsRequest)
def get_group_stats(
    tx: Transaction, call: Call, request: pb.GetFsECBlockGroupStatsRequest
) -> pb.GetFsECBlockGroupStatsResponse:
    """There are no erasure-coded blocks."""
    return pb.GetFsECBlockGroupStatsResponse(
        low_redundancy=0,
        corrupt_blocks=0,
        missing_blocks=0,
        blocks_in_future=0,
        pending_deletion_blocks=0,
        highest_prio_low_redundancy_blocks=0,
    )


@read("getDatanodeReport", pb.GetDatanodeReportRequest, long=True)
def get_datanode_report(
    tx: Transaction, call: Call, request: pb.GetDatanodeReportRequest
) -> pb.GetDatanodeReportResponse:
    """Datanodes of one kind: all, live, dead or leaving."""
    require_superuser(call)
    return pb.GetDatanodeReportResponse(di=[info for info, _ in _datanodes(tx, call, request.type)])


@read("getDatanodeStorageReport", pb.GetDatanodeStorageReportRequest, long=True)
def get_datanode_storage_report(
    tx: Transaction, call: Call, request: pb.GetDatanodeStorageReportRequest
) -> pb.GetDatanodeStorageReportResponse:
    """Datanodes with each of their storages."""
    require_superuser(call)
    views: dict[int, list[StorageView]] = {}
    for view in call.context.cluster.storages(tx, call.context.now_ns).values():
        views.setdefault(view.datanode_id, []).append(view)
    answer = pb.GetDatanodeStorageReportResponse()
    for info, number in _datanodes(tx, call, request.type):
        report = answer.datanodeStorageReports.add(datanodeInfo=info)
        report.storageReports.extend(_storage_report(view) for view in views.get(number, []))
    return answer


def _storage_report(view: StorageView) -> types.StorageReport:
    storage = view.storage
    kind = located.storage_type(storage.storage_type)
    return types.StorageReport(
        storageUuid=storage.uuid,
        failed=storage.state != 0,
        capacity=storage.capacity,
        dfsUsed=storage.used,
        remaining=storage.remaining,
        blockPoolUsed=storage.used,
        storage=types.DatanodeStorage(storageUuid=storage.uuid, storageType=kind),
        nonDfsUsed=max(0, storage.capacity - storage.used - storage.remaining),
    )


def _datanodes(
    tx: Transaction, call: Call, kind: pb.DatanodeReportType.ValueType
) -> list[tuple[types.DatanodeInfo, int]]:
    call.context.cluster.storages(tx, call.context.now_ns)  # so that locations know their racks
    found = []
    for (number,), row in tx.scan(DATANODE):
        state = state_name(int(number), row, call.context)
        if _is_of(kind, row, state):
            found.append((_describe(row, state, call.context.now_ns), int(number)))
    return found


def _is_of(kind: pb.DatanodeReportType.ValueType, row: Datanode, state: str) -> bool:
    if kind == pb.ALL:
        return True
    if kind == pb.LIVE:
        return state != "dead"
    if kind == pb.DEAD:
        return state == "dead"
    if kind == pb.DECOMMISSIONING:
        return row.state == DATANODE_DECOMMISSIONING
    return False


def _describe(row: Datanode, state: str, now_ns: int) -> types.DatanodeInfo:
    info = types.DatanodeInfo(
        id=types.DatanodeID(
            ipAddr=row.host,
            hostName=row.host,
            datanodeUuid=row.uuid,
            xferPort=row.data_port,
            infoPort=row.http_port,
            ipcPort=row.control_port or row.data_port,
        ),
        location=row.rack,
        lastUpdate=row.heartbeat_ns // _MS,
        softwareVersion=VERSION,
    )
    if state == "dead":
        return info
    info.capacity, info.dfsUsed, info.remaining = row.capacity, row.used, row.remaining
    info.blockPoolUsed = row.used
    info.nonDfsUsed = max(0, row.capacity - row.used - row.remaining)
    info.xceiverCount = row.active_transfers
    # A registration is followed by a report at once; later ones are not written down.
    info.lastBlockReportTime = info.lastBlockReportMonotonic = row.registered_ns // _MS
    # Java prints the time since start-up of a monotonic clock; its zero does not matter.
    info.lastUpdateMonotonic = row.heartbeat_ns // _MS
    if row.state == DATANODE_DECOMMISSIONING:
        info.adminState = types.DatanodeInfo.DECOMMISSION_INPROGRESS
    return info


@read("getSlowDatanodeReport", pb.GetSlowDatanodeReportRequest)
def get_slow_datanode_report(
    tx: Transaction, call: Call, request: pb.GetSlowDatanodeReportRequest
) -> pb.GetSlowDatanodeReportResponse:
    """Datanodes that others found slow: nobody measures that."""
    require_superuser(call)
    return pb.GetSlowDatanodeReportResponse()


@read("getHAServiceState", pb.HAServiceStateRequest)
def get_ha_service_state(
    tx: Transaction, call: Call, request: pb.HAServiceStateRequest
) -> pb.HAServiceStateResponse:
    """Every namenode is active: none holds state."""
    return pb.HAServiceStateResponse(state=types.ACTIVE)


@read("msync", pb.MsyncRequest)
def msync(tx: Transaction, call: Call, request: pb.MsyncRequest) -> pb.MsyncResponse:
    """Every read sees every change that was answered before: there is nothing to wait for."""
    return pb.MsyncResponse()
