"""Every table of OastFS, declared once. Drivers read ``TABLES``; operations use the names.

Why rows are cut as they are:

* A directory entry *is* the inode: attributes sit in the entry row, keyed (parent id, name), so that
  ``ls -l`` is one range scan and moving a directory of any size moves one row. What changes with
  every create in a directory (its mtime and link count) is in the ``directory`` row, in the
  directory's own partition: creating a file touches one partition only.
* Ids carry their partition in the low bits (``store/table.py``). A file is born with the partition of
  its parent, so all rows of a create (entry, location, content, blocks) share a shard and commit in
  one phase. A directory gets a partition at random, which spreads the tree.
* A file with more than one name has its attributes in ``linked_inode``; its entries only point there, and
  ``link`` lists them.

Sentinels: inode id 0 is nobody; the entry of the root has parent 0 and the empty name.
"""

from __future__ import annotations

import stat
from typing import Any, Final

from oastfs.store.table import Column, Index, Row, Table

ID, TEXT = Column.ID, Column.TEXT

NO_INODE: Final = 0
ROOT_ID: Final = 1
RECLAIM_ID: Final = 2
"""Hidden directory of trees whose space a background job takes back. Entry name: the inode id."""
ORPHANS_ID: Final = 3
"""Hidden directory of files that were unlinked while open. Entry name: the inode id."""
FIRST_INODE_ID: Final = 1024

RENAME_MUTEX: Final = ("rename_mutex",)
"""Key of a counter that counts nothing: its row is there for renames of directories to lock."""

SAFE_MODE: Final = ("safe_mode",)
"""Key of the setting that is there while nothing may be changed."""

IMPORT_UNFINISHED: Final = ("import_unfinished",)
"""Key of the setting that is there while an import fills the store: no filesystem, yet or ever."""

SCHEMA_VERSION: Final = 4


class Inode(Row, frozen=True):
    """Attributes of an inode. ``mode`` is the full st_mode; flags are ``core.types.Flag`` bits.

    ``length`` bytes of content. ``block_size`` and ``replication`` 0 mean the filesystem's default.
    ``rdev`` is for device nodes. With Flag.LINKED in an *entry*, only ``id`` and ``mode``'s type bits
    count; the rest is in ``linked_inode``. ``nlink`` is 1 but in ``linked_inode``; 0 for an orphan.
    For a directory, see ``Directory`` for times and link count. ``acl``: what an access control list has
    beyond the mode (``namenode/acls/rows.py`` says how); None, and no Flag.ACL, if there is nothing.
    """

    id: int
    mode: int
    uid: int
    gid: int
    length: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    flags: int = 0
    nlink: int = 1
    block_size: int = 0
    replication: int = 0
    rdev: int = 0
    acl: bytes | None = None


class Directory(Row, frozen=True):
    """What changes as entries come and go: times and the number of subdirectories.

    The directory's mtime is this one; its ctime is the later of this and its entry row's.
    """

    mtime_ns: int
    ctime_ns: int
    subdirectories: int = 0


class Place(Row, frozen=True):
    """Where an inode's entry is. For linked inodes: one of its entries."""

    parent_id: int
    name: str


class Link(Row, frozen=True):
    """One name of a linked inode; the key says all."""


class Content(Row, frozen=True):
    """Inline content of a file, or the target of a symbolic link (UTF-8)."""

    data: bytes


class Block(Row, frozen=True):
    """One block; it covers file bytes [offset, offset + length).

    ``generation_stamp`` is the committed one, 0 before the first commit (then ``length`` is 0 and
    readers do not see it). ``pending_stamp`` is not 0 while a writer is at it; ``holder`` is that writer and
    ``targets`` are the storage ids it was given.

    ``staged`` is not None while a writer is at it that knows only blocks: what it writes may end inline
    (``namenode/blocks/inline.py``). Not empty, it is all of the block's content under the pending stamp;
    or of a committed block, what datanodes may still have to fetch (``namenode/blocks/spill.py``).

    ``shortened``: replicas may hold more than ``length`` bytes, which were cut off or never committed. What
    they say of their length is then not to be believed, until a pipeline has been set up on them.
    """

    block_id: int
    length: int
    generation_stamp: int
    pending_stamp: int = 0
    holder: str = ""
    targets: tuple[int, ...] = ()
    staged: bytes | None = None
    shortened: bool = False


class BlockOwner(Row, frozen=True):
    """Which file a block belongs to, and where in it."""

    inode_id: int
    offset: int


class Replica(Row, frozen=True):
    """One copy of a block. ``generation_stamp`` below the block's: stale. ``corrupt``: known bad."""

    generation_stamp: int
    corrupt: bool = False


class Xattr(Row, frozen=True):
    """One extended attribute."""

    value: bytes


class Quota(Row, frozen=True):
    """Limits of a directory's tree (-1: none), and what it takes of them now.

    ``names`` counts each entry below and the directory itself; ``space`` is in bytes: length times
    replication for content in blocks, length for inline content. What is under the hidden directories counts
    for nobody. ``type_limits`` are (storage type, bytes). ``names`` below 0: the tree is about to be counted,
    and until then there is no limit.

    The row of inode 0 is there exactly while any directory has a quota; its ``names`` says how many do. So
    one look tells a filesystem without quotas.
    """

    names_max: int
    space_max: int
    names: int
    space: int
    type_limits: tuple[tuple[str, int], ...] = ()


class OpenFile(Row, frozen=True):
    """A writer of a file. ``exclusive``: the only one allowed (HDFS's lease); else a shared writer."""

    exclusive: bool
    opened_ns: int


class Lease(Row, frozen=True):
    """When the holder last renewed."""

    renewed_ns: int


class FileLock(Row, frozen=True):
    """What one owner has locked of a file, of one kind (``core.types.LockKind``), in one mount (the holder).

    ``owner_high`` and ``owner_low`` are the halves of the kernel's number for it. ``ranges`` are (first byte,
    last byte, ``LockType``), in order, neither overlapping nor to be joined; there is always one. ``pid`` is
    the process that locked last. They count as long as the holder has a lease; what is left when it has none
    is swept up. Whoever locks has the inode's ``place`` row locked in that transaction.
    """

    pid: int
    ranges: tuple[tuple[int, int, int], ...]


class Datanode(Row, frozen=True):
    """A registered datanode. ``datanode_id`` is the small integer that other rows use.

    It is live while ``heartbeat_ns`` is recent and ``state`` is not dead; ``state``: 0 live, 1 dead
    (its replicas do not count), 2 decommissioning. Sizes in bytes, sums over its storages.
    """

    uuid: str
    host: str
    data_port: int
    control_port: int
    local_socket: str
    heartbeat_ns: int
    state: int
    registered_ns: int
    rack: str = "/default-rack"
    capacity: int = 0
    used: int = 0
    remaining: int = 0
    active_transfers: int = 0
    http_port: int = 0


class NamenodeRow(Row, frozen=True):
    """A namenode: where clients and datanodes reach it, and when it was last heard of. Removed when it stops.

    ``control_port`` is where datanodes do; 0: it is of a version that does not tell.
    """

    host: str
    port: int
    http_port: int
    heartbeat_ns: int
    control_port: int = 0


class Claim(Row, frozen=True):
    """Who does what only one is to do at a time: to lead, or to take in a block report.

    ``holder``: a namenode's id, 0 for nobody. ``epoch`` grows with each new holder, and ``beats`` with each
    of its signs of life: who sees neither change for long enough may take the claim over. No time is kept,
    for clocks of several machines differ.
    """

    holder: int
    epoch: int = 0
    beats: int = 0


class DatanodeName(Row, frozen=True):
    """Datanode uuid to id."""

    datanode_id: int


class Storage(Row, frozen=True):
    """One volume of a datanode. ``state``: 0 normal, 1 failed. Sizes in bytes."""

    uuid: str
    datanode_id: int
    storage_type: str
    capacity: int
    used: int
    remaining: int
    state: int = 0


class StorageName(Row, frozen=True):
    """Storage uuid to id."""

    storage_id: int


class ReplicationNeed(Row, frozen=True):
    """A block whose replicas are to be checked against what its file wants. ``due_ns``: not before."""

    inode_id: int
    offset: int
    due_ns: int
    attempts: int = 0


class DatanodeCommand(Row, frozen=True):
    """Work for a datanode, handed out with heartbeats until a report settles it.

    ``kind``: 1 delete the replica, 2 copy it to ``targets`` (storage ids), 3 recover the block (settle
    its length and stamp).
    ``storage_id`` is the datanode's storage concerned. Handed out again after ``due_ns``.
    """

    storage_id: int
    generation_stamp: int
    length: int = 0
    targets: tuple[int, ...] = ()
    due_ns: int = 0
    new_stamp: int = 0


class RetryEntry(Row, frozen=True):
    """The answer of an at-most-once call, kept for a client that asks again."""

    response: bytes
    expires_ns: int


class Counter(Row, frozen=True):
    """A number that only grows; ids are taken from it in batches."""

    value: int


class Setting(Row, frozen=True):
    """A constant of the filesystem, as text."""

    value: str


class PrincipalId(Row, frozen=True):
    """Id of a user or group name."""

    id: int


class PrincipalName(Row, frozen=True):
    """Name of a user or group id."""

    name: str


def _is_directory(inode: Inode) -> bool:
    return stat.S_ISDIR(inode.mode)


INODE: Final = Table("inode", (("parent_id", ID), ("name", TEXT)), Inode, remembered=_is_directory, kept=True)
LINKED_INODE: Final = Table("linked_inode", (("inode_id", ID),), Inode)
DIRECTORY: Final = Table("directory", (("inode_id", ID),), Directory, kept=True)
PLACE: Final = Table("place", (("inode_id", ID),), Place)
LINK: Final = Table("link", (("inode_id", ID), ("parent_id", ID), ("name", TEXT)), Link)
CONTENT: Final = Table("content", (("inode_id", ID),), Content)
BLOCK: Final = Table("block", (("inode_id", ID), ("offset", ID)), Block)
BLOCK_OWNER: Final = Table("block_owner", (("block_id", ID),), BlockOwner)
REPLICA: Final = Table(
    "replica",
    (("block_id", ID), ("storage_id", ID)),
    Replica,
    indexes=(Index("replica_by_storage", ("storage_id", "block_id")),),
)
XATTR: Final = Table("xattr", (("inode_id", ID), ("name", TEXT)), Xattr)
QUOTA: Final = Table("quota", (("inode_id", ID),), Quota, kept=True)
OPEN_FILE: Final = Table(
    "open_file",
    (("inode_id", ID), ("holder", TEXT)),
    OpenFile,
    indexes=(Index("open_file_by_holder", ("holder", "inode_id")),),
    kept=True,
)
LEASE: Final = Table("lease", (("holder", TEXT),), Lease, kept=True)
FILE_LOCK: Final = Table(
    "file_lock",
    (("inode_id", ID), ("holder", TEXT), ("kind", ID), ("owner_high", ID), ("owner_low", ID)),
    FileLock,
    indexes=(Index("file_lock_by_holder", ("holder", "inode_id", "kind", "owner_high", "owner_low")),),
)
DATANODE: Final = Table("datanode", (("datanode_id", ID),), Datanode)
NAMENODE: Final = Table("namenode", (("namenode_id", ID),), NamenodeRow)
CLAIM: Final = Table("claim", (("name", TEXT),), Claim)
DATANODE_NAME: Final = Table("datanode_name", (("uuid", TEXT),), DatanodeName)
STORAGE: Final = Table("storage", (("storage_id", ID),), Storage)
STORAGE_NAME: Final = Table("storage_name", (("uuid", TEXT),), StorageName)
REPLICATION_NEED: Final = Table("replication_need", (("block_id", ID),), ReplicationNeed)
DATANODE_COMMAND: Final = Table(
    "datanode_command",
    (("datanode_id", ID), ("block_id", ID), ("kind", ID)),
    DatanodeCommand,
)
RETRY: Final = Table("retry", (("expiry_minute", ID), ("client_id", TEXT), ("call_id", ID)), RetryEntry)
COUNTER: Final = Table("counter", (("name", TEXT),), Counter)
SETTING: Final = Table("setting", (("name", TEXT),), Setting, kept=True)
PRINCIPAL_ID: Final = Table("principal_id", (("kind", TEXT), ("name", TEXT)), PrincipalId)
PRINCIPAL_NAME: Final = Table("principal_name", (("kind", TEXT), ("id", ID)), PrincipalName)

TABLES: Final[tuple[Table[Any], ...]] = (
    INODE, LINKED_INODE, LINK, DIRECTORY, PLACE, CONTENT, BLOCK, BLOCK_OWNER, REPLICA, XATTR, QUOTA,
    OPEN_FILE, LEASE, DATANODE, DATANODE_NAME, STORAGE, STORAGE_NAME, REPLICATION_NEED, DATANODE_COMMAND,
    RETRY, COUNTER, NAMENODE, SETTING, PRINCIPAL_ID, PRINCIPAL_NAME, CLAIM, FILE_LOCK,
)  # fmt: skip
