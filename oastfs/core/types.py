"""Values that cross layers: what callers send and what operations answer.

All are msgspec structs encoded as arrays: on the wire they cost tens of bytes and well under a
microsecond. New fields go at the end, with defaults, so that old and new peers understand each other.
"""

from __future__ import annotations

import enum
import stat as _stat
from typing import Final

import msgspec


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of small immutable wire values."""


class Caller(msgspec.Struct, frozen=True, array_like=True):
    """Who asks. ``gids`` holds the primary group first. ``uid`` 0 is always a superuser.

    Without authentication a caller is believed, as in HDFS's simple mode.
    """

    user: str
    uid: int
    gids: tuple[int, ...] = ()

    @property
    def gid(self) -> int:
        """The primary group."""
        return self.gids[0] if self.gids else self.uid


LOCK_END: Final = (1 << 63) - 1
"""Last byte of a lock without an end."""

SUPERUSER = Caller("root", 0, (0,))


class FileStatus(Record, frozen=True, tag=1):
    """Attributes of one inode, and the directory entry it was reached by.

    ``mode`` is a full ``st_mode`` (type and permission bits). Times are nanoseconds since the epoch.
    ``length`` is in bytes. ``nlink`` of a directory is 2 + its subdirectories. ``block_size`` and
    ``replication`` are 0 for what has no content.
    """

    inode_id: int
    mode: int
    uid: int
    gid: int
    length: int
    nlink: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    block_size: int
    replication: int
    flags: int = 0
    parent_id: int = 0
    name: str = ""
    rdev: int = 0

    @property
    def is_directory(self) -> bool:
        return _stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return _stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        return _stat.S_ISLNK(self.mode)

    @property
    def is_inline(self) -> bool:
        """Whether the content (if any) is a row of the metadata store."""
        return not self.flags & Flag.BLOCKS

    @property
    def has_acl(self) -> bool:
        """Whether there are ACL entries beyond the mode."""
        return bool(self.flags & Flag.ACL)


class Flag:
    """Bits of ``FileStatus.flags`` and of the inode row.

    Plain numbers: each ``&`` with a member of an enumeration takes longer than finding a row.
    """

    BLOCKS: Final = 1
    """The content is in blocks; without it a file's content is inline (or empty)."""
    LINKED: Final = 2
    """The directory entry refers to a linked-inode row (more than one hard link exists or existed)."""
    XATTRS: Final = 4
    """There is at least one extended attribute."""
    ACL: Final = 8
    """There are ACL entries beyond the mode."""
    OPEN: Final = 16
    """There are ``open_file`` rows: someone writes the file, or keeps it although it was unlinked."""


class AclScope(enum.IntEnum):
    """What an ACL entry is about."""

    ACCESS = 0
    """Access to the inode itself."""
    DEFAULT = 1
    """What is made in the directory inherits it."""


class AclKind(enum.IntEnum):
    """Whom an ACL entry is about."""

    USER = 0
    GROUP = 1
    MASK = 2
    """The most that named users and any groups get."""
    OTHER = 3


class AclEntry(Record, frozen=True):
    """One entry of an ACL. ``permission``: 4 read, 2 write, 1 execute; what is to be removed needs none.

    ``id`` is that of the named user or group; -1 means the inode's owner or owning group.
    """

    scope: AclScope
    kind: AclKind
    id: int = -1
    permission: int = 0


class AclStatus(msgspec.Struct, frozen=True, array_like=True):
    """Owner, group, full ``st_mode`` and the whole ACL of an inode, as getfacl shows it.

    Access entries come first, then default ones; users before groups before the mask before others. Without
    more than the mode there are three entries, and no mask.
    """

    uid: int
    gid: int
    mode: int
    entries: tuple[AclEntry, ...]


class Fault(Record, frozen=True, tag=2):
    """One item of a batch that failed: the error class's name (``core/errors.py``) and message."""

    error: str
    message: str


class Location(Record, frozen=True):
    """Where one replica is. ``local_socket`` is the datanode's Unix socket for clients beside it."""

    storage_id: int
    storage_uuid: str
    datanode_id: int
    datanode_uuid: str
    host: str
    data_port: int
    control_port: int
    local_socket: str = ""
    storage_type: str = "DISK"
    http_port: int = 0


class LocatedBlock(msgspec.Struct, frozen=True, array_like=True):
    """One block of a file and its live replicas, best first.

    The block covers file bytes ``[offset, offset + length)``. Bytes of a file that no block covers
    are zeros (a hole). ``length`` counts committed bytes; replicas of a block that is being written
    may hold more. ``generation_stamp`` is the one that replicas must at least have; for a writer it is
    the new one, and ``committed_stamp`` the one that readers have (0: never committed), which a
    pipeline's header carries together with ``length``.
    """

    block_id: int
    generation_stamp: int
    offset: int
    length: int
    locations: tuple[Location, ...]
    under_construction: bool = False
    committed_stamp: int = 0


class BlockCommit(Record, frozen=True):
    """What a writer reports of a block: its replicas on ``storage_ids`` hold ``length`` bytes."""

    block_id: int
    generation_stamp: int
    offset: int
    length: int
    storage_ids: tuple[int, ...]


class Opened(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A file opened for reading: inline content (``data``) or its blocks.

    ``data`` is None exactly when the content is in blocks. It may be shorter than the file's length, if
    that is beyond 1 MiB (truncated upwards): what is missing are zeros.
    """

    status: FileStatus
    data: bytes | None
    blocks: tuple[LocatedBlock, ...] = ()


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """One page of a directory in name order. ``more`` says that entries follow the last one."""

    entries: list[FileStatus]
    more: bool


class RenameMode(enum.IntEnum):
    """What a rename does with an existing target."""

    POSIX = 0
    """Replace a file by a file, an empty directory by a directory (rename(2))."""
    NO_REPLACE = 1
    """Fail with AlreadyExists (renameat2 RENAME_NOREPLACE; HDFS rename2 without OVERWRITE)."""
    EXCHANGE = 2
    """Swap both, atomically (renameat2 RENAME_EXCHANGE)."""
    HDFS = 3
    """Onto an existing directory: move into it. Onto an existing file: fail (HDFS rename)."""
    HDFS_OVERWRITE = 4
    """HDFS rename2 with OVERWRITE: as POSIX, but kinds must be equal and directories empty."""


class WriteRequest(msgspec.Struct, frozen=True, array_like=True):
    """One file of ``write_many``: its whole content, which must fit the inline limit."""

    path: str
    data: bytes
    mode: int = 0o644
    overwrite: bool = True


class TypeQuota(Record, frozen=True):
    """The quota of one storage type, and what is taken of it, in bytes."""

    storage_type: str
    limit: int
    consumed: int = 0


class ContentSummary(Record, frozen=True):
    """Totals of a tree (HDFS ContentSummary). Lengths in bytes, without and with replication.

    Quotas are those of the tree's top directory; -1: it has none.
    """

    length: int
    file_count: int
    directory_count: int
    space_consumed: int
    name_quota: int = -1
    space_quota: int = -1
    type_quotas: tuple[TypeQuota, ...] = ()


class QuotaUsage(Record, frozen=True):
    """What a tree takes of the quotas of its top directory (HDFS QuotaUsage); -1: it has none.

    ``names`` counts every name in the tree and the directory itself, ``space`` bytes with replication.
    """

    names: int
    space: int
    name_quota: int = -1
    space_quota: int = -1
    type_quotas: tuple[TypeQuota, ...] = ()


class StorageStatus(Record, frozen=True):
    """Statfs of the whole filesystem: bytes on datanodes, inodes in the store."""

    capacity: int
    used: int
    remaining: int
    inodes: int
    metadata_bytes: int
    metadata_remaining: int
    datanodes_live: int = 0
    datanodes_dead: int = 0
    blocks: int = 0
    under_replicated: int = 0


class FilesystemInfo(Record, frozen=True):
    """Constants of a filesystem, fixed when it is formatted (but for the version)."""

    filesystem_id: str
    version: str
    block_size: int
    replication: int
    inline_limit: int
    superuser_uid: int
    supergroup_gid: int
    bytes_per_checksum: int = 512
    packet_bytes: int = 65536
    trash_interval_minutes: int = 0
    """0: there is no trash. This one may be changed (``oastfs namenode --trash-interval``)."""


class LockKind(enum.IntEnum):
    """The two kinds of advisory locks, which know nothing of each other."""

    FLOCK = 1
    """flock(2): of the whole file, by an open file."""
    POSIX = 2
    """fcntl(2): of a range, by a process."""


class LockType(enum.IntEnum):
    """Linux's F_RDLCK, F_WRLCK and F_UNLCK."""

    READ = 0
    WRITE = 1
    UNLOCK = 2


class FileLock(Record, frozen=True):
    """A lock of the bytes from ``start`` to ``end``, both included. ``owner`` is a number of 64 bits."""

    kind: LockKind
    type: LockType
    owner: int
    pid: int = 0
    start: int = 0
    end: int = LOCK_END


class NamenodeReport(Record, frozen=True):
    """One namenode: where clients reach it, and whether it was heard of lately."""

    namenode_id: int
    host: str
    port: int
    http_port: int
    live: bool
    last_heartbeat_ns: int
    leader: bool = False
    """Whether it runs the jobs that look after the whole filesystem."""


class DatanodeReport(msgspec.Struct, frozen=True, array_like=True):
    """One datanode as the store knows it. ``state`` is live, dead or decommissioning."""

    datanode_id: int
    uuid: str
    host: str
    data_port: int
    control_port: int
    state: str
    capacity: int
    used: int
    remaining: int
    last_heartbeat_ns: int
    blocks: int = 0
    http_port: int = 0
