"""File statuses as HDFS has them: names for ids, ms for ns, a sticky bit but no set-id bits."""

from __future__ import annotations

import stat as _stat
from collections.abc import Callable
from typing import Final

from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import storage_policies, tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.encoding import delimited, layout, ownership, varint
from oastfs.namenode.tree import Node
from oastfs.store.schema import CONTENT
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

PERMISSION_MASK: Final = 0o1777
"""Bits that HDFS knows."""
NS_PER_MS: Final = 1_000_000
_ACL: Final = int(Flag.ACL)
_STORAGE_POLICY: Final = b"\x80\x01"
"""The tag of field 16."""
_HAS_ACL: Final = b"\x90\x01" + bytes((types.HdfsFileStatus.HAS_ACL,))
_TYPE: Final = 0o170000
_IS_DIR: Final = types.HdfsFileStatus.IS_DIR
_IS_FILE: Final = types.HdfsFileStatus.IS_FILE
_IS_SYMLINK: Final = types.HdfsFileStatus.IS_SYMLINK
FILE: Final = bytes((8, _IS_FILE, 0x12))
"""Field 1, the kind, and the tag of field 2, the name."""


def encode_bytes(tx: Transaction, call: Call, status: FileStatus, name: str = "") -> bytes:
    """A status as an encoded HdfsFileStatus; ``name`` is empty where the request named the whole path.

    FIFOs, sockets and devices, which HDFS lacks, are shown as empty files.
    """
    mode, names, atime_ns = status.mode, call.names, status.atime_ns
    kind, length, link = _IS_FILE, status.length, b""
    if mode & _TYPE != _stat.S_IFREG:
        if mode & _TYPE == _stat.S_IFDIR:
            kind, atime_ns = _IS_DIR, 0
        elif mode & _TYPE == _stat.S_IFLNK:
            row = tx.get(CONTENT, (status.inode_id,))
            kind, length = _IS_SYMLINK, 0
            link = delimited(b"\x4a", b"" if row is None else row.data)
    tail = _policy(tx, call, status)
    return _encode(
        kind,
        name.encode(),
        length,
        ownership(mode & PERMISSION_MASK, names.user(tx, status.uid), names.group(tx, status.gid)),
        status.mtime_ns,
        atime_ns,
        link,
        layout(status.replication, status.block_size),
        status.inode_id,
        _HAS_ACL + tail if status.flags & _ACL else tail,
    )


def _put_together(
    kind: int,
    name: bytes,
    length: int,
    owner: bytes,
    mtime_ns: int,
    atime_ns: int,
    link: bytes,
    stored: bytes,
    inode_id: int,
    tail: bytes,
) -> bytes:
    """An encoded HdfsFileStatus. ``owner``, ``link``, ``stored`` and ``tail`` are fields, encoded already."""
    return b"".join(
        (
            b"\x08",
            varint(kind),
            b"\x12",
            varint(len(name)),
            name,
            b"\x18",
            varint(length),
            owner,
            b"\x38",
            varint(mtime_ns // NS_PER_MS if mtime_ns > 0 else 0),
            b"\x40",
            varint(atime_ns // NS_PER_MS if atime_ns > 0 else 0),
            link,
            stored,
            b"\x68",
            varint(inode_id),
            tail,
        )
    )


_encode: Callable[[int, bytes, int, bytes, int, int, bytes, bytes, int, bytes], bytes]
try:
    from oastfs.namenode.hdfs import _pages
except ImportError:  # there was no C compiler
    _encode = _put_together
else:
    _encode = _pages.encode_status


def _policy(tx: Transaction, call: Call, status: FileStatus) -> bytes:
    own = storage_policies.own_id(status.flags)
    return b"" if status.is_symlink else policy_field(tx, call, own, status.parent_id)


def policy_field(tx: Transaction, call: Call, own: int, directory_id: int) -> bytes:
    """The field of the storage policy that holds, its own or inherited; nothing if there is none."""
    if not call.policies_in_use(tx):
        return b""
    found = own or call.inherited_policy(tx, directory_id)
    return _STORAGE_POLICY + varint(found) if found else b""


def encode(tx: Transaction, call: Call, status: FileStatus, name: str = "") -> types.HdfsFileStatus:
    """``encode_bytes`` as a message, for those that hold a status among other things."""
    return types.HdfsFileStatus.FromString(encode_bytes(tx, call, status, name))


def unmasked_mode(request: pb.CreateRequest | pb.MkdirsRequest) -> int:
    """The mode before umask, which counts where there is a default ACL; -1 if the client does not send it."""
    return request.unmasked.perm & PERMISSION_MASK if request.HasField("unmasked") else -1


def of_node(tx: Transaction, call: Call, node: Node) -> types.HdfsFileStatus:
    """The status of a node that the request named."""
    return encode(tx, call, tree.status_of(tx, call.context, node))
