"""Access control lists. HDFS's clients name users and groups; entries here have their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from oastfs.core.errors import BadAcl, NotFound
from oastfs.core.types import AclEntry, AclKind, AclScope
from oastfs.namenode import acl_updates, principals
from oastfs.namenode.acls import changes
from oastfs.namenode.acls.rows import UNNAMED
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.errors import FILE_NOT_FOUND, HdfsError
from oastfs.namenode.hdfs.methods import read, write
from oastfs.namenode.hdfs.status import PERMISSION_MASK
from oastfs.namenode.ops.get_acl import get_acl
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

_KINDS: Final = {AclKind.USER: principals.USER, AclKind.GROUP: principals.GROUP}
_STICKY: Final = 0o1000


@write("modifyAclEntries", pb.ModifyAclEntriesRequest)
def modify_acl_entries(
    tx: Transaction, call: Call, request: pb.ModifyAclEntriesRequest
) -> pb.ModifyAclEntriesResponse:
    """Add entries, and change those that are there."""
    _update(tx, call, request.src, lambda acl: changes.merged(acl, _entries(tx, request.aclSpec)))
    return pb.ModifyAclEntriesResponse()


@write("removeAclEntries", pb.RemoveAclEntriesRequest)
def remove_acl_entries(
    tx: Transaction, call: Call, request: pb.RemoveAclEntriesRequest
) -> pb.RemoveAclEntriesResponse:
    """Take entries away; their permissions do not matter."""
    _update(tx, call, request.src, lambda acl: changes.without(acl, _entries(tx, request.aclSpec)))
    return pb.RemoveAclEntriesResponse()


@write("removeDefaultAcl", pb.RemoveDefaultAclRequest)
def remove_default_acl(
    tx: Transaction, call: Call, request: pb.RemoveDefaultAclRequest
) -> pb.RemoveDefaultAclResponse:
    """Take all default entries away."""
    _update(tx, call, request.src, changes.without_default)
    return pb.RemoveDefaultAclResponse()


@write("removeAcl", pb.RemoveAclRequest)
def remove_acl(tx: Transaction, call: Call, request: pb.RemoveAclRequest) -> pb.RemoveAclResponse:
    """Leave what the permission bits can hold."""
    _update(tx, call, request.src, changes.minimal)
    return pb.RemoveAclResponse()


@write("setAcl", pb.SetAclRequest)
def set_acl(tx: Transaction, call: Call, request: pb.SetAclRequest) -> pb.SetAclResponse:
    """Replace the scopes of which entries are given; without any, remove the ACL."""

    def change(acl: list[AclEntry]) -> list[AclEntry]:
        given = _entries(tx, request.aclSpec)
        return changes.replaced(acl, given) if given else changes.minimal(acl)

    _update(tx, call, request.src, change)
    return pb.SetAclResponse()


@read("getAclStatus", pb.GetAclStatusRequest)
def get_acl_status(tx: Transaction, call: Call, request: pb.GetAclStatusRequest) -> pb.GetAclStatusResponse:
    """What the permission bits do not hold; clients put the rest together from those."""
    try:
        found = get_acl(tx, call.context, request.src)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"cannot find {request.src}") from None
    names = call.names
    extended = any(one.scope is AclScope.ACCESS and one.kind is AclKind.MASK for one in found.entries)
    shown = [_encode(tx, call, one) for one in found.entries if not _is_in_mode(one, extended)]
    status = types.AclStatus(
        owner=names.user(tx, found.uid),
        group=names.group(tx, found.gid),
        sticky=bool(found.mode & _STICKY),
        entries=sorted(shown, key=lambda one: (one.scope, one.type, one.name)),
        permission=types.FsPermission(perm=found.mode & PERMISSION_MASK),
    )
    return pb.GetAclStatusResponse(result=status)


def _update(tx: Transaction, call: Call, path: str, change: changes.Change) -> None:
    try:
        acl_updates.update(tx, call.context, path, change)
    except NotFound:
        raise HdfsError(FILE_NOT_FOUND, f"Directory/File does not exist {path}") from None
    except BadAcl as error:
        raise BadAcl(f"{error.message} Path: {path}") from None


def _is_in_mode(entry: AclEntry, extended: bool) -> bool:
    if entry.scope is not AclScope.ACCESS or entry.id != UNNAMED:
        return False
    return entry.kind is not AclKind.GROUP or not extended


def _encode(tx: Transaction, call: Call, entry: AclEntry) -> types.AclEntry:
    encoded = types.AclEntry(
        type=types.AclEntry.AclEntryType.ValueType(entry.kind),
        scope=types.AclEntry.AclEntryScope.ValueType(entry.scope),
        permissions=types.AclEntry.FsAction.ValueType(entry.permission),
    )
    if entry.id != UNNAMED:
        user = entry.kind is AclKind.USER
        encoded.name = call.names.user(tx, entry.id) if user else call.names.group(tx, entry.id)
    return encoded


def _entries(tx: Transaction, given: Iterable[types.AclEntry]) -> list[AclEntry]:
    return [_entry(tx, one) for one in given]


def _entry(tx: Transaction, given: types.AclEntry) -> AclEntry:
    scope, kind, number = AclScope(given.scope), AclKind(given.type), UNNAMED
    if given.name:
        if kind not in _KINDS:
            text = changes.text_of(AclEntry(scope, kind, UNNAMED, given.permissions))
            text = text.replace("::", f":{given.name}:")
            raise BadAcl(f"Invalid ACL: this entry type must not have a name: {text}.")
        number = principals.id_of(tx, _KINDS[kind], given.name)
    return AclEntry(scope, kind, number, given.permissions)
