"""Operations of features that are not offered: they answer what their calls answer, mostly an error."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from oastfs.namenode.hdfs.methods import METHODS
from oastfs.namenode.web.operations import JSON_NULL, Calls, Json, operation
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.webhdfs import WebRequest

_CALLS: Final = {
    ("GET", "GETSNAPSHOTDIFF"): "getSnapshotDiffReport",
    ("GET", "GETSNAPSHOTDIFFLISTING"): "getSnapshotDiffReportListing",
    ("GET", "GETSNAPSHOTLIST"): "getSnapshotListing",
    ("PUT", "ALLOWSNAPSHOT"): "allowSnapshot",
    ("PUT", "DISALLOWSNAPSHOT"): "disallowSnapshot",
    ("PUT", "CREATESNAPSHOT"): "createSnapshot",
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
_PARAMETERS: Final = {
    "snapshotName": "snapshotname",
    "snapshotOldName": "oldsnapshotname",
    "snapshotNewName": "snapshotname",
    "ecPolicyName": "ecpolicy",
}
"""Fields of the calls' requests that come from parameters; those of ``_PATHS`` are the path."""
_PATHS: Final = ("snapshotRoot", "src")


def _request(asked: WebRequest, call: str) -> Message:
    message = METHODS[call].request()
    for name in message.DESCRIPTOR.fields_by_name:
        if name in _PATHS:
            setattr(message, name, asked.path)
        elif name in _PARAMETERS:
            setattr(message, name, asked.text(_PARAMETERS[name]))
    return message


def _declare(method: str, name: str, call: str) -> None:
    @operation(method, name)
    def ask(asked: WebRequest, calls: Calls) -> None:
        calls(call, _request(asked, call), pb.MsyncResponse)


for (_method, _name), _call in _CALLS.items():
    _declare(_method, _name, _call)


@operation("GET", "GETSNAPSHOTTABLEDIRECTORYLIST")
def get_snapshottable_directories(asked: WebRequest, calls: Calls) -> Json:
    return {"SnapshottableDirectoryList": None}


@operation("GET", "GETECPOLICY")
def get_ec_policy(asked: WebRequest, calls: Calls) -> Json:
    calls("getErasureCodingPolicy", _request(asked, "getErasureCodingPolicy"), pb.MsyncResponse)
    return JSON_NULL


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
