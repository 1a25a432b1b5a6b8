"""Permissions, owners, times, replication and extended attributes."""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import AlreadyExists, IsADirectory, NotFound, NotPermitted, XattrNotFound
from oastfs.core.limits import REPLICATION_MAX
from oastfs.namenode import principals, tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.errors import (
    ACCESS_CONTROL,
    FILE_NOT_FOUND,
    ILLEGAL_ARGUMENT,
    IO,
    HdfsError,
)
from oastfs.namenode.hdfs.methods import read, write
from oastfs.namenode.hdfs.status import PERMISSION_MASK
from oastfs.namenode.ops.chmod import chmod
from oastfs.namenode.ops.chown import chown
from oastfs.namenode.ops.get_xattrs import get_xattrs
from oastfs.namenode.ops.remove_xattr import remove_xattr
from oastfs.namenode.ops.set_replication import set_replication
from oastfs.namenode.ops.set_xattr import set_xattr
from oastfs.namenode.ops.utimes import check_times, set_times
from oastfs.namenode.permissions import READ, WRITE, require, require_owner
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_XATTR_NOT_FOUND: Final = "org.apache.hadoop.hdfs.protocol.XAttrNotFoundException"
_MS: Final = 1_000_000
_NAMESPACES: Final = {
    types.XAttr.USER: "user.",
    types.XAttr.TRUSTED: "trusted.",
    types.XAttr.SECURITY: "security.",
    types.XAttr.SYSTEM: "system.",
    types.XAttr.RAW: "raw.",
}
_NUMBERS: Final = {prefix: number for number, prefix in _NAMESPACES.items()}
_OFFERED: Final = (types.XAttr.USER, types.XAttr.TRUSTED)
"""The others are the system's own: what a mount keeps there, ACLs in Linux's form too, HDFS does not show."""
_CREATE: Final = 1
_REPLACE: Final = 2


@write("setPermission", pb.SetPermissionRequest)
def set_permission(tx: Transaction, call: Call, request: pb.SetPermissionRequest) -> bytes:
    """The permission bits and the sticky bit."""
    try:
        chmod(tx, call.context, request.src, request.permission.perm & PERMISSION_MASK, True)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"Directory/File does not exist {request.src}") from None
    return b""


@write("setOwner", pb.SetOwnerRequest)
def set_owner(tx: Transaction, call: Call, request: pb.SetOwnerRequest) -> bytes:
    """Owner and group by name; an empty one stays as it is."""
    context, path = call.context, request.src
    uid = principals.id_of(tx, principals.USER, request.username) if request.username else -1
    gid = principals.id_of(tx, principals.GROUP, request.groupname) if request.groupname else -1
    try:
        node = tree.resolve(tx, context, path)
        if not context.superuser:
            require_owner(context, node.inode, path)
            if uid not in (-1, context.caller.uid):
                raise HdfsError(
                    ACCESS_CONTROL,
                    f"User {context.caller.user} is not a super user (non-super user cannot change owner).",
                )
            if gid != -1 and gid not in context.caller.gids:
                raise HdfsError(
                    ACCESS_CONTROL,
                    f"User {context.caller.user} does not belong to {request.groupname}",
                )
        chown(tx, context, path, uid, gid, True)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"Directory/File does not exist {path}") from None
    return b""


@write("setTimes", pb.SetTimesRequest)
def set_times_of(tx: Transaction, call: Call, request: pb.SetTimesRequest) -> bytes:
    """Modification and access time in ms; all ones (Java's -1) leave one as it is."""
    atime_ns, mtime_ns = (-1 if ms >= 1 << 63 else ms * _MS for ms in (request.atime, request.mtime))
    context = call.context
    try:
        node = tree.resolve(tx, context, request.src)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"File/Directory {request.src} does not exist.") from None
    # HDFS asks for the right to write where POSIX asks for ownership.
    require(context, node.inode, WRITE, request.src)
    check_times(atime_ns, mtime_ns, request.src)
    set_times(tx, context, node, atime_ns, mtime_ns)
    return b""


@write("setReplication", pb.SetReplicationRequest)
def set_replication_of(
    tx: Transaction, call: Call, request: pb.SetReplicationRequest
) -> pb.SetReplicationResponse:
    """How many replicas a file's blocks are to have; false for what is no file."""
    path, wanted = request.src, request.replication
    if wanted < 1:
        problem = "is less than the required minimum of 1"
        raise HdfsError(IO, f"Requested replication factor of {wanted} {problem} for {path}")
    if wanted > REPLICATION_MAX:
        problem = f"exceeds maximum of {REPLICATION_MAX}"
        raise HdfsError(IO, f"Requested replication factor of {wanted} {problem} for {path}")
    try:
        set_replication(tx, call.context, path, wanted)
    except NotFound:
        return pb.SetReplicationResponse(result=False)
    except IsADirectory:
        require(call.context, tree.resolve(tx, call.context, path).inode, WRITE, path)
        return pb.SetReplicationResponse(result=False)
    return pb.SetReplicationResponse(result=True)


# --- extended attributes ----------------------------------------------------------------------------


@write("setXAttr", pb.SetXAttrRequest, at_most_once=True)
def set_attribute(tx: Transaction, call: Call, request: pb.SetXAttrRequest) -> pb.SetXAttrResponse:
    """Make or replace one attribute, as the flags allow."""
    name = _name(call, request.xAttr)
    create, replace = bool(request.flag & _CREATE), bool(request.flag & _REPLACE)
    try:
        set_xattr(tx, call.context, request.src, name, request.xAttr.value, create, replace, True)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"cannot find {request.src}") from None
    except AlreadyExists:
        raise HdfsError(
            IO, f"XAttr: {request.xAttr.name} already exists. The REPLACE flag must be specified."
        ) from None
    except XattrNotFound:
        raise HdfsError(
            IO, f"XAttr: {request.xAttr.name} does not exist. The CREATE flag must be specified."
        ) from None
    return pb.SetXAttrResponse()


@write("removeXAttr", pb.RemoveXAttrRequest, at_most_once=True)
def remove_attribute(tx: Transaction, call: Call, request: pb.RemoveXAttrRequest) -> pb.RemoveXAttrResponse:
    """Remove one attribute."""
    try:
        remove_xattr(tx, call.context, request.src, _name(call, request.xAttr), True)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"cannot find {request.src}") from None
    except XattrNotFound:
        raise HdfsError(IO, "No matching attributes found for remove operation") from None
    return pb.RemoveXAttrResponse()


@read("getXAttrs", pb.GetXAttrsRequest)
def get_attributes(tx: Transaction, call: Call, request: pb.GetXAttrsRequest) -> pb.GetXAttrsResponse:
    """The attributes that are named, or all that the caller may see."""
    names = [_name(call, one) for one in request.xAttrs] or None
    if not call.context.superuser:
        require(call.context, _node(tx, call, request.src).inode, READ, request.src)
    return pb.GetXAttrsResponse(xAttrs=_attributes(tx, call, request.src, names))


@read("listXAttrs", pb.ListXAttrsRequest)
def list_attributes(tx: Transaction, call: Call, request: pb.ListXAttrsRequest) -> pb.ListXAttrsResponse:
    """Names (and values, which clients ignore) of all attributes that the caller may see."""
    return pb.ListXAttrsResponse(xAttrs=_attributes(tx, call, request.src, None))


def _node(tx: Transaction, call: Call, path: str) -> tree.Node:
    try:
        return tree.resolve(tx, call.context, path)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"cannot find {path}") from None


def _attributes(tx: Transaction, call: Call, path: str, names: list[str] | None) -> list[types.XAttr]:
    try:
        found = get_xattrs(tx, call.context, path, names, True)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"cannot find {path}") from None
    except XattrNotFound:
        raise HdfsError(_XATTR_NOT_FOUND, "At least one of the attributes provided was not found.") from None
    except NotPermitted as error:
        raise HdfsError(ACCESS_CONTROL, error.message) from None
    encoded = []
    for full_name, value in found.items():
        prefix, _, name = full_name.partition(".")
        number = _NUMBERS.get(prefix + ".")
        if number is not None and number in _OFFERED:
            encoded.append(types.XAttr(namespace=number, name=name, value=value))
    return encoded


def _name(call: Call, attribute: types.XAttr) -> str:
    if not attribute.name:
        raise HdfsError(ILLEGAL_ARGUMENT, "XAttr name cannot be empty")
    name = _NAMESPACES[attribute.namespace] + attribute.name
    offered = attribute.namespace in _OFFERED
    if not offered or (attribute.namespace == types.XAttr.TRUSTED and not call.context.superuser):
        raise HdfsError(ACCESS_CONTROL, f"User doesn't have permission for xattr: {name}")
    return name
