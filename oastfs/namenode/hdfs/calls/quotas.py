"""Quotas of directories, and totals of trees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from oastfs.core.errors import NotADirectory, NotFound
from oastfs.core.types import TypeQuota
from oastfs.namenode import tree
from oastfs.namenode.hdfs import located
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.calls.admin import require_superuser
from oastfs.namenode.hdfs.errors import FILE_NOT_FOUND, HdfsError, file_not_found
from oastfs.namenode.hdfs.methods import read, write
from oastfs.namenode.ops import set_quota as operation
from oastfs.namenode.ops.content_summary import content_summary
from oastfs.namenode.ops.quota_usage import quota_usage
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_SIGN: Final = 1 << 63
_ROOT_NAMES: Final = _SIGN - 1
"""HDFS's root always has a quota of names, which nothing reaches."""


@write("setQuota", pb.SetQuotaRequest)
def set_quota(tx: Transaction, call: Call, request: pb.SetQuotaRequest) -> pb.SetQuotaResponse:
    """Limits of a directory; -1 takes one away, 2**63 - 1 leaves it."""
    require_superuser(call)
    kind = types.StorageType.Name(request.storageType) if request.HasField("storageType") else ""
    names, space = _signed(request.namespaceQuota), _signed(request.storagespaceQuota)
    try:
        operation.set_quota(tx, call.context, request.path, names, space, kind)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"Directory does not exist: {request.path}") from None
    except NotADirectory:
        tree.resolve(tx, call.context, request.path)  # or something above it is a file
        raise HdfsError(
            "org.apache.hadoop.fs.PathIsNotDirectoryException", f"`{request.path}': Is not a directory"
        ) from None
    return pb.SetQuotaResponse()


@read("getContentSummary", pb.GetContentSummaryRequest, long=True)
def get_content_summary(
    tx: Transaction, call: Call, request: pb.GetContentSummaryRequest
) -> pb.GetContentSummaryResponse:
    """Totals of a tree, and its quotas."""
    try:
        total = content_summary(tx, call.context, request.path)
    except NotFound:
        raise file_not_found(request.path) from None
    summary = types.ContentSummary(
        length=total.length,
        fileCount=total.file_count,
        directoryCount=total.directory_count,
        quota=_name_quota(request.path, total.name_quota),
        spaceConsumed=total.space_consumed,
        spaceQuota=_unsigned(total.space_quota),
        erasureCodingPolicy="" if total.directory_count else "Replicated",
    )
    if total.type_quotas:
        summary.typeQuotaInfos.CopyFrom(_type_quotas(total.type_quotas))
    return pb.GetContentSummaryResponse(summary=summary)


@read("getQuotaUsage", pb.GetQuotaUsageRequest, long=True)
def get_quota_usage(
    tx: Transaction, call: Call, request: pb.GetQuotaUsageRequest
) -> pb.GetQuotaUsageResponse:
    """Quotas, and what is taken of them."""
    try:
        found = quota_usage(tx, call.context, request.path)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"File/Directory does not exist: {request.path}") from None
    usage = types.QuotaUsage(
        fileAndDirectoryCount=found.names,
        quota=_name_quota(request.path, found.name_quota),
        spaceConsumed=found.space,
        spaceQuota=_unsigned(found.space_quota),
    )
    if found.type_quotas:
        usage.typeQuotaInfos.CopyFrom(_type_quotas(found.type_quotas))
    return pb.GetQuotaUsageResponse(usage=usage)


def _type_quotas(quotas: Iterable[TypeQuota]) -> types.StorageTypeQuotaInfos:
    infos = types.StorageTypeQuotaInfos()
    for one in quotas:
        infos.typeQuotaInfo.add(
            type=located.storage_type(one.storage_type), quota=one.limit, consumed=one.consumed
        )
    return infos


def _name_quota(path: str, quota: int) -> int:
    return _ROOT_NAMES if path == "/" and quota < 0 else _unsigned(quota)


def _unsigned(quota: int) -> int:
    return quota & (2 * _SIGN - 1)


def _signed(field: int) -> int:
    return field - 2 * _SIGN if field >= _SIGN else field
