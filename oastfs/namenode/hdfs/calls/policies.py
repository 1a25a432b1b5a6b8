"""Storage policies, and safe mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oastfs.core.errors import NotFound
from oastfs.core.storage_policies import POLICIES, StoragePolicy
from oastfs.namenode import tree
from oastfs.namenode.hdfs import located
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.calls.admin import require_superuser
from oastfs.namenode.hdfs.errors import FILE_NOT_FOUND, HdfsError
from oastfs.namenode.hdfs.methods import read, write
from oastfs.namenode.ops import get_storage_policy as effective
from oastfs.namenode.ops import safe_mode as mode
from oastfs.namenode.ops import set_storage_policy as change
from oastfs.namenode.permissions import READ, require
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_ACTIONS: Final[dict[int, str]] = {
    pb.SAFEMODE_ENTER: "enter",
    pb.SAFEMODE_LEAVE: "leave",
    pb.SAFEMODE_FORCE_EXIT: "leave",
    pb.SAFEMODE_GET: "get",
}


@write("setSafeMode", pb.SetSafeModeRequest)
def set_safe_mode(tx: Transaction, call: Call, request: pb.SetSafeModeRequest) -> pb.SetSafeModeResponse:
    """Enter or leave safe mode, or ask; all namenodes of the filesystem are meant, ``checked`` or not."""
    action = _ACTIONS[request.action]
    if action != "get":
        require_superuser(call)
    return pb.SetSafeModeResponse(result=mode.safe_mode(tx, call.context, action))


@read("getStoragePolicies", pb.GetStoragePoliciesRequest)
def get_storage_policies(
    tx: Transaction, call: Call, request: pb.GetStoragePoliciesRequest
) -> pb.GetStoragePoliciesResponse:
    """Every policy that may be set."""
    return pb.GetStoragePoliciesResponse(policies=map(_encode, POLICIES))


@read("getStoragePolicy", pb.GetStoragePolicyRequest)
def get_storage_policy(
    tx: Transaction, call: Call, request: pb.GetStoragePolicyRequest
) -> pb.GetStoragePolicyResponse:
    """The policy that holds for a path; the default where none was set."""
    try:
        if not call.context.superuser:
            require(call.context, tree.resolve(tx, call.context, request.path).inode, READ, request.path)
        found = effective.get_storage_policy(tx, call.context, request.path)
    except NotFound:
        raise _missing(request.path) from None
    return pb.GetStoragePolicyResponse(storagePolicy=_encode(found))


@write("setStoragePolicy", pb.SetStoragePolicyRequest)
def set_storage_policy(
    tx: Transaction, call: Call, request: pb.SetStoragePolicyRequest
) -> pb.SetStoragePolicyResponse:
    """Give a path a policy of its own."""
    if not request.policyName:
        raise HdfsError(
            "org.apache.hadoop.HadoopIllegalArgumentException",
            "Cannot find a block policy with the name ",
        )
    _set(tx, call, request.src, request.policyName)
    return pb.SetStoragePolicyResponse()


@write("unsetStoragePolicy", pb.UnsetStoragePolicyRequest)
def unset_storage_policy(
    tx: Transaction, call: Call, request: pb.UnsetStoragePolicyRequest
) -> pb.UnsetStoragePolicyResponse:
    """Take a path's own policy away."""
    _set(tx, call, request.src, "")
    return pb.UnsetStoragePolicyResponse()


def _set(tx: Transaction, call: Call, path: str, policy: str) -> None:
    try:
        change.set_storage_policy(tx, call.context, path, policy)
    except NotFound:
        raise _missing(path) from None


def _missing(path: str) -> HdfsError:
    return HdfsError(FILE_NOT_FOUND, f"File/Directory does not exist: {path}")


def _encode(policy: StoragePolicy) -> types.BlockStoragePolicy:
    encoded = types.BlockStoragePolicy(
        policyId=policy.policy_id,
        name=policy.name,
        creationPolicy=_types(policy.storage_types),
    )
    if policy.creation_fallbacks:
        encoded.creationFallbackPolicy.CopyFrom(_types(policy.creation_fallbacks))
    if policy.replication_fallbacks:
        encoded.replicationFallbackPolicy.CopyFrom(_types(policy.replication_fallbacks))
    return encoded


def _types(names: Sequence[str]) -> types.StorageTypes:
    return types.StorageTypes(storageTypes=map(located.storage_type, names))
