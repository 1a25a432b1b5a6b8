"""Inline content of files: the bytes in the ``content`` row, and getting rid of content of any kind.

A row may be shorter than its file: what is missing at the end is zeros.
"""

from __future__ import annotations

import stat

from oastfs.core.errors import BlockNotFound, StaleHandle
from oastfs.core.types import Flag
from oastfs.namenode import blocks, tree
from oastfs.namenode.context import Context
from oastfs.store.schema import CONTENT, Content, Inode
from oastfs.store.table import Lock
from oastfs.store.transaction import Transaction

_BLOCKS = int(Flag.BLOCKS)


def read_inline(tx: Transaction, inode_id: int) -> tuple[bytes, int]:
    """(bytes of the row, the file's length) of a file that is inline. Raises BlockNotFound if it is not."""
    try:
        inode = tree.resolve_id(tx, inode_id).inode
    except StaleHandle:
        raise BlockNotFound(f"the file {inode_id} is gone") from None
    if not stat.S_ISREG(inode.mode) or inode.flags & _BLOCKS:
        raise BlockNotFound(f"the content of {inode_id} is not (or no longer) in the metadata")
    row = tx.get(CONTENT, (inode_id,)) if inode.length else None
    return b"" if row is None else row.data[: inode.length], inode.length


def patch(tx: Transaction, inode: Inode, patches: list[tuple[int, bytes]], length: int) -> None:
    """Apply byte ranges to inline content that ends up ``length`` bytes long; gaps become zeros."""
    if len(patches) == 1 and patches[0][0] == 0 and len(patches[0][1]) >= max(length, inode.length):
        data = bytes(patches[0][1][:length])
    else:
        row = tx.get(CONTENT, (inode.id,), Lock.EXCLUSIVE)
        buffer = bytearray(b"" if row is None else row.data[: inode.length])
        for offset, piece in patches:
            if not piece:
                continue
            if offset > len(buffer):
                buffer.extend(bytes(offset - len(buffer)))
            buffer[offset : offset + len(piece)] = piece
        data = bytes(buffer[:length])
    if data:
        tx.put(CONTENT, (inode.id,), Content(data))
    else:
        tx.delete(CONTENT, (inode.id,))


def clear(tx: Transaction, context: Context, inode: Inode) -> Inode:
    """Drop all content; the inode as it is then, not yet saved: empty, inline, changed now."""
    tx.delete(CONTENT, (inode.id,))
    if inode.flags & (Flag.BLOCKS | Flag.OPEN):
        blocks.drop_all(tx, context, inode)
    return tree.with_attributes(
        inode,
        length=0,
        mtime_ns=context.now_ns,
        ctime_ns=context.now_ns,
        flags=inode.flags & ~int(Flag.BLOCKS),
    )


def cut(tx: Transaction, context: Context, inode: Inode, length: int) -> Inode:
    """Shorten the content; the inode as it is then, not yet saved. A file without any is inline."""
    flags = inode.flags
    if flags & Flag.BLOCKS:
        blocks.cut(tx, context, inode, length)
        if length == 0:
            flags &= ~int(Flag.BLOCKS)
    else:
        row = tx.get(CONTENT, (inode.id,), Lock.EXCLUSIVE)
        if row is not None and length == 0:
            tx.delete(CONTENT, (inode.id,))
        elif row is not None and len(row.data) > length:
            tx.put(CONTENT, (inode.id,), Content(row.data[:length]))
    return tree.with_attributes(
        inode, length=length, mtime_ns=context.now_ns, ctime_ns=context.now_ns, flags=flags
    )
