"""What administrators ask of a namenode: images, upgrades, node lists, open files."""

from __future__ import annotations

from typing import Final

from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.errors import ACCESS_CONTROL, HdfsError
from oastfs.namenode.hdfs.methods import read
from oastfs.store.schema import OPEN_FILE
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb

OPEN_FILES_LIMIT: Final = 1000


def require_superuser(call: Call) -> None:
    """Raise unless the caller is a superuser."""
    if not call.context.superuser:
        user = call.context.caller.user
        raise HdfsError(ACCESS_CONTROL, f"Access denied for user {user}. Superuser privilege is required")


@read("saveNamespace", pb.SaveNamespaceRequest)
def save_namespace(tx: Transaction, call: Call, request: pb.SaveNamespaceRequest) -> pb.SaveNamespaceResponse:
    """The store is always saved: there is no image to write."""
    require_superuser(call)
    return pb.SaveNamespaceResponse(saved=True)


@read("rollEdits", pb.RollEditsRequest)
def roll_edits(tx: Transaction, call: Call, request: pb.RollEditsRequest) -> pb.RollEditsResponse:
    """There is no edit log that could be rolled."""
    require_superuser(call)
    return pb.RollEditsResponse(newSegmentTxId=0)


@read("restoreFailedStorage", pb.RestoreFailedStorageRequest)
def restore_failed_storage(
    tx: Transaction, call: Call, request: pb.RestoreFailedStorageRequest
) -> pb.RestoreFailedStorageResponse:
    """Namenodes have no storage of their own."""
    require_superuser(call)
    return pb.RestoreFailedStorageResponse(result=False)


@read("refreshNodes", pb.RefreshNodesRequest)
def refresh_nodes(tx: Transaction, call: Call, request: pb.RefreshNodesRequest) -> pb.RefreshNodesResponse:
    """There are no files of hosts to read again."""
    require_superuser(call)
    return pb.RefreshNodesResponse()


@read("finalizeUpgrade", pb.FinalizeUpgradeRequest)
def finalize_upgrade(
    tx: Transaction, call: Call, request: pb.FinalizeUpgradeRequest
) -> pb.FinalizeUpgradeResponse:
    """No upgrade waits to be made final."""
    require_superuser(call)
    return pb.FinalizeUpgradeResponse()


@read("upgradeStatus", pb.UpgradeStatusRequest)
def upgrade_status(tx: Transaction, call: Call, request: pb.UpgradeStatusRequest) -> pb.UpgradeStatusResponse:
    """No upgrade waits to be made final."""
    require_superuser(call)
    return pb.UpgradeStatusResponse(upgradeFinalized=True)


@read("rollingUpgrade", pb.RollingUpgradeRequest)
def rolling_upgrade(
    tx: Transaction, call: Call, request: pb.RollingUpgradeRequest
) -> pb.RollingUpgradeResponse:
    """Namenodes are replaced one by one without ceremony: no rolling upgrade is ever in progress."""
    require_superuser(call)
    if request.action == pb.START:
        raise HdfsError(
            "org.apache.hadoop.hdfs.protocol.RollingUpgradeException",
            "a rolling upgrade needs no preparation: replace the namenodes one after the other",
        )
    return pb.RollingUpgradeResponse()


@read("metaSave", pb.MetaSaveRequest)
def meta_save(tx: Transaction, call: Call, request: pb.MetaSaveRequest) -> pb.MetaSaveResponse:
    """Namenodes write no files of their own; figures are at the HTTP port."""
    require_superuser(call)
    raise HdfsError(
        "java.lang.UnsupportedOperationException",
        "namenodes keep no state that could be saved: see /status and /metrics of the HTTP port",
    )


@read("setBalancerBandwidth", pb.SetBalancerBandwidthRequest)
def set_balancer_bandwidth(
    tx: Transaction, call: Call, request: pb.SetBalancerBandwidthRequest
) -> pb.SetBalancerBandwidthResponse:
    """Nothing balances in the background that could be slowed."""
    require_superuser(call)
    return pb.SetBalancerBandwidthResponse()


@read("getCurrentEditLogTxid", pb.GetCurrentEditLogTxidRequest)
def get_current_edit_log_txid(
    tx: Transaction, call: Call, request: pb.GetCurrentEditLogTxidRequest
) -> pb.GetCurrentEditLogTxidResponse:
    """There is no edit log."""
    require_superuser(call)
    return pb.GetCurrentEditLogTxidResponse(txid=0)


@read("listCorruptFileBlocks", pb.ListCorruptFileBlocksRequest)
def list_corrupt_file_blocks(
    tx: Transaction, call: Call, request: pb.ListCorruptFileBlocksRequest
) -> pb.ListCorruptFileBlocksResponse:
    """Files with lost blocks: `oastfs fsck` finds them."""
    require_superuser(call)
    answer = pb.ListCorruptFileBlocksResponse()
    answer.corrupt.cookie = ""
    return answer


@read("listOpenFiles", pb.ListOpenFilesRequest, long=True)
def list_open_files(
    tx: Transaction, call: Call, request: pb.ListOpenFilesRequest
) -> pb.ListOpenFilesResponse:
    """Files with an exclusive writer, in order of inode id; ``id`` is the last one that the client has."""
    require_superuser(call)
    answer = pb.ListOpenFilesResponse(hasMore=False)
    answer.types.extend(request.types)
    after = (request.id, "\U0010ffff") if request.id else None
    for (number, holder), row in tx.scan(OPEN_FILE, (), after):
        if not row.exclusive:
            continue
        if len(answer.entries) == OPEN_FILES_LIMIT:
            answer.hasMore = True
            break
        _add_open_file(tx, answer, int(number), str(holder), request.path)
    return answer


def _add_open_file(
    tx: Transaction, answer: pb.ListOpenFilesResponse, inode_id: int, holder: str, below: str
) -> None:
    try:
        path = tree.path_of(tx, inode_id)
    except OSError:
        return  # it is being removed
    if below and not (path + "/").startswith(below.rstrip("/") + "/"):
        return
    answer.entries.add(id=inode_id, path=path, clientName=holder, clientMachine="")
