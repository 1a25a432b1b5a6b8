"""File statuses as HDFS has them: names for ids, ms for ns, a sticky bit but no set-id bits."""

from __future__ import annotations

import stat as _stat
from typing import Final

from oastfs.core.types import FileStatus, Flag
from oastfs.namenode import storage_policies, tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.encoding import delimited, layout, ownership, varint
from oastfs.namenode.ops.listdir import statuses_of
from oastfs.namenode.tree import Node
from oastfs.store.schema import CONTENT, Inode
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types

PERMISSION_MASK: Final = 0o1777
"""Bits that HDFS knows."""
_MS: Final = 1_000_000
_ACL: Final = int(Flag.ACL)
_UNUSUAL: Final = int(Flag.ACL | Flag.LINKED)
_STORAGE_POLICY: Final = b"\x80\x01"
"""The tag of field 16."""
_HAS_ACL: Final = b"\x90\x01" + bytes((types.HdfsFileStatus.HAS_ACL,))
# Field 1, the kind, and the tag of field 2, the name.
_DIRECTORY: Final = bytes((8, types.HdfsFileStatus.IS_DIR, 0x12))
_FILE: Final = bytes((8, types.HdfsFileStatus.IS_FILE, 0x12))
_SYMLINK: Final = bytes((8, types.HdfsFileStatus.IS_SYMLINK, 0x12))


def encode_bytes(tx: Transaction, call: Call, status: FileStatus, name: str = "") -> bytes:
    """A status as an encoded HdfsFileStatus; ``name`` is empty where the request named the whole path.

    FIFOs, sockets and devices, which HDFS lacks, are shown as empty files.
    """
    mode, names, mtime_ns, atime_ns = status.mode, call.names, status.mtime_ns, status.atime_ns
    kind, length, link = _FILE, status.length, b""
    if mode & 0o170000 != _stat.S_IFREG:
        if mode & 0o170000 == _stat.S_IFDIR:
            kind, atime_ns = _DIRECTORY, 0
        elif mode & 0o170000 == _stat.S_IFLNK:
            row = tx.get(CONTENT, (status.inode_id,))
            kind, length = _SYMLINK, 0
            link = delimited(b"\x4a", b"" if row is None else row.data)
    local_name = name.encode()
    return b"".join(
        (
            kind,
            varint(len(local_name)),
            local_name,
            b"\x18",
            varint(length),
            ownership(mode & PERMISSION_MASK, names.user(tx, status.uid), names.group(tx, status.gid)),
            b"\x38",
            varint(mtime_ns // _MS if mtime_ns > 0 else 0),
            b"\x40",
            varint(atime_ns // _MS if atime_ns > 0 else 0),
            link,
            layout(status.replication, status.block_size),
            b"\x68",
            varint(status.inode_id),
            _HAS_ACL if status.flags & _ACL else b"",
            _policy(tx, call, status),
        )
    )


def encode_page(tx: Transaction, call: Call, nodes: list[Node]) -> list[bytes]:
    """``encode_bytes`` of the entries of a directory, each behind its length.

    Plain files are most of what there is, and alike but for name, length and times: they are encoded from
    their rows, without the calls that the others take.
    """
    if call.policies_in_use(tx):
        return [_behind_length(one) for one in _encode_each(tx, call, nodes)]
    plain = _PlainFiles(tx, call)
    encoded = [plain.encode(node.name, node.inode) for node in nodes]
    others = [number for number, one in enumerate(encoded) if not one]
    rest = _encode_each(tx, call, [nodes[number] for number in others])
    for number, one in zip(others, rest, strict=True):
        encoded[number] = _behind_length(one)
    return encoded


def _encode_each(tx: Transaction, call: Call, nodes: list[Node]) -> list[bytes]:
    statuses = statuses_of(tx, call.context, nodes)
    return [encode_bytes(tx, call, status, status.name) for status in statuses]


class _PlainFiles:
    """Encodes regular files that have nothing out of the ordinary; b"" for all else."""

    __slots__ = ("_info", "_layouts", "_names", "_owners", "_tx")

    def __init__(self, tx: Transaction, call: Call) -> None:
        self._tx = tx
        self._info = call.context.info
        self._names = call.names
        self._owners: dict[tuple[int, int, int], bytes] = {}
        self._layouts: dict[tuple[int, int], bytes] = {}

    def encode(self, name: str, inode: Inode) -> bytes:
        mode, mtime_ns, atime_ns = inode.mode, inode.mtime_ns, inode.atime_ns
        if mode & 0o170000 != _stat.S_IFREG or inode.flags & _UNUSUAL or mtime_ns < 0 or atime_ns < 0:
            return b""
        owner = self._owners.get((mode, inode.uid, inode.gid)) or self._describe_owner(inode)
        stored = self._layouts.get((inode.replication, inode.block_size)) or self._describe_layout(inode)
        raw_name = name.encode()
        mtime = varint(mtime_ns // _MS)
        atime = mtime if atime_ns == mtime_ns else varint(atime_ns // _MS)
        body = b"".join(
            (
                _FILE,
                varint(len(raw_name)),
                raw_name,
                b"\x18",
                varint(inode.length),
                owner,
                b"\x38",
                mtime,
                b"\x40",
                atime,
                stored,
                varint(inode.id),
            )
        )
        return varint(len(body)) + body

    def _describe_owner(self, inode: Inode) -> bytes:
        names, mode = self._names, inode.mode
        who = names.user(self._tx, inode.uid), names.group(self._tx, inode.gid)
        found = self._owners[mode, inode.uid, inode.gid] = ownership(mode & PERMISSION_MASK, *who)
        return found

    def _describe_layout(self, inode: Inode) -> bytes:
        shape = inode.replication or self._info.replication, inode.block_size or self._info.block_size
        found = self._layouts[inode.replication, inode.block_size] = layout(*shape) + b"\x68"
        return found


def _behind_length(body: bytes) -> bytes:
    return varint(len(body)) + body


def _policy(tx: Transaction, call: Call, status: FileStatus) -> bytes:
    """The field of the storage policy that holds, its own or inherited; nothing if there is none."""
    if not call.policies_in_use(tx):
        return b""
    found = storage_policies.own_id(status.flags) or call.inherited_policy(tx, status.parent_id)
    return _STORAGE_POLICY + varint(found) if found and not status.is_symlink else b""


def encode(tx: Transaction, call: Call, status: FileStatus, name: str = "") -> types.HdfsFileStatus:
    """``encode_bytes`` as a message, for those that hold a status among other things."""
    return types.HdfsFileStatus.FromString(encode_bytes(tx, call, status, name))


def unmasked_mode(request: pb.CreateRequest | pb.MkdirsRequest) -> int:
    """The mode before umask, which counts where there is a default ACL; -1 if the client does not send it."""
    return request.unmasked.perm & PERMISSION_MASK if request.HasField("unmasked") else -1


def of_node(tx: Transaction, call: Call, node: Node) -> types.HdfsFileStatus:
    """The status of a node that the request named."""
    return encode(tx, call, tree.status_of(tx, call.context, node))
