"""Files that are made: create, with what HDFS asks of the place and of other writers."""

from __future__ import annotations

from typing import Final

from oastfs.core.errors import (
    NotADirectory,
    NotFound,
    OastError,
)
from oastfs.core.limits import REPLICATION_MAX
from oastfs.core.path import parent
from oastfs.core.storage_policies import BY_NAME
from oastfs.core.types import FileStatus
from oastfs.namenode import leases, removal, storage_policies, tree
from oastfs.namenode.context import Context
from oastfs.namenode.hdfs import status
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.checks import authorize, check_new
from oastfs.namenode.hdfs.encoding import delimited
from oastfs.namenode.hdfs.errors import (
    FILE_ALREADY_EXISTS,
    FILE_NOT_FOUND,
    ILLEGAL_ARGUMENT,
    IO,
    PARENT_NOT_DIRECTORY,
    HdfsError,
    parent_not_directory,
)
from oastfs.namenode.hdfs.methods import write
from oastfs.namenode.ops.create import create_in
from oastfs.namenode.ops.mkdirs import AS_ABOVE, make_parents
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.tree import Node
from oastfs.store.schema import Inode
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb

_OVERWRITE: Final = 2
_LAZY_PERSIST: Final = 16
_LAZY: Final = "LAZY_PERSIST"
_ALREADY_BEING_CREATED: Final = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException"


@write("create", pb.CreateRequest, at_most_once=True)
def create(tx: Transaction, call: Call, request: pb.CreateRequest) -> bytes:
    """An empty file under construction. Overwriting replaces the file, owner and permissions included."""
    check_new("create", request.src)
    if request.replication > REPLICATION_MAX:
        problem = f"exceeds maximum of {REPLICATION_MAX} for {request.src}, clientName={call.client_host}"
        raise HdfsError(IO, f"Requested replication factor of {request.replication} {problem}")
    try:
        return delimited(b"\x0a", status.encode_bytes(tx, call, _create(tx, call, request)))
    except OastError as error:
        if error.java_class != PARENT_NOT_DIRECTORY:
            authorize(tx, call, request.src, ancestor=WRITE)
        raise


def _create(tx: Transaction, call: Call, request: pb.CreateRequest) -> FileStatus:
    context, path = call.context, request.src
    try:
        slot = _slot(tx, context, path, request.createParent)
    except NotADirectory:
        raise parent_not_directory(tx, call, path) from None
    if slot.node is not None:
        slot = _replace(tx, call, slot, request)
    node = create_in(
        tx,
        context,
        slot,
        path,
        request.masked.perm & status.PERMISSION_MASK,
        request.clientName,
        request.replication,
        request.blockSize,
        status.unmasked_mode(request),
    )
    policy = request.storagePolicy or (_LAZY if request.createFlag & _LAZY_PERSIST else "")
    return tree.status_of(tx, context, _with_policy(tx, node, policy) if policy else node)


def _with_policy(tx: Transaction, node: Node, name: str) -> Node:
    """Give a new file a storage policy of its own."""
    policy = BY_NAME.get(name.upper())
    if policy is None:
        raise HdfsError(ILLEGAL_ARGUMENT, f"Cannot find a block policy with the name {name}")
    storage_policies.note_use(tx)
    flags = storage_policies.with_own(node.inode.flags, policy.policy_id)
    return tree.save(tx, node, tree.with_attributes(node.inode, flags=flags))


def _slot(tx: Transaction, context: Context, path: str, create_parent: bool) -> tree.Slot:
    """The place of a new file; the directories above it are made if need be, and that is wanted."""
    try:
        return tree.resolve_slot(tx, context, path, writing=False)
    except NotFound:
        if not create_parent:
            raise HdfsError(FILE_NOT_FOUND, f"Parent directory doesn't exist: {parent(path)}") from None
    make_parents(tx, context, path, AS_ABOVE)
    return tree.resolve_slot(tx, context, path, writing=False)


def _replace(tx: Transaction, call: Call, slot: tree.Slot, request: pb.CreateRequest) -> tree.Slot:
    """Take away what is at the place of a new file, if that is wanted; the place."""
    context, path, node = call.context, request.src, slot.node
    assert node is not None
    if node.is_directory:
        raise HdfsError(FILE_ALREADY_EXISTS, f"{path} already exists as a directory")
    if not request.createFlag & _OVERWRITE:
        refuse_second_writer(tx, call, node.inode, request.clientName, path, "CREATE_FILE")
        raise HdfsError(FILE_ALREADY_EXISTS, f"{path} for client {call.client_host} already exists")
    require(context, node.inode, WRITE, path)
    slot = tree.slot_in(tx, context, slot.parent, slot.name, path)
    assert slot.node is not None
    removal.remove(tx, context, slot.node)
    return tree.Slot(slot.parent, slot.name, None)


def refuse_second_writer(
    tx: Transaction, call: Call, inode: Inode, holder: str, path: str, action: str
) -> None:
    """Raise if another client, or this one already, has the file for itself."""
    for other, row in leases.holders(tx, inode):
        if not row.exclusive:
            continue
        what = f"Failed to {action} {path} for {holder} on {call.client_host}"
        if other == leases.RECOVERY:
            raise HdfsError(
                "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException",
                f"{what} because lease recovery is in progress. Try again later.",
            )
        if other == holder:
            raise HdfsError(
                _ALREADY_BEING_CREATED,
                f"{what} because {holder} is already the current lease holder.",
            )
        if not leases.is_expired(tx, other, call.context.now_ns):
            raise HdfsError(
                _ALREADY_BEING_CREATED,
                f"{what} because this file lease is currently owned by {other} on {call.client_host}",
            )
