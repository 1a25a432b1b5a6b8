"""Formatting a store, and reading back the constants of a filesystem."""

from __future__ import annotations

import os
import stat as _stat
import time
import uuid
from dataclasses import dataclass

from oastfs.core.errors import AlreadyExists, InvalidArgument, WrongStore
from oastfs.core.limits import (
    BLOCK_SIZE_BYTES_DEFAULT,
    BLOCK_SIZE_BYTES_MAX,
    BLOCK_SIZE_BYTES_MIN,
    INLINE_LIMIT_BYTES_DEFAULT,
    INLINE_LIMIT_BYTES_MAX,
    REPLICATION_MAX,
)
from oastfs.core.types import FilesystemInfo
from oastfs.core.version import VERSION
from oastfs.namenode.tree import ROOT_KEY
from oastfs.store.schema import (
    COUNTER,
    DIRECTORY,
    IMPORT_UNFINISHED,
    INODE,
    RENAME_MUTEX,
    ROOT_ID,
    SCHEMA_VERSION,
    SETTING,
    Counter,
    Directory,
    Inode,
    Setting,
)
from oastfs.store.transaction import Store, Transaction

_UNFINISHED = (
    "an import into this store was not finished, so it holds no whole filesystem: "
    "import again with --restart, or remove it"
)


@dataclass(frozen=True)
class FormatOptions:
    """What is fixed when a filesystem is made. Sizes in bytes.

    ``superuser_uid`` -1: whoever formats. ``supergroup_gid`` -1: no group is privileged.
    """

    block_size: int = BLOCK_SIZE_BYTES_DEFAULT
    replication: int = 1
    inline_limit: int = INLINE_LIMIT_BYTES_DEFAULT
    superuser_uid: int = -1
    supergroup_gid: int = -1

    def check(self) -> None:
        """Raise InvalidArgument if a value is out of range."""
        if not BLOCK_SIZE_BYTES_MIN <= self.block_size <= BLOCK_SIZE_BYTES_MAX or self.block_size % 512:
            raise InvalidArgument(f"a block size is a multiple of 512 bytes, not {self.block_size}")
        if not 1 <= self.replication <= REPLICATION_MAX:
            raise InvalidArgument(f"replication is 1 to {REPLICATION_MAX}, not {self.replication}")
        if not 0 <= self.inline_limit <= INLINE_LIMIT_BYTES_MAX:
            raise InvalidArgument(f"the inline limit is 0 to {INLINE_LIMIT_BYTES_MAX} bytes")


def is_formatted(store: Store) -> bool:
    """Whether the store holds a filesystem."""
    return store.read(lambda tx: tx.get(SETTING, ("filesystem_id",))) is not None


def format_store(store: Store, options: FormatOptions | None = None) -> FilesystemInfo:
    """Make an empty filesystem. Raises AlreadyExists if there is one: nothing is ever overwritten."""
    chosen = options or FormatOptions()
    chosen.check()
    uid = os.getuid() if chosen.superuser_uid == -1 else chosen.superuser_uid
    settings = {
        "filesystem_id": str(uuid.uuid4()),
        "schema_version": str(SCHEMA_VERSION),
        "block_size": str(chosen.block_size),
        "replication": str(chosen.replication),
        "inline_limit": str(chosen.inline_limit),
        "superuser_uid": str(uid),
        "supergroup_gid": str(chosen.supergroup_gid),
    }
    now_ns = time.time_ns()

    def write(tx: Transaction) -> None:
        if tx.get(SETTING, IMPORT_UNFINISHED) is not None:
            raise WrongStore(_UNFINISHED)
        if tx.get(SETTING, ("filesystem_id",)) is not None:
            raise AlreadyExists("the store holds a filesystem already")
        for name, value in settings.items():
            tx.put(SETTING, (name,), Setting(value))
        mode = _stat.S_IFDIR | 0o755
        tx.put(INODE, ROOT_KEY, Inode(ROOT_ID, mode, uid, os.getgid(), 0, now_ns, now_ns, now_ns))
        tx.put(DIRECTORY, (ROOT_ID,), Directory(now_ns, now_ns))
        tx.put(COUNTER, RENAME_MUTEX, Counter(0))

    store.write(write)
    return load_info(store)


def load_info(store: Store) -> FilesystemInfo:
    """Constants of the filesystem in the store. Raises WrongStore if there is none."""

    def read(tx: Transaction) -> dict[str, str]:
        return {str(key[0]): row.value for key, row in tx.scan(SETTING)}

    settings = store.read(read)
    if IMPORT_UNFINISHED[0] in settings:
        raise WrongStore(_UNFINISHED)
    if "filesystem_id" not in settings:
        raise WrongStore("the store holds no filesystem: run `oastfs format` first")
    if int(settings["schema_version"]) > SCHEMA_VERSION:
        raise WrongStore(
            f"the store was written by a newer version (schema {settings['schema_version']}, "
            f"known here: {SCHEMA_VERSION}): upgrade oastfs"
        )
    return FilesystemInfo(
        settings["filesystem_id"],
        VERSION,
        int(settings["block_size"]),
        int(settings["replication"]),
        int(settings["inline_limit"]),
        int(settings["superuser_uid"]),
        int(settings["supergroup_gid"]),
    )
