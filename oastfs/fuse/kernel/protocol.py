"""Numbers and structures of the FUSE kernel protocol, version 7 (``linux/fuse.h``). No I/O.

Each request is a 40-byte header and a body; each answer a 16-byte header and a body. All integers are in
the machine's byte order, and the structures have no hidden padding.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

MAJOR: Final = 7
MINOR: Final = 38
"""The minor version whose structures are used here; the kernel adapts to it."""
MINOR_MIN: Final = 31
MINOR_UNCACHED_WRITES: Final = 39
"""From here on (Linux 6.6) the kernel drops pages that others read of what is written past its cache."""
ROOT_ID: Final = 1

IN_HEADER: Final = struct.Struct("=IIQQIIII")
"""length, opcode, unique, node id, uid, gid, pid, extensions."""
OUT_HEADER: Final = struct.Struct("=IiQ")
"""length, negative errno, unique (0 for a notification, whose code is in the errno's place)."""
IN_HEADER_BYTES: Final = IN_HEADER.size
OUT_HEADER_BYTES: Final = OUT_HEADER.size

ATTRIBUTES_FORMAT: Final = "QQQQQQIIIIIIIIII"
"""ino, size, blocks, atime, mtime, ctime, their nanoseconds, mode, nlink, uid, gid, rdev, blksize, flags."""
ATTR_OUT: Final = struct.Struct("=QII" + ATTRIBUTES_FORMAT)
"""validity in seconds, its nanoseconds, padding, attributes."""
ENTRY_OUT: Final = struct.Struct("=QQQQII" + ATTRIBUTES_FORMAT)
"""node id, generation, validity of entry and attributes in seconds, their nanoseconds, attributes."""
OPEN_OUT: Final = struct.Struct("=QII")
"""handle, flags, number of a registered file."""
WRITE_OUT: Final = struct.Struct("=II")
STATFS_OUT: Final = struct.Struct("=QQQQQIIII24x")
"""blocks, free, available, files, free files, block size, name length, fragment size, padding."""
XATTR_SIZE_OUT: Final = struct.Struct("=II")
LSEEK_OUT: Final = struct.Struct("=Q")
INIT_OUT: Final = struct.Struct("=IIIIHHIIHHII24x")
"""major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran,
max_pages, map_alignment, flags2, max_stack_depth."""
DIRECTORY_ENTRY: Final = struct.Struct("=QQII")
"""inode, offset of the next entry, length of the name, type."""

GETATTR_IN: Final = struct.Struct("=IIQ")
SETATTR_IN: Final = struct.Struct("=IIQQQQQQIIIIIIII")
"""valid, padding, handle, size, lock owner, atime, mtime, ctime, their nanoseconds, mode, unused, uid, gid,
unused."""
MKNOD_IN: Final = struct.Struct("=IIII")
MKDIR_IN: Final = struct.Struct("=II")
RENAME_IN: Final = struct.Struct("=Q")
RENAME2_IN: Final = struct.Struct("=QII")
LINK_IN: Final = struct.Struct("=Q")
OPEN_IN: Final = struct.Struct("=II")
CREATE_IN: Final = struct.Struct("=IIII")
READ_IN: Final = struct.Struct("=QQIIQII")
WRITE_IN: Final = struct.Struct("=QQIIQII")
RELEASE_IN: Final = struct.Struct("=QIIQ")
FLUSH_IN: Final = struct.Struct("=QIIQ")
FSYNC_IN: Final = struct.Struct("=QII")
SETXATTR_IN: Final = struct.Struct("=II")
GETXATTR_IN: Final = struct.Struct("=II")
ACCESS_IN: Final = struct.Struct("=II")
LOCK_IN: Final = struct.Struct("=QQQQIIII")
"""handle, owner, first and last byte, type, pid, flags, padding."""
LOCK_OUT: Final = struct.Struct("=QQII")
"""first and last byte, type, pid."""
INTERRUPT_IN: Final = struct.Struct("=Q")
FORGET_IN: Final = struct.Struct("=Q")
BATCH_FORGET_IN: Final = struct.Struct("=II")
FORGET_ONE: Final = struct.Struct("=QQ")
FALLOCATE_IN: Final = struct.Struct("=QQQII")
LSEEK_IN: Final = struct.Struct("=QQII")
INIT_IN: Final = struct.Struct("=IIII")
"""major, minor, max_readahead, flags."""
INIT_FLAGS2: Final = struct.Struct("=I")
"""What follows with INIT_EXT (Linux 5.17)."""
NOTIFY_INODE: Final = struct.Struct("=Qqq")
NOTIFY_STORE: Final = struct.Struct("=QQII")
"""node id, offset, size, padding; the content follows."""

DIRECTORY_NAME_BYTES: Final = DIRECTORY_ENTRY.size
PLUS_NAME_BYTES: Final = ENTRY_OUT.size + DIRECTORY_ENTRY.size


class Opcode(enum.IntEnum):
    """Requests that are known here; any other is answered with ENOSYS."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46


class Notice(enum.IntEnum):
    """Messages to the kernel that answer nothing."""

    INVALIDATE_INODE = 2
    INVALIDATE_ENTRY = 3
    STORE = 4


class InitFlag(enum.IntFlag):
    """What kernel and filesystem agree on in INIT."""

    ASYNC_READ = 1 << 0
    POSIX_LOCKS = 1 << 1
    ATOMIC_O_TRUNC = 1 << 3
    EXPORT_SUPPORT = 1 << 4
    BIG_WRITES = 1 << 5
    DONT_MASK = 1 << 6
    FLOCK_LOCKS = 1 << 10
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    WRITEBACK_CACHE = 1 << 16
    PARALLEL_DIROPS = 1 << 18
    HANDLE_KILLPRIV = 1 << 19
    POSIX_ACL = 1 << 20
    ABORT_ERROR = 1 << 21
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    HANDLE_KILLPRIV_V2 = 1 << 28
    INIT_EXT = 1 << 30
    PASSTHROUGH = 1 << 37


class Valid(enum.IntFlag):
    """Which fields of SETATTR count."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    KILL_SUIDGID = 1 << 11


OPEN_DIRECT_IO: Final = 1 << 0
OPEN_KEEP_CACHE: Final = 1 << 1
OPEN_NOFLUSH: Final = 1 << 5
OPEN_PASSTHROUGH: Final = 1 << 7
OPEN_KILL_SUIDGID: Final = 1 << 0
"""In ``open_flags`` of OPEN and CREATE: the caller may not keep set-id bits across O_TRUNC."""

BACKING_OPEN: Final = 0x4010E501
"""ioctl(2) on the device (``FUSE_DEV_IOC_BACKING_OPEN``): register an open file; its number."""
BACKING_CLOSE: Final = 0x4004E502
BACKING_MAP: Final = struct.Struct("=iIQ")
"""descriptor, flags, padding."""
BACKING_NUMBER: Final = struct.Struct("=I")

WRITE_CACHE: Final = 1 << 0
"""In the flags of WRITE: these are pages of the kernel's cache."""
WRITE_KILL_SUIDGID: Final = 1 << 2
LOCK_FLOCK: Final = 1 << 0
RELEASE_FLOCK_UNLOCK: Final = 1 << 1
FSYNC_DATA_ONLY: Final = 1 << 0
