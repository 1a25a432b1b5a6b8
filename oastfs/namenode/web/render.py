"""Answers of ClientProtocol as the JSON objects of WebHDFS. Names and shapes are HDFS's (JsonUtil)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from oastfs.namenode.web.acl import entry_text
from oastfs.wire.proto import hdfs_pb2 as types

Json = dict[str, Any]

_TYPES: Final = {
    types.HdfsFileStatus.IS_DIR: "DIRECTORY",
    types.HdfsFileStatus.IS_FILE: "FILE",
    types.HdfsFileStatus.IS_SYMLINK: "SYMLINK",
}
_FLAGS: Final = (
    (types.HdfsFileStatus.HAS_ACL, "aclBit"),
    (types.HdfsFileStatus.HAS_CRYPT, "encBit"),
    (types.HdfsFileStatus.HAS_EC, "ecBit"),
    (types.HdfsFileStatus.SNAPSHOT_ENABLED, "snapshotEnabled"),
)


def signed(value: int) -> int:
    """What Java meant by an unsigned 64-bit number: quotas that are not set are -1."""
    return value - (1 << 64) if value >= 1 << 63 else value


def file_status(status: types.HdfsFileStatus) -> Json:
    """A FileStatus without its wrapping."""
    found: Json = {
        "accessTime": status.access_time,
        "blockSize": status.blocksize,
        "childrenNum": max(status.childrenNum, 0),
        "fileId": status.fileId,
        "group": status.group,
        "length": status.length,
        "modificationTime": status.modification_time,
        "owner": status.owner,
        "pathSuffix": status.path.decode("utf-8", "replace"),
        "permission": f"{status.permission.perm & 0o1777:o}",
        "replication": status.block_replication,
        "storagePolicy": status.storagePolicy,
        "type": _TYPES[status.fileType],
    }
    if status.fileType == types.HdfsFileStatus.IS_SYMLINK:
        found["symlink"] = status.symlink.decode("utf-8", "replace")
    for flag, name in _FLAGS:
        if status.flags & flag:
            found[name] = True
    return found


def file_statuses(statuses: Iterable[types.HdfsFileStatus]) -> Json:
    """A FileStatuses object."""
    return {"FileStatuses": {"FileStatus": [file_status(one) for one in statuses]}}


def content_summary(summary: types.ContentSummary) -> Json:
    """A ContentSummary object."""
    return {
        "ContentSummary": {
            "directoryCount": summary.directoryCount,
            "ecPolicy": summary.erasureCodingPolicy,
            "fileCount": summary.fileCount,
            "length": summary.length,
            "quota": signed(summary.quota),
            "snapshotDirectoryCount": summary.snapshotDirectoryCount,
            "snapshotFileCount": summary.snapshotFileCount,
            "snapshotLength": summary.snapshotLength,
            "snapshotSpaceConsumed": summary.snapshotSpaceConsumed,
            "spaceConsumed": summary.spaceConsumed,
            "spaceQuota": signed(summary.spaceQuota),
            "typeQuota": _type_quotas(summary.typeQuotaInfos),
        }
    }


def quota_usage(usage: types.QuotaUsage) -> Json:
    """A QuotaUsage object."""
    return {
        "QuotaUsage": {
            "fileAndDirectoryCount": usage.fileAndDirectoryCount,
            "quota": signed(usage.quota),
            "spaceConsumed": usage.spaceConsumed,
            "spaceQuota": signed(usage.spaceQuota),
            "typeQuota": _type_quotas(usage.typeQuotaInfos),
        }
    }


def _type_quotas(infos: types.StorageTypeQuotaInfos) -> Json:
    return {
        types.StorageType.Name(one.type): {"consumed": one.consumed, "quota": signed(one.quota)}
        for one in infos.typeQuotaInfo
        if signed(one.quota) != -1
    }


def acl_status(status: types.AclStatus) -> Json:
    """An AclStatus object."""
    return {
        "AclStatus": {
            "entries": [entry_text(entry) for entry in status.entries],
            "group": status.group,
            "owner": status.owner,
            "permission": f"{status.permission.perm & 0o1777:o}",
            "stickyBit": status.sticky,
        }
    }


def server_defaults(defaults: types.FsServerDefaults) -> Json:
    """A FsServerDefaults object."""
    return {
        "FsServerDefaults": {
            "blockSize": defaults.blockSize,
            "bytesPerChecksum": defaults.bytesPerChecksum,
            "checksumType": defaults.checksumType,
            "defaultStoragePolicyId": defaults.policyId,
            "encryptDataTransfer": defaults.encryptDataTransfer,
            "fileBufferSize": defaults.fileBufferSize,
            "keyProviderUri": defaults.keyProviderUri,
            "replication": defaults.replication,
            "snapshotTrashRootEnabled": defaults.snapshotTrashRootEnabled,
            "trashInterval": defaults.trashInterval,
            "writePacketSize": defaults.writePacketSize,
        }
    }


def storage_policy(policy: types.BlockStoragePolicy) -> Json:
    """A BlockStoragePolicy without its wrapping."""

    def names(given: types.StorageTypes) -> list[str]:
        return [types.StorageType.Name(one) for one in given.storageTypes]

    return {
        "copyOnCreateFile": policy.name == "LAZY_PERSIST",
        "creationFallbacks": names(policy.creationFallbackPolicy),
        "id": policy.policyId,
        "name": policy.name,
        "replicationFallbacks": names(policy.replicationFallbackPolicy),
        "storageTypes": names(policy.creationPolicy),
    }


# --- blocks -----------------------------------------------------------------------------------------


def block_locations(blocks: types.LocatedBlocks) -> Json:
    """A BlockLocations object: what FileSystem.getFileBlockLocations gives."""
    return {"BlockLocations": {"BlockLocation": [_block_location(one) for one in blocks.blocks]}}


def _block_location(block: types.LocatedBlock) -> Json:
    names = [f"{one.id.ipAddr}:{one.id.xferPort}" for one in block.locs]
    return {
        "cachedHosts": [],
        "corrupt": block.corrupt,
        "hosts": [one.id.hostName for one in block.locs],
        "length": block.b.numBytes,
        "names": names,
        "offset": block.offset,
        "storageTypes": [types.StorageType.Name(one) for one in block.storageTypes],
        "topologyPaths": [f"{one.location}/{name}" for one, name in zip(block.locs, names, strict=True)],
    }


def located_blocks(blocks: types.LocatedBlocks) -> Json:
    """A LocatedBlocks object."""
    last = _located_block(blocks.lastBlock) if blocks.HasField("lastBlock") else None
    return {
        "LocatedBlocks": {
            "fileLength": blocks.fileLength,
            "isLastBlockComplete": blocks.isLastBlockComplete,
            "isUnderConstruction": blocks.underConstruction,
            "lastLocatedBlock": last,
            "locatedBlocks": [_located_block(one) for one in blocks.blocks],
        }
    }


def _located_block(block: types.LocatedBlock) -> Json:
    return {
        "block": {
            "blockId": block.b.blockId,
            "blockPoolId": block.b.poolId,
            "generationStamp": block.b.generationStamp,
            "numBytes": block.b.numBytes,
        },
        # Four lengths of nothing: identifier, password, kind, service.
        "blockToken": {"urlString": "AAAAAA"},
        "cachedLocations": [],
        "isCorrupt": block.corrupt,
        "locations": [_datanode(one) for one in block.locs],
        "startOffset": block.offset,
        "storageTypes": [types.StorageType.Name(one) for one in block.storageTypes],
    }


def _datanode(info: types.DatanodeInfo) -> Json:
    one = info.id
    return {
        "adminState": types.DatanodeInfo.AdminState.Name(info.adminState),
        "blockPoolUsed": info.blockPoolUsed,
        "cacheCapacity": info.cacheCapacity,
        "cacheUsed": info.cacheUsed,
        "capacity": info.capacity,
        "dfsUsed": info.dfsUsed,
        "hostName": one.hostName,
        "infoPort": one.infoPort,
        "infoSecurePort": one.infoSecurePort,
        "ipAddr": one.ipAddr,
        "ipcPort": one.ipcPort,
        "lastUpdate": info.lastUpdate,
        "lastUpdateMonotonic": info.lastUpdateMonotonic,
        "name": f"{one.ipAddr}:{one.xferPort}",
        "networkLocation": info.location,
        "remaining": info.remaining,
        "storageID": one.datanodeUuid,
        "xceiverCount": info.xceiverCount,
        "xferPort": one.xferPort,
    }
