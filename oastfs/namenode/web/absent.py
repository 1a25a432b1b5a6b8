"""Operations of features that are not offered: they answer what their calls answer, mostly an error."""

from __future__ import annotations

from typing import Final

from oastfs.namenode.web.operations import Calls, Json, operation
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.webhdfs import WebRequest

_REFUSED: Final = {
    ("GET", "GETSNAPSHOTDIFF"): "getSnapshotDiffReport",
    ("GET", "GETSNAPSHOTDIFFLISTING"): "getSnapshotDiffReportListing",
    ("GET", "GETSNAPSHOTLIST"): "getSnapshotListing",
    ("PUT", "ALLOWSNAPSHOT"): "allowSnapshot",
    ("PUT", "DISALLOWSNAPSHOT"): "disallowSnapshot",
    ("PUT", "RENAMESNAPSHOT"): "renameSnapshot",
    ("DELETE", "DELETESNAPSHOT"): "deleteSnapshot",
    ("PUT", "SATISFYSTORAGEPOLICY"): "satisfyStoragePolicy",
    ("PUT", "ENABLEECPOLICY"): "enableErasureCodingPolicy",
    ("PUT", "DISABLEECPOLICY"): "disableErasureCodingPolicy",
    ("PUT", "SETECPOLICY"): "setErasureCodingPolicy",
    ("POST", "UNSETECPOLICY"): "unsetErasureCodingPolicy",
    ("PUT", "RENEWDELEGATIONTOKEN"): "renewDelegationToken",
    ("PUT", "CANCELDELEGATIONTOKEN"): "cancelDelegationToken",
}


def _declare(method: str, name: str, call: str) -> None:
    @operation(method, name)
    def refused(asked: WebRequest, calls: Calls) -> None:
        calls(call, pb.MsyncRequest(), pb.MsyncResponse)


for (_method, _name), _call in _REFUSED.items():
    _declare(_method, _name, _call)


@operation("PUT", "CREATESNAPSHOT")
def create_snapshot(asked: WebRequest, calls: Calls) -> None:
    calls("createSnapshot", pb.CreateSnapshotRequest(snapshotRoot=asked.path), pb.MsyncResponse)


@operation("GET", "GETSNAPSHOTTABLEDIRECTORYLIST")
def get_snapshottable_directories(asked: WebRequest, calls: Calls) -> Json:
    return {"SnapshottableDirectoryList": None}


@operation("GET", "GETECPOLICY")
def get_ec_policy(asked: WebRequest, calls: Calls) -> None:
    request = pb.GetErasureCodingPolicyRequest(src=asked.path)
    calls("getErasureCodingPolicy", request, pb.GetErasureCodingPolicyResponse)


@operation("GET", "GETECPOLICIES")
def get_ec_policies(asked: WebRequest, calls: Calls) -> Json:
    return {"ErasureCodingPolicies": {"ErasureCodingPolicyInfo": []}}


@operation("GET", "GETECCODECS")
def get_ec_codecs(asked: WebRequest, calls: Calls) -> Json:
    return {"ErasureCodingCodecs": {}}


@operation("GET", "GETDELEGATIONTOKEN")
def get_delegation_token(asked: WebRequest, calls: Calls) -> Json:
    """Without authentication there are no tokens, and clients go on without."""
    return {"Token": None}
