"""Every operation of WebHDFS that a namenode answers itself: which call it is, and what is shown of it.

An operation is a function of the request and of ``calls``, by which it makes calls of ClientProtocol; it
gives the JSON object to answer, or None for an empty answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec
from google.protobuf.message import Message

from oastfs.namenode.web import render, xattr
from oastfs.namenode.web.acl import parse_action, parse_spec
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import FILE_NOT_FOUND, ILLEGAL_ARGUMENT, JavaError, WebRequest

M = TypeVar("M", bound=Message)
Json = dict[str, Any]

DIRECTORY_PERMISSION_DEFAULT: Final = 0o755
_UNSIGNED: Final = (1 << 64) - 1
_QUOTA_UNCHANGED: Final = (1 << 63) - 1
_EVERYTHING: Final = (1 << 63) - 1
_STORAGE_TYPES: Final = dict(types.StorageType.items())


class Calls(Protocol):
    """Makes calls as the user of one request. Raises what they raise."""

    def __call__(self, name: str, request: Message, answer: type[M]) -> M:
        """Make a call."""


Operation = Callable[[WebRequest, Calls], Json | None]
JSON_NULL: Final[Json] = {"null": None}
"""An operation's answer where HDFS answers ``null``."""
OPERATIONS: Final[dict[tuple[str, str], Operation]] = {}
"""By HTTP method and name."""


def operation(method: str, *names: str) -> Callable[[Operation], Operation]:
    """Declare an operation."""

    def declare(function: Operation) -> Operation:
        for name in names:
            OPERATIONS[method, name] = function
        return function

    return declare


def _permission(asked: WebRequest) -> types.FsPermission:
    given = asked.permission("permission")
    return types.FsPermission(perm=DIRECTORY_PERMISSION_DEFAULT if given is None else given)


# --- reading ----------------------------------------------------------------------------------------


@operation("GET", "GETFILESTATUS")
def get_file_status(asked: WebRequest, calls: Calls) -> Json:
    answer = calls("getFileInfo", pb.GetFileInfoRequest(src=asked.path), pb.GetFileInfoResponse)
    return _file_status(asked, answer)


@operation("GET", "GETFILELINKSTATUS")
def get_file_link_status(asked: WebRequest, calls: Calls) -> Json:
    answer = calls("getFileLinkInfo", pb.GetFileLinkInfoRequest(src=asked.path), pb.GetFileLinkInfoResponse)
    return _file_status(asked, answer)


def _file_status(asked: WebRequest, answer: pb.GetFileInfoResponse | pb.GetFileLinkInfoResponse) -> Json:
    if not answer.HasField("fs"):
        raise JavaError(FILE_NOT_FOUND, f"File does not exist: {asked.path}")
    status = render.file_status(answer.fs)
    status["pathSuffix"] = ""
    return {"FileStatus": status}


@operation("GET", "LISTSTATUS")
def list_status(asked: WebRequest, calls: Calls) -> Json:
    entries: list[types.HdfsFileStatus] = []
    page = _page(asked, calls, b"")
    entries.extend(page.partialListing)
    while page.remainingEntries:
        page = _page(asked, calls, entries[-1].path)
        entries.extend(page.partialListing)
    return render.file_statuses(entries)


@operation("GET", "LISTSTATUS_BATCH")
def list_status_batch(asked: WebRequest, calls: Calls) -> Json:
    page = _page(asked, calls, asked.text("startafter").encode())
    return {
        "DirectoryListing": {
            "partialListing": render.file_statuses(page.partialListing),
            "remainingEntries": page.remainingEntries,
        }
    }


def _page(asked: WebRequest, calls: Calls, after: bytes) -> types.DirectoryListing:
    request = pb.GetListingRequest(src=asked.path, startAfter=after, needLocation=False)
    answer = calls("getListing", request, pb.GetListingResponse)
    if not answer.HasField("dirList"):
        raise JavaError(FILE_NOT_FOUND, f"File {asked.path} does not exist.")
    return answer.dirList


@operation("GET", "GETCONTENTSUMMARY")
def get_content_summary(asked: WebRequest, calls: Calls) -> Json:
    request = pb.GetContentSummaryRequest(path=asked.path)
    return render.content_summary(calls("getContentSummary", request, pb.GetContentSummaryResponse).summary)


@operation("GET", "GETQUOTAUSAGE")
def get_quota_usage(asked: WebRequest, calls: Calls) -> Json:
    request = pb.GetQuotaUsageRequest(path=asked.path)
    return render.quota_usage(calls("getQuotaUsage", request, pb.GetQuotaUsageResponse).usage)


@operation("GET", "GETHOMEDIRECTORY")
def get_home_directory(asked: WebRequest, calls: Calls) -> Json:
    return {"Path": f"/user/{asked.user}"}


@operation("GET", "GETTRASHROOT")
def get_trash_root(asked: WebRequest, calls: Calls) -> Json:
    return {"Path": f"/user/{asked.user}/.Trash"}


@operation("GET", "GETLINKTARGET")
def get_link_target(asked: WebRequest, calls: Calls) -> Json:
    request = pb.GetLinkTargetRequest(path=asked.path)
    return {"Path": calls("getLinkTarget", request, pb.GetLinkTargetResponse).targetPath}


@operation("GET", "CHECKACCESS")
def check_access(asked: WebRequest, calls: Calls) -> None:
    wanted = parse_action(asked.required("fsaction"))
    request = pb.CheckAccessRequest(path=asked.path, mode=wanted)
    calls("checkAccess", request, pb.CheckAccessResponse)


@operation("GET", "GETFILEBLOCKLOCATIONS")
def get_file_block_locations(asked: WebRequest, calls: Calls) -> Json:
    return render.block_locations(_blocks(asked, calls))


@operation("GET", "GET_BLOCK_LOCATIONS")
def get_block_locations(asked: WebRequest, calls: Calls) -> Json:
    return render.located_blocks(_blocks(asked, calls))


def _blocks(asked: WebRequest, calls: Calls) -> types.LocatedBlocks:
    offset, length = asked.number("offset", 0), asked.number("length", _EVERYTHING)
    request = pb.GetBlockLocationsRequest(src=asked.path, offset=offset, length=length)
    return calls("getBlockLocations", request, pb.GetBlockLocationsResponse).locations


@operation("GET", "GETSERVERDEFAULTS")
def get_server_defaults(asked: WebRequest, calls: Calls) -> Json:
    answer = calls("getServerDefaults", pb.GetServerDefaultsRequest(), pb.GetServerDefaultsResponse)
    return render.server_defaults(answer.serverDefaults)


@operation("GET", "GETSTATUS")
def get_status(asked: WebRequest, calls: Calls) -> Json:
    found = calls("getFsStats", pb.GetFsStatusRequest(), pb.GetFsStatsResponse)
    return {"FsStatus": {"capacity": found.capacity, "remaining": found.remaining, "used": found.used}}


# --- the tree ---------------------------------------------------------------------------------------


@operation("PUT", "MKDIRS")
def mkdirs(asked: WebRequest, calls: Calls) -> Json:
    request = pb.MkdirsRequest(src=asked.path, masked=_permission(asked), createParent=True)
    unmasked = asked.permission("unmaskedpermission")
    if unmasked is not None:
        request.unmasked.perm = unmasked
    return {"boolean": calls("mkdirs", request, pb.MkdirsResponse).result}


@operation("PUT", "RENAME")
def rename(asked: WebRequest, calls: Calls) -> Json | None:
    target = asked.required("destination")
    options = asked.names("renameoptions")
    if not options:
        plain = pb.RenameRequest(src=asked.path, dst=target)
        return {"boolean": calls("rename", plain, pb.RenameResponse).result}
    request = pb.Rename2Request(
        src=asked.path, dst=target, overwriteDest="OVERWRITE" in options, moveToTrash="TO_TRASH" in options
    )
    calls("rename2", request, pb.Rename2Response)
    return None


@operation("PUT", "CREATESYMLINK")
def create_symlink(asked: WebRequest, calls: Calls) -> None:
    request = pb.CreateSymlinkRequest(
        target=asked.required("destination"),
        link=asked.path,
        dirPerm=types.FsPermission(perm=DIRECTORY_PERMISSION_DEFAULT),
        createParent=asked.flag("createparent", False),
    )
    calls("createSymlink", request, pb.CreateSymlinkResponse)


@operation("DELETE", "DELETE")
def delete(asked: WebRequest, calls: Calls) -> Json:
    request = pb.DeleteRequest(src=asked.path, recursive=asked.flag("recursive", False))
    return {"boolean": calls("delete", request, pb.DeleteResponse).result}


@operation("POST", "CONCAT")
def concat(asked: WebRequest, calls: Calls) -> None:
    sources = [source for source in asked.required("sources").split(",") if source]
    calls("concat", pb.ConcatRequest(trg=asked.path, srcs=sources), pb.ConcatResponse)


@operation("POST", "TRUNCATE")
def truncate(asked: WebRequest, calls: Calls) -> Json:
    asked.required("newlength")
    length = asked.number("newlength", 0)
    request = pb.TruncateRequest(src=asked.path, newLength=length, clientName="webhdfs")
    return {"boolean": calls("truncate", request, pb.TruncateResponse).result}


# --- attributes -------------------------------------------------------------------------------------


@operation("PUT", "SETREPLICATION")
def set_replication(asked: WebRequest, calls: Calls) -> Json:
    wanted = asked.number("replication", 0)
    if not wanted:
        defaults = calls("getServerDefaults", pb.GetServerDefaultsRequest(), pb.GetServerDefaultsResponse)
        wanted = defaults.serverDefaults.replication
    request = pb.SetReplicationRequest(src=asked.path, replication=wanted)
    return {"boolean": calls("setReplication", request, pb.SetReplicationResponse).result}


@operation("PUT", "SETOWNER")
def set_owner(asked: WebRequest, calls: Calls) -> None:
    owner, group = asked.text("owner"), asked.text("group")
    if not owner and not group:
        raise JavaError(ILLEGAL_ARGUMENT, "Both owner and group are empty.")
    request = pb.SetOwnerRequest(src=asked.path, username=owner or None, groupname=group or None)
    calls("setOwner", request, pb.SetOwnerResponse)


@operation("PUT", "SETPERMISSION")
def set_permission(asked: WebRequest, calls: Calls) -> None:
    request = pb.SetPermissionRequest(src=asked.path, permission=_permission(asked))
    calls("setPermission", request, pb.SetPermissionResponse)


@operation("PUT", "SETTIMES")
def set_times(asked: WebRequest, calls: Calls) -> None:
    request = pb.SetTimesRequest(
        src=asked.path,
        mtime=asked.number("modificationtime", -1) & _UNSIGNED,
        atime=asked.number("accesstime", -1) & _UNSIGNED,
    )
    calls("setTimes", request, pb.SetTimesResponse)


@operation("GET", "GETXATTRS")
def get_xattrs(asked: WebRequest, calls: Calls) -> Json:
    encoding = asked.required("encoding").lower()
    names = [xattr.parse_name(name) for name in asked.texts("xattr.name")]
    answer = calls("getXAttrs", pb.GetXAttrsRequest(src=asked.path, xAttrs=names), pb.GetXAttrsResponse)
    return {"XAttrs": xattr.rendered(answer.xAttrs, encoding)}


@operation("GET", "LISTXATTRS")
def list_xattrs(asked: WebRequest, calls: Calls) -> Json:
    answer = calls("listXAttrs", pb.ListXAttrsRequest(src=asked.path), pb.ListXAttrsResponse)
    names = [xattr.full_name(one) for one in answer.xAttrs]
    return {"XAttrNames": msgspec.json.encode(names).decode()}


@operation("PUT", "SETXATTR")
def set_xattr(asked: WebRequest, calls: Calls) -> None:
    attribute = xattr.parse_name(asked.required("xattr.name"))
    attribute.value = xattr.decode_value(asked.text("xattr.value"))
    asked.required("flag")
    flag = sum({"CREATE": 1, "REPLACE": 2}[name] for name in set(asked.names("flag")))
    request = pb.SetXAttrRequest(src=asked.path, xAttr=attribute, flag=flag)
    calls("setXAttr", request, pb.SetXAttrResponse)


@operation("PUT", "REMOVEXATTR")
def remove_xattr(asked: WebRequest, calls: Calls) -> None:
    attribute = xattr.parse_name(asked.required("xattr.name"))
    calls("removeXAttr", pb.RemoveXAttrRequest(src=asked.path, xAttr=attribute), pb.RemoveXAttrResponse)


# --- ACLs -------------------------------------------------------------------------------------------


@operation("GET", "GETACLSTATUS")
def get_acl_status(asked: WebRequest, calls: Calls) -> Json:
    request = pb.GetAclStatusRequest(src=asked.path)
    return render.acl_status(calls("getAclStatus", request, pb.GetAclStatusResponse).result)


@operation("PUT", "MODIFYACLENTRIES")
def modify_acl_entries(asked: WebRequest, calls: Calls) -> None:
    entries = parse_spec(asked.required("aclspec"), permissions=True)
    request = pb.ModifyAclEntriesRequest(src=asked.path, aclSpec=entries)
    calls("modifyAclEntries", request, pb.ModifyAclEntriesResponse)


@operation("PUT", "SETACL")
def set_acl(asked: WebRequest, calls: Calls) -> None:
    entries = parse_spec(asked.required("aclspec"), permissions=True)
    calls("setAcl", pb.SetAclRequest(src=asked.path, aclSpec=entries), pb.SetAclResponse)


@operation("PUT", "REMOVEACLENTRIES")
def remove_acl_entries(asked: WebRequest, calls: Calls) -> None:
    entries = parse_spec(asked.required("aclspec"), permissions=False)
    request = pb.RemoveAclEntriesRequest(src=asked.path, aclSpec=entries)
    calls("removeAclEntries", request, pb.RemoveAclEntriesResponse)


@operation("PUT", "REMOVEDEFAULTACL")
def remove_default_acl(asked: WebRequest, calls: Calls) -> None:
    calls("removeDefaultAcl", pb.RemoveDefaultAclRequest(src=asked.path), pb.RemoveDefaultAclResponse)


@operation("PUT", "REMOVEACL")
def remove_acl(asked: WebRequest, calls: Calls) -> None:
    calls("removeAcl", pb.RemoveAclRequest(src=asked.path), pb.RemoveAclResponse)


# --- storage policies and quotas --------------------------------------------------------------------


@operation("GET", "GETALLSTORAGEPOLICY")
def get_all_storage_policies(asked: WebRequest, calls: Calls) -> Json:
    answer = calls("getStoragePolicies", pb.GetStoragePoliciesRequest(), pb.GetStoragePoliciesResponse)
    found = [render.storage_policy(policy) for policy in answer.policies]
    return {"BlockStoragePolicies": {"BlockStoragePolicy": found}}


@operation("GET", "GETSTORAGEPOLICY")
def get_storage_policy(asked: WebRequest, calls: Calls) -> Json:
    request = pb.GetStoragePolicyRequest(path=asked.path)
    answer = calls("getStoragePolicy", request, pb.GetStoragePolicyResponse)
    return {"BlockStoragePolicy": render.storage_policy(answer.storagePolicy)}


@operation("PUT", "SETSTORAGEPOLICY")
def set_storage_policy(asked: WebRequest, calls: Calls) -> None:
    name = asked.text("storagepolicy")
    if not name:
        raise JavaError(ILLEGAL_ARGUMENT, "Storage policy name is empty.")
    request = pb.SetStoragePolicyRequest(src=asked.path, policyName=name)
    calls("setStoragePolicy", request, pb.SetStoragePolicyResponse)


@operation("POST", "UNSETSTORAGEPOLICY")
def unset_storage_policy(asked: WebRequest, calls: Calls) -> None:
    request = pb.UnsetStoragePolicyRequest(src=asked.path)
    calls("unsetStoragePolicy", request, pb.UnsetStoragePolicyResponse)


@operation("PUT", "SETQUOTA")
def set_quota(asked: WebRequest, calls: Calls) -> None:
    request = pb.SetQuotaRequest(
        path=asked.path,
        namespaceQuota=asked.number("namespacequota", _QUOTA_UNCHANGED) & _UNSIGNED,
        storagespaceQuota=asked.number("storagespacequota", _QUOTA_UNCHANGED) & _UNSIGNED,
    )
    calls("setQuota", request, pb.SetQuotaResponse)


@operation("PUT", "SETQUOTABYSTORAGETYPE")
def set_quota_by_storage_type(asked: WebRequest, calls: Calls) -> None:
    kind = asked.required("storagetype").upper()
    if kind not in _STORAGE_TYPES:
        raise JavaError(ILLEGAL_ARGUMENT, f"No enum constant org.apache.hadoop.fs.StorageType.{kind}")
    request = pb.SetQuotaRequest(
        path=asked.path,
        namespaceQuota=_QUOTA_UNCHANGED,
        storagespaceQuota=asked.number("storagespacequota", _QUOTA_UNCHANGED) & _UNSIGNED,
        storageType=_STORAGE_TYPES[kind],
    )
    calls("setQuota", request, pb.SetQuotaResponse)
