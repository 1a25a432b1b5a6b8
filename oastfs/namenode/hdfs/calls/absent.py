"""Calls of features that are not offered: they answer as a namenode does where the feature is off or unused.

What only asks gets an empty answer; what would begin to use the feature gets HDFS's exception. All of them
are listed in docs/hdfs-compatibility.md.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.errors import IO, UNSUPPORTED, HdfsError
from oastfs.namenode.hdfs.methods import read
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb

_ANY: Final = pb.MsyncRequest
"""A message without fields reads any request."""
_SNAPSHOT: Final = "org.apache.hadoop.hdfs.protocol.SnapshotException"


def _refuse(names: str, java_class: str, message: str) -> None:
    """Declare calls, by their names in one text, that always fail in the same way."""
    for name in names.split():

        @read(name, _ANY)
        def refuse(tx: Transaction, call: Call, request: Message) -> bytes:
            raise HdfsError(java_class, message)


def _answer(name: str, answer: Message) -> None:
    """Declare a call that always answers the same."""
    encoded = answer.SerializeToString()

    @read(name, _ANY)
    def same(tx: Transaction, call: Call, request: Message) -> bytes:
        return encoded


# --- snapshots --------------------------------------------------------------------------------------

_refuse("allowSnapshot disallowSnapshot", UNSUPPORTED, "snapshots are not supported")
_refuse(
    "deleteSnapshot renameSnapshot getSnapshotListing getSnapshotDiffReport getSnapshotDiffReportListing",
    _SNAPSHOT,
    "Directory is not a snapshottable directory",
)
_answer("getSnapshottableDirListing", pb.GetSnapshottableDirListingResponse())


@read("createSnapshot", pb.CreateSnapshotRequest)
def create_snapshot(tx: Transaction, call: Call, request: pb.CreateSnapshotRequest) -> bytes:
    """No directory allows snapshots."""
    tree.resolve(tx, call.context, request.snapshotRoot)
    raise HdfsError(_SNAPSHOT, f"Directory is not a snapshottable directory: {request.snapshotRoot}")


# --- encryption zones -------------------------------------------------------------------------------

_refuse(
    "createEncryptionZone reencryptEncryptionZone listReencryptionStatus",
    IO,
    "Can't create an encryption zone for / since no key provider is available.",
)
_answer("listEncryptionZones", pb.ListEncryptionZonesResponse(hasMore=False))
_answer("getEZForPath", pb.GetEZForPathResponse())
_answer("getDataEncryptionKey", pb.MsyncResponse())

# --- erasure coding ---------------------------------------------------------------------------------

_refuse(
    "setErasureCodingPolicy unsetErasureCodingPolicy addErasureCodingPolicies "
    "removeErasureCodingPolicy enableErasureCodingPolicy disableErasureCodingPolicy "
    "getECTopologyResultForPolicies",
    UNSUPPORTED,
    "erasure coding is not supported",
)
_answer("getErasureCodingPolicies", pb.GetErasureCodingPoliciesResponse())
_answer("getErasureCodingCodecs", pb.GetErasureCodingCodecsResponse())
_answer("getErasureCodingPolicy", pb.GetErasureCodingPolicyResponse())

# --- centralized cache ------------------------------------------------------------------------------

_refuse(
    "addCacheDirective modifyCacheDirective removeCacheDirective addCachePool "
    "modifyCachePool removeCachePool",
    UNSUPPORTED,
    "centralized caching is not supported",
)
_answer("listCacheDirectives", pb.ListCacheDirectivesResponse(hasMore=False))
_answer("listCachePools", pb.ListCachePoolsResponse(hasMore=False))

# --- tokens, edits, movement ------------------------------------------------------------------------

_refuse(
    "renewDelegationToken cancelDelegationToken",
    "org.apache.hadoop.security.token.SecretManager$InvalidToken",
    "there are no delegation tokens without authentication",
)
_refuse("getEditsFromTxid", UNSUPPORTED, "there is no edit log: changes are transactions of the store")
_refuse("satisfyStoragePolicy", UNSUPPORTED, "Storage policy satisfier is disabled")


@read("getDelegationToken", _ANY)
def get_delegation_token(tx: Transaction, call: Call, request: Message) -> bytes:
    """Without security a namenode answers no token, and clients go on without."""
    return b""
