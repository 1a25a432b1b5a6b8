"""File statuses as HDFS has them: names for ids, ms for ns, a sticky bit but no set-id bits."""

from __future__ import annotations

import stat as _stat
from typing import Final

from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.store.schema import CONTENT
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import hdfs_pb2 as types

PERMISSION_MASK: Final = 0o1777
"""Bits that HDFS knows."""
_MS: Final = 1_000_000
_HAS_ACL: Final = types.HdfsFileStatus.HAS_ACL
_IS_DIR: Final = types.HdfsFileStatus.IS_DIR
_IS_FILE: Final = types.HdfsFileStatus.IS_FILE
_IS_SYMLINK: Final = types.HdfsFileStatus.IS_SYMLINK


def encode(tx: Transaction, call: Call, status: FileStatus, name: str | None = None) -> types.HdfsFileStatus:
    """A status; ``path`` in it is the local name, empty where the request named the whole path.

    FIFOs, sockets and devices, which HDFS lacks, are shown as empty files.
    """
    kind = status.mode & 0o170000
    names = call.names
    encoded = types.HdfsFileStatus(
        fileType=_IS_FILE,
        path=(name or "").encode(),
        length=status.length,
        permission=types.FsPermission(perm=status.mode & PERMISSION_MASK),
        owner=names.user(tx, status.uid),
        group=names.group(tx, status.gid),
        modification_time=max(status.mtime_ns, 0) // _MS,
        access_time=max(status.atime_ns, 0) // _MS,
        block_replication=status.replication,
        blocksize=status.block_size,
        fileId=status.inode_id,
    )
    if kind == _stat.S_IFDIR:
        encoded.fileType = _IS_DIR
        encoded.access_time = 0
    elif kind == _stat.S_IFLNK:
        encoded.fileType = _IS_SYMLINK
        encoded.length = 0
        row = tx.get(CONTENT, (status.inode_id,))
        encoded.symlink = b"" if row is None else row.data
    if status.flags & Flag.ACL:
        encoded.flags = _HAS_ACL
    return encoded


def of_node(tx: Transaction, call: Call, node: tree.Node) -> types.HdfsFileStatus:
    """The status of a node that the request named."""
    return encode(tx, call, tree.status_of(tx, call.context, node))
