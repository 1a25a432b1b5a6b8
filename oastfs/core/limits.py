"""Limits of the namespace, in one place. Each has an error that names it (``core/errors.py``)."""

from __future__ import annotations

NAME_BYTES_MAX = 255
"""Longest single name, in UTF-8 bytes (POSIX NAME_MAX)."""

PATH_BYTES_MAX = 8_000
"""Longest path, in UTF-8 bytes (HDFS's limit; Linux callers are held to 4,096 by the kernel)."""

PATH_DEPTH_MAX = 1_000
"""Most components of a path (HDFS's limit)."""

SYMLINKS_MAX = 40
"""Most symbolic links followed in one resolution (Linux's limit)."""

SYMLINK_TARGET_BYTES_MAX = 4_095
LINKS_MAX = 65_000

XATTR_NAME_BYTES_MAX = 255
XATTR_VALUE_BYTES_MAX = 65_536
XATTRS_PER_INODE_MAX = 1_024

ACL_ENTRIES_MAX = 32
"""Most access entries of an inode, and most default entries (HDFS's limit)."""

INLINE_LIMIT_BYTES_DEFAULT = 64 * 1024
INLINE_LIMIT_BYTES_MAX = 1024 * 1024

BLOCK_SIZE_BYTES_DEFAULT = 128 * 1024 * 1024
BLOCK_SIZE_BYTES_MIN = 512
BLOCK_SIZE_BYTES_MAX = 1 << 40

QUOTA_NONE = -1
"""No limit (HDFS's QUOTA_RESET)."""
QUOTA_UNCHANGED = (1 << 63) - 1
"""Leave the limit as it is (HDFS's QUOTA_DONT_SET)."""
QUOTA_STORAGE_TYPES = ("SSD", "DISK", "ARCHIVE", "PROVIDED")
"""Storage types that may have a quota of their own (HDFS: all but RAM_DISK, which does not last)."""

FILE_BYTES_MAX = (1 << 63) - 1
REPLICATION_MAX = 512

BYTES_PER_CHECKSUM = 512
PACKET_BYTES = 64 * 1024

LIST_PAGE_MAX = 10_000
BATCH_MAX = 100_000

LEASE_SOFT_LIMIT_NS = 60 * 10**9
"""After this long without renewal another writer may take the lease over (HDFS: 60 s)."""

LOCKS_RENEWED_WITHIN_NS = 45 * 10**9
"""A mount that has not renewed for longer gets no further locks; after the soft limit it has lost those that
it has. What is between the two is for clocks that differ."""

LOCK_RANGES_MAX = 4_096
"""Most separate ranges of one file that one owner has locked (ENOLCK beyond)."""

LEASE_HARD_LIMIT_NS = 20 * 60 * 10**9
"""After this long without renewal the namenode closes the file (HDFS: 20 min)."""
