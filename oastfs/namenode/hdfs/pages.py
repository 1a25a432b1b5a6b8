"""Pages of listings: many statuses at once.

Plain files are most of what there is, and alike but for name, length and times. They are encoded from their
rows, without the calls that the others take. Where the store has rows as bytes, and there was a C compiler
when OastFS was installed, that is done by ``_pages``, at a tenth of the time.
"""

from __future__ import annotations

import stat as _stat
from typing import Final, NamedTuple

from oastfs.core.errors import OastError
from oastfs.core.storage_policies import POLICY_MASK
from oastfs.core.types import Flag
from oastfs.namenode import tree
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.encoding import layout, ownership, varint
from oastfs.namenode.hdfs.status import FILE, NS_PER_MS, PERMISSION_MASK, encode_bytes, policy_field
from oastfs.namenode.ops.listdir import encoded_page_of, page_of, statuses_of
from oastfs.namenode.tree import Node
from oastfs.store.schema import DIRECTORY, Inode
from oastfs.store.transaction import EncodedRows, Transaction

try:
    from oastfs.namenode.hdfs import _pages
except ImportError:  # there was no C compiler
    _pages = None  # type: ignore[assignment]

ENTRY: Final = b"\x0a"
"""The tag of field 1 of a DirectoryListing."""
_UNUSUAL: Final = int(Flag.ACL | Flag.LINKED | POLICY_MASK)
_NAME_AT: Final = 8
"""Where an entry's name begins in an encoded key: behind the directory's id."""


class Page(NamedTuple):
    """``entries``: encoded fields of a DirectoryListing, ``entry_count`` of them. ``more``: others follow."""

    entries: bytes
    entry_count: int
    more: bool


def page(tx: Transaction, call: Call, directory: Node, path: str, after: str, limit: int) -> Page:
    """The entries of a directory after a name."""
    if _pages is not None:
        found = encoded_page_of(tx, call.context, directory, path, after, limit)
        if found is not None:
            rows, more = found
            return Page(encode_rows(tx, call, directory, path, rows), len(rows.rows), more)
    nodes, more = page_of(tx, call.context, directory, path, after, limit)
    entries = encode_nodes(tx, call, directory, [shown(tx, call, path, node) for node in nodes])
    return Page(entries, len(nodes), more)


def shown(tx: Transaction, call: Call, directory: str, entry: Node) -> Node:
    """What a listing has of an entry: of a link to a file, the file, by the name of the link.

    Clients open what they list, and take from it how much there is to read. Links to directories remain
    links: some clients delete and copy trees entry by entry, and must not leave the tree by a link.
    """
    if not _stat.S_ISLNK(entry.inode.mode):
        return entry
    try:
        target = tree.resolve(tx, call.context, f"{directory.rstrip('/')}/{entry.name}")
    except OastError:
        return entry
    return Node(target.parent_id, entry.name, target.inode) if target.is_file else entry


# --- from rows as the store has them ----------------------------------------------------------------


def encode_rows(tx: Transaction, call: Call, directory: Node, path: str, rows: EncodedRows[Inode]) -> bytes:
    names, info, directory_id = call.names, call.context.info, directory.inode.id

    def owner(permission: int, uid: int, gid: int) -> bytes:
        return ownership(permission, names.user(tx, uid), names.group(tx, gid))

    def shape(replication: int, block_size: int) -> bytes:
        if replication < 0:
            return layout(0, 0)
        return layout(replication or info.replication, block_size or info.block_size)

    def directory_mtime(inode_id: int) -> int | None:
        row = tx.get(DIRECTORY, (inode_id,))
        return None if row is None else row.mtime_ns

    def other(raw_key: bytes, raw_value: bytes) -> bytes:
        key, inode = rows.decode(raw_key, raw_value)
        node = shown(tx, call, path, Node(directory_id, str(key[1]), inode))
        (status,) = statuses_of(tx, call.context, [node])
        return encode_bytes(tx, call, status, status.name)

    policy = policy_field(tx, call, 0, directory_id)
    return _pages.encode_page(rows.rows, _NAME_AT, _UNUSUAL, policy, owner, shape, directory_mtime, other)


# --- from rows of any store -------------------------------------------------------------------------


def encode_nodes(tx: Transaction, call: Call, directory: Node, nodes: list[Node]) -> bytes:
    """Entries of a DirectoryListing."""
    plain = _PlainFiles(tx, call, directory.inode.id)
    encoded = [plain.encode(node.name, node.inode) for node in nodes]
    others = [number for number, one in enumerate(encoded) if not one]
    for number, status in zip(
        others, statuses_of(tx, call.context, [nodes[number] for number in others]), strict=True
    ):
        one = encode_bytes(tx, call, status, status.name)
        encoded[number] = varint(len(one)) + one
    return b"".join([ENTRY + one for one in encoded])


class _PlainFiles:
    """Encodes regular files that have nothing out of the ordinary, behind their lengths; b"" for all else."""

    __slots__ = ("_info", "_layouts", "_names", "_owners", "_policy", "_tx")

    def __init__(self, tx: Transaction, call: Call, directory_id: int) -> None:
        self._tx = tx
        self._info = call.context.info
        self._names = call.names
        self._owners: dict[tuple[int, int, int], bytes] = {}
        self._layouts: dict[tuple[int, int], bytes] = {}
        self._policy = policy_field(tx, call, 0, directory_id)

    def encode(self, name: str, inode: Inode) -> bytes:
        mode, mtime_ns, atime_ns = inode.mode, inode.mtime_ns, inode.atime_ns
        if mode & 0o170000 != _stat.S_IFREG or inode.flags & _UNUSUAL or mtime_ns < 0 or atime_ns < 0:
            return b""
        owner = self._owners.get((mode, inode.uid, inode.gid)) or self._describe_owner(inode)
        stored = self._layouts.get((inode.replication, inode.block_size)) or self._describe_layout(inode)
        raw_name = name.encode()
        mtime = varint(mtime_ns // NS_PER_MS)
        atime = mtime if atime_ns == mtime_ns else varint(atime_ns // NS_PER_MS)
        body = b"".join(
            (
                FILE,
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
                self._policy,
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
