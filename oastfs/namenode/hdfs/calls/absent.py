"""Calls of features that are not offered: they answer as a namenode does where the feature is off or unused.

What only asks gets an empty answer; what would begin to use the feature gets HDFS's exception. All of them
are listed in docs/hdfs-compatibility.md.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message

from oastfs.core.errors import NotFound
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.calls.admin import require_superuser
from oastfs.namenode.hdfs.errors import FILE_NOT_FOUND, IO, UNSUPPORTED, HdfsError
from oastfs.namenode.hdfs.methods import read
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb

_ANY: Final = pb.MsyncRequest
"""A message without fields reads any request."""
_SNAPSHOT: Final = "org.apache.hadoop.hdfs.protocol.SnapshotException"
_PATH_IS_NOT_DIRECTORY: Final = "org.apache.hadoop.fs.PathIsNotDirectoryException"
_INVALID_REQUEST: Final = "org.apache.hadoop.fs.InvalidRequestException"


def _refuse(names: str, java_class: str, message: str, superuser: bool = False) -> None:
    """Declare calls, by their names in one text, that always fail in the same way."""
    for name in names.split():

        @read(name, _ANY)
        def refuse(tx: Transaction, call: Call, request: Message) -> bytes:
            if superuser:
                require_superuser(call)
            raise HdfsError(java_class, message)


def _answer(name: str, answer: Message) -> None:
    """Declare a call that always answers the same."""
    encoded = answer.SerializeToString()

    @read(name, _ANY)
    def same(tx: Transaction, call: Call, request: Message) -> bytes:
        return encoded


# --- snapshots --------------------------------------------------------------------------------------

_refuse(
    "getSnapshotListing getSnapshotDiffReport getSnapshotDiffReportListing",
    _SNAPSHOT,
    "Directory is neither snapshottable nor under a snap root!",
)
_answer("getSnapshottableDirListing", pb.GetSnapshottableDirListingResponse())


@read("allowSnapshot", pb.AllowSnapshotRequest)
def allow_snapshot(tx: Transaction, call: Call, request: pb.AllowSnapshotRequest) -> bytes:
    """This is where the feature would begin."""
    require_superuser(call)
    _directory(tx, call, request.snapshotRoot)
    raise HdfsError(UNSUPPORTED, "snapshots are not supported")


@read("disallowSnapshot", pb.DisallowSnapshotRequest)
def disallow_snapshot(tx: Transaction, call: Call, request: pb.DisallowSnapshotRequest) -> bytes:
    """No directory allows snapshots already."""
    require_superuser(call)
    _directory(tx, call, request.snapshotRoot)
    return b""


def _no_snapshots(tx: Transaction, call: Call, request: Any) -> bytes:
    """No directory allows snapshots."""
    path = request.snapshotRoot
    tree.resolve(tx, call.context, path)
    raise HdfsError(_SNAPSHOT, f"Directory is not a snapshottable directory: {path}")


read("createSnapshot", pb.CreateSnapshotRequest)(_no_snapshots)
read("deleteSnapshot", pb.DeleteSnapshotRequest)(_no_snapshots)
read("renameSnapshot", pb.RenameSnapshotRequest)(_no_snapshots)


def _directory(tx: Transaction, call: Call, path: str) -> None:
    try:
        node = tree.resolve(tx, call.context, path)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"Directory does not exist: {path}") from None
    if not node.is_directory:
        raise HdfsError(_PATH_IS_NOT_DIRECTORY, f"`{path}': Is not a directory")


# --- encryption zones -------------------------------------------------------------------------------


@read("createEncryptionZone", pb.CreateEncryptionZoneRequest)
def create_encryption_zone(tx: Transaction, call: Call, request: pb.CreateEncryptionZoneRequest) -> bytes:
    """As where no server of keys is configured."""
    problem = f"Can't create an encryption zone for {request.src} since no key provider is available."
    raise HdfsError(IO, problem)


_refuse("reencryptEncryptionZone", IO, "No key provider configured, re-encryption operation is rejected")
_answer("listReencryptionStatus", pb.ListReencryptionStatusResponse(hasMore=False))
_answer("listEncryptionZones", pb.ListEncryptionZonesResponse(hasMore=False))
_answer("getEZForPath", pb.GetEZForPathResponse())
_answer("getDataEncryptionKey", pb.MsyncResponse())

# --- erasure coding ---------------------------------------------------------------------------------

_refuse(
    "addErasureCodingPolicies removeErasureCodingPolicy enableErasureCodingPolicy "
    "disableErasureCodingPolicy getECTopologyResultForPolicies",
    UNSUPPORTED,
    "erasure coding is not supported",
    superuser=True,
)
_answer("getErasureCodingPolicies", pb.GetErasureCodingPoliciesResponse())
_answer("getErasureCodingCodecs", pb.GetErasureCodingCodecsResponse())


@read("getErasureCodingPolicy", pb.GetErasureCodingPolicyRequest)
def get_erasure_coding_policy(
    tx: Transaction, call: Call, request: pb.GetErasureCodingPolicyRequest
) -> pb.GetErasureCodingPolicyResponse:
    """Everything is replicated."""
    _existing(tx, call, request.src)
    return pb.GetErasureCodingPolicyResponse()


@read("setErasureCodingPolicy", pb.SetErasureCodingPolicyRequest)
def set_erasure_coding_policy(
    tx: Transaction, call: Call, request: pb.SetErasureCodingPolicyRequest
) -> bytes:
    """There is no policy that could be set."""
    _existing(tx, call, request.src)
    raise HdfsError(UNSUPPORTED, "erasure coding is not supported")


@read("unsetErasureCodingPolicy", pb.UnsetErasureCodingPolicyRequest)
def unset_erasure_coding_policy(
    tx: Transaction, call: Call, request: pb.UnsetErasureCodingPolicyRequest
) -> bytes:
    """No directory has a policy."""
    _existing(tx, call, request.src)
    raise HdfsError(
        "org.apache.hadoop.hdfs.protocol.NoECPolicySetException",
        f"No erasure coding policy explicitly set on {request.src}",
    )


def _existing(tx: Transaction, call: Call, path: str) -> None:
    try:
        tree.resolve(tx, call.context, path)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"Path not found: {path}") from None


# --- centralized cache ------------------------------------------------------------------------------

_refuse("addCachePool", UNSUPPORTED, "centralized caching is not supported", superuser=True)
_answer("listCacheDirectives", pb.ListCacheDirectivesResponse(hasMore=False))
_answer("listCachePools", pb.ListCachePoolsResponse(hasMore=False))


@read("modifyCachePool", pb.ModifyCachePoolRequest)
def modify_cache_pool(tx: Transaction, call: Call, request: pb.ModifyCachePoolRequest) -> bytes:
    """There are no pools."""
    require_superuser(call)
    raise HdfsError(_INVALID_REQUEST, f"Cache pool {request.info.poolName} does not exist.")


@read("removeCachePool", pb.RemoveCachePoolRequest)
def remove_cache_pool(tx: Transaction, call: Call, request: pb.RemoveCachePoolRequest) -> bytes:
    """There are no pools."""
    require_superuser(call)
    raise HdfsError(_INVALID_REQUEST, f"Cannot remove non-existent cache pool {request.poolName}")


@read("addCacheDirective", pb.AddCacheDirectiveRequest)
def add_cache_directive(tx: Transaction, call: Call, request: pb.AddCacheDirectiveRequest) -> bytes:
    """There are no pools that a directive could belong to."""
    raise HdfsError(_INVALID_REQUEST, f"Unknown pool {request.info.pool}")


@read("modifyCacheDirective", pb.ModifyCacheDirectiveRequest)
def modify_cache_directive(tx: Transaction, call: Call, request: pb.ModifyCacheDirectiveRequest) -> bytes:
    """There are no directives."""
    raise HdfsError(_INVALID_REQUEST, f"No directive with ID {request.info.id} found.")


@read("removeCacheDirective", pb.RemoveCacheDirectiveRequest)
def remove_cache_directive(tx: Transaction, call: Call, request: pb.RemoveCacheDirectiveRequest) -> bytes:
    """There are no directives."""
    raise HdfsError(_INVALID_REQUEST, f"No directive with ID {request.id} found.")


# --- tokens, edits, movement ------------------------------------------------------------------------

_refuse(
    "renewDelegationToken cancelDelegationToken",
    "org.apache.hadoop.security.token.SecretManager$InvalidToken",
    "there are no delegation tokens without authentication",
)
_refuse("getEditsFromTxid", UNSUPPORTED, "there is no edit log: changes are transactions of the store")
_refuse(
    "satisfyStoragePolicy",
    "org.apache.hadoop.hdfs.server.namenode.UnsupportedActionException",
    "Cannot request to satisfy storage policy when storage policy satisfier feature has been disabled by "
    "admin. Seek for an admin help to enable it or use Mover tool.",
)


@read("getDelegationToken", _ANY)
def get_delegation_token(tx: Transaction, call: Call, request: Message) -> bytes:
    """Without security a namenode answers no token, and clients go on without."""
    return b""
