"""create: an empty file, perhaps under construction."""

from __future__ import annotations

import stat as _stat

from oastfs.core.errors import AlreadyExists, InvalidArgument, IsADirectory
from oastfs.core.limits import BLOCK_SIZE_BYTES_MAX, BLOCK_SIZE_BYTES_MIN, REPLICATION_MAX
from oastfs.core.types import FileStatus
from oastfs.namenode import content, leases, tree
from oastfs.namenode.context import Context
from oastfs.namenode.ops.mkdirs import make_parents
from oastfs.namenode.permissions import WRITE, require
from oastfs.namenode.tree import Node, Slot
from oastfs.store.transaction import Transaction


def create(
    tx: Transaction,
    context: Context,
    path: str,
    mode: int,
    overwrite: bool,
    parents: bool,
    holder: str,
    replication: int,
    block_size: int,
    unmasked_mode: int = -1,
) -> FileStatus:
    """open(2) with O_CREAT, and O_TRUNC if ``overwrite``, else O_EXCL; HDFS create."""
    tree.check_modes(mode, unmasked_mode, path)
    _check(replication, block_size, path)
    if parents:
        make_parents(tx, context, path)
    slot = existing_or_free(tx, context, path, overwrite)
    if slot.node is None:
        node = create_in(tx, context, slot, path, mode, holder, replication, block_size, unmasked_mode)
    else:
        node = _emptied(tx, context, slot.node, holder, path)
        if holder:
            node = tree.save(tx, node, leases.acquire(tx, context, node.inode, holder, exclusive=True))
    return tree.status_of(tx, context, node)


def create_in(
    tx: Transaction,
    context: Context,
    slot: Slot,
    path: str,
    mode: int,
    holder: str,
    replication: int,
    block_size: int,
    unmasked_mode: int,
) -> Node:
    """As ``create``, where it is known that nothing is there."""
    tree.check_modes(mode, unmasked_mode, path)
    _check(replication, block_size, path)
    slot = tree.slot_in(tx, context, slot.parent, slot.name, path)
    inode = tree.new_inode(
        tx,
        context,
        slot.parent,
        _stat.S_IFREG | mode,
        unmasked_mode=unmasked_mode,
        block_size=0 if block_size == context.info.block_size else block_size,
        replication=0 if replication == context.info.replication else replication,
    )
    if holder:
        inode = leases.acquire(tx, context, inode, holder, exclusive=True)
    return tree.insert(tx, context, slot.parent, slot.name, inode)


def existing_or_free(tx: Transaction, context: Context, path: str, overwrite: bool) -> Slot:
    """The slot of ``path``: free, or with a regular file that may be overwritten (links are followed)."""
    slot = tree.resolve_slot(tx, context, path, writing=False)
    if slot.node is None:
        return slot
    if not overwrite:
        raise AlreadyExists(path=path)
    node = tree.resolve(tx, context, path) if slot.node.is_symlink else slot.node
    if node.is_directory:
        raise IsADirectory(path=path)
    if not node.is_file:
        raise InvalidArgument("not a regular file", path=path)
    return Slot(slot.parent, slot.name, node)


def _emptied(tx: Transaction, context: Context, node: Node, holder: str, path: str) -> Node:
    require(context, node.inode, WRITE, path)
    leases.require_no_other_exclusive(tx, context, node.inode, holder, path)
    return tree.save(tx, node, content.clear(tx, context, node.inode))


def _check(replication: int, block_size: int, path: str) -> None:
    if replication < 0 or replication > REPLICATION_MAX:
        raise InvalidArgument(f"replication is 1 to {REPLICATION_MAX}, not {replication}", path=path)
    valid = BLOCK_SIZE_BYTES_MIN <= block_size <= BLOCK_SIZE_BYTES_MAX and block_size % 512 == 0
    if block_size != 0 and not valid:
        raise InvalidArgument(f"a block size is a multiple of 512 bytes, not {block_size}", path=path)
