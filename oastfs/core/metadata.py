"""The verbs of the namespace: one signature each, whoever carries them out.

``Metadata`` is implemented by ``namenode.Namespace`` (in this process, direct mode) and by
``client.RemoteMetadata`` (through namenodes). Both only implement ``call``; the methods here give it names
and types, from which the wire derives its encoding. A new verb is a method here and a module in ``ops/``.

Paths are absolute, normalized ``str`` (no ``.``, ``..``, ``//`` or trailing slash). Every verb also
takes HDFS's form by inode id, ``/.reserved/.inodes/ID`` or ``/.reserved/.inodes/ID/name`` (see
``core.path.by_id``): handles that outlive a rename use it. Verbs raise the errors of ``core.errors``;
an error means that nothing was changed. A mutating verb that returned is durable.
"""

# ``call`` gives what the verb's name says, which only these annotations tell.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from oastfs.core.storage_policies import StoragePolicy
from oastfs.core.types import (
    AclEntry,
    AclStatus,
    BlockCommit,
    Caller,
    ContentSummary,
    DatanodeReport,
    Fault,
    FileLock,
    FileStatus,
    FilesystemInfo,
    Listing,
    LocatedBlock,
    NamenodeReport,
    Opened,
    QuotaUsage,
    RenameMode,
    StorageStatus,
    WriteRequest,
)


class Metadata(ABC):
    """Every filesystem operation. ``caller`` is who asks, first argument of each."""

    @abstractmethod
    def call(self, verb: str, caller: Caller, *arguments: Any) -> Any:
        """Carry out ``verb`` with all of its arguments, in the order of its method here."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections or the store. Calls after it fail."""

    # --- reading the tree ---------------------------------------------------------------------

    def stat(self, caller: Caller, path: str, follow: bool = True) -> FileStatus:
        """Attributes of ``path``; of the link itself if not ``follow``. Raises NotFound."""
        return self.call("stat", caller, path, follow)

    def lookup(self, caller: Caller, directory_id: int, name: str) -> FileStatus | None:
        """Attributes of a directory's entry, None if there is none. Only for the superuser: mounts ask so."""
        return self.call("lookup", caller, directory_id, name)

    def stat_many(self, caller: Caller, paths: list[str], follow: bool = True) -> list[FileStatus | Fault]:
        """``stat`` of each path from one snapshot; a path that fails gives a Fault in its place."""
        return self.call("stat_many", caller, paths, follow)

    def listdir(self, caller: Caller, path: str, after: str = "", limit: int = 1000) -> Listing:
        """Entries whose names sort after ``after`` (UTF-8 order), at most ``limit``.

        Of a file: the one entry of the file itself, as HDFS answers.
        """
        return self.call("listdir", caller, path, after, limit)

    def readlink(self, caller: Caller, path: str) -> str:
        """The target of a symbolic link, as it was written. Raises InvalidArgument for others."""
        return self.call("readlink", caller, path)

    def path_of(self, caller: Caller, inode_id: int) -> str:
        """The present path of an inode (one of them, for a file with hard links)."""
        return self.call("path_of", caller, inode_id)

    def access(self, caller: Caller, path: str, mask: int) -> None:
        """access(2): mask of 4 read, 2 write, 1 execute. Raises PermissionDenied."""
        self.call("access", caller, path, mask)

    def content_summary(self, caller: Caller, path: str) -> ContentSummary:
        """Totals of the tree under ``path``, and its quotas."""
        return self.call("content_summary", caller, path)

    def quota_usage(self, caller: Caller, path: str) -> QuotaUsage:
        """The quotas of ``path``, and what is taken of them. Answers at once where there are any."""
        return self.call("quota_usage", caller, path)

    def statfs(self, caller: Caller) -> StorageStatus:
        """Space and counts of the whole filesystem."""
        return self.call("statfs", caller)

    def filesystem_info(self, caller: Caller) -> FilesystemInfo:
        """Constants of the filesystem: id, defaults, inline limit."""
        return self.call("filesystem_info", caller)

    # --- reading files ------------------------------------------------------------------------

    def open(self, caller: Caller, path: str, offset: int = 0, length: int = 1 << 30) -> Opened:
        """Open for reading: status with the inline content, or the blocks of a byte range."""
        return self.call("open", caller, path, offset, length)

    def read_many(self, caller: Caller, paths: list[str]) -> list[Opened | Fault]:
        """``open`` of each path from one snapshot. One trip for thousands of small files.

        The answer is cut short (fewer items than paths) once inline content passes 32 MiB: ask again
        for the rest.
        """
        return self.call("read_many", caller, paths)

    # --- changing the tree --------------------------------------------------------------------

    def mkdirs(
        self,
        caller: Caller,
        path: str,
        mode: int = 0o755,
        parents: bool = True,
        exist_ok: bool = True,
        unmasked_mode: int = -1,
    ) -> FileStatus:
        """Make a directory, and with ``parents`` those above it. ``mode`` is after umask.

        ``unmasked_mode`` (-1: as ``mode``) is the mode before umask, here and below: where the directory
        above has a default ACL, that one counts, and umask does not.
        """
        return self.call("mkdirs", caller, path, mode, parents, exist_ok, unmasked_mode)

    def mknod(
        self, caller: Caller, path: str, mode: int, rdev: int = 0, unmasked_mode: int = -1
    ) -> FileStatus:
        """An empty file, FIFO, socket or device by the type bits of ``mode``. Fails if it exists."""
        return self.call("mknod", caller, path, mode, rdev, unmasked_mode)

    def symlink(self, caller: Caller, path: str, target: str, parents: bool = False) -> FileStatus:
        """Make ``path`` a symbolic link to ``target``."""
        return self.call("symlink", caller, path, target, parents)

    def link(self, caller: Caller, path: str, new_path: str) -> FileStatus:
        """A further hard link to a file (final symlinks are not followed)."""
        return self.call("link", caller, path, new_path)

    def rename(
        self,
        caller: Caller,
        source: str,
        target: str,
        mode: RenameMode = RenameMode.POSIX,
        keep_for: str = "",
        replacing: int = -1,
    ) -> FileStatus:
        """Move ``source`` to ``target`` (see RenameMode); the status at its new place.

        ``keep_for`` and ``replacing``: as ``keep_for`` and ``expected_id`` in ``unlink``, for what is
        replaced; 0 expects that nothing is.
        """
        return self.call("rename", caller, source, target, mode, keep_for, replacing)

    def delete(self, caller: Caller, path: str, recursive: bool = False) -> None:
        """Remove a file, link, empty directory or, with ``recursive``, a tree. Raises NotFound.

        A tree of any size answers at once: it is moved out of sight and reclaimed later.
        """
        self.call("delete", caller, path, recursive)

    def unlink(self, caller: Caller, path: str, keep_for: str = "", expected_id: int = -1) -> FileStatus:
        """unlink(2): anything but a directory. Answers the attributes that remain (nlink 0 if none).

        With the name of a holder in ``keep_for`` a file that loses its last name stays reachable by id until
        that holder calls ``forget`` or its lease expires, for programs that hold it open. Raises EntryChanged
        if the name stands for another inode than ``expected_id`` (-1: whatever is there).
        """
        return self.call("unlink", caller, path, keep_for, expected_id)

    def rmdir(self, caller: Caller, path: str) -> None:
        """rmdir(2): an empty directory only."""
        self.call("rmdir", caller, path)

    def forget(self, caller: Caller, inode_ids: list[int], holder: str) -> None:
        """Let go of inodes that were kept for ``holder``; unknown ids are ignored."""
        self.call("forget", caller, inode_ids, holder)

    def chmod(self, caller: Caller, path: str, mode: int, follow: bool = True) -> FileStatus:
        """Set the permission bits (07777), with an ACL its mask as the group's. Owner or superuser only."""
        return self.call("chmod", caller, path, mode, follow)

    def get_acl(self, caller: Caller, path: str) -> AclStatus:
        """The access control list of ``path`` (links are followed). Whoever may stat it may see it."""
        return self.call("get_acl", caller, path)

    def modify_acl(self, caller: Caller, path: str, entries: list[AclEntry]) -> FileStatus:
        """Add entries, and change those that are there. Owner or superuser only, as for all changes of ACLs.

        A mask that is not among ``entries`` is made anew where named users or groups need one; default
        entries that are missing are taken from the access entries. Raises BadAcl, with HDFS's messages.
        """
        return self.call("modify_acl", caller, path, entries)

    def set_acl(self, caller: Caller, path: str, entries: list[AclEntry]) -> FileStatus:
        """Replace all entries of each scope that is among ``entries``. No entries: as ``remove_acl``."""
        return self.call("set_acl", caller, path, entries)

    def remove_acl_entries(self, caller: Caller, path: str, entries: list[AclEntry]) -> FileStatus:
        """Take entries away, whatever their permissions; the mask is made anew."""
        return self.call("remove_acl_entries", caller, path, entries)

    def remove_default_acl(self, caller: Caller, path: str) -> FileStatus:
        """Take all default entries away."""
        return self.call("remove_default_acl", caller, path)

    def remove_acl(self, caller: Caller, path: str) -> FileStatus:
        """Take away all but the three entries that the mode holds: of owner, owning group and others."""
        return self.call("remove_acl", caller, path)

    def chown(
        self, caller: Caller, path: str, uid: int = -1, gid: int = -1, follow: bool = True
    ) -> FileStatus:
        """Set owner and group; -1 leaves one as it is. Clears set-id bits as POSIX has it."""
        return self.call("chown", caller, path, uid, gid, follow)

    def utimes(
        self,
        caller: Caller,
        path: str,
        atime_ns: int = -1,
        mtime_ns: int = -1,
        follow: bool = True,
        now: bool = False,
    ) -> FileStatus:
        """Set times in ns; -1 leaves one as it is. ``now``: set both to the namenode's clock."""
        return self.call("utimes", caller, path, atime_ns, mtime_ns, follow, now)

    def set_replication(self, caller: Caller, path: str, replication: int) -> FileStatus:
        """Set a file's replication; replicas are made or removed in the background."""
        return self.call("set_replication", caller, path, replication)

    def get_storage_policy(self, caller: Caller, path: str) -> StoragePolicy:
        """The storage policy that holds for ``path``: its own, or of the nearest directory above with one."""
        return self.call("get_storage_policy", caller, path)

    def set_storage_policy(self, caller: Caller, path: str, policy: str) -> None:
        """Give a file or directory a storage policy, by its name; '' takes it away.

        Blocks that are written from now on go to such storages, if there are any.
        """
        self.call("set_storage_policy", caller, path, policy)

    def list_storage_policies(self, caller: Caller) -> list[StoragePolicy]:
        """All storage policies."""
        return self.call("list_storage_policies", caller)

    def set_quota(self, caller: Caller, path: str, names: int, space: int, storage_type: str = "") -> None:
        """Limit the names in a directory's tree and the bytes that it takes; for the superuser.

        -1: no limit. 2**63 - 1: leave that limit as it is. A limit below what is there already only keeps
        more from coming. With a storage type ``space`` is for that type alone, which is kept and told of, but
        holds nobody up. Raises NotADirectory.
        """
        self.call("set_quota", caller, path, names, space, storage_type)

    def get_xattrs(
        self, caller: Caller, path: str, names: list[str] | None = None, follow: bool = True
    ) -> dict[str, bytes]:
        """Extended attributes (``user.``, ``trusted.``, ``security.``, ``system.``), all or some.

        ``system.posix_acl_access`` and ``system.posix_acl_default`` are the ACL in Linux's form, here and
        below.
        Raises XattrNotFound if one of ``names`` is missing.
        """
        return self.call("get_xattrs", caller, path, names, follow)

    def set_xattr(
        self,
        caller: Caller,
        path: str,
        name: str,
        value: bytes,
        create: bool = True,
        replace: bool = True,
        follow: bool = True,
    ) -> None:
        """Set one attribute. It may be made if ``create``, and overwritten if ``replace``."""
        self.call("set_xattr", caller, path, name, value, create, replace, follow)

    def remove_xattr(self, caller: Caller, path: str, name: str, follow: bool = True) -> None:
        """Remove one attribute. Raises XattrNotFound."""
        self.call("remove_xattr", caller, path, name, follow)

    # --- writing files ------------------------------------------------------------------------

    def create(
        self,
        caller: Caller,
        path: str,
        mode: int = 0o644,
        overwrite: bool = False,
        parents: bool = False,
        holder: str = "",
        replication: int = 0,
        block_size: int = 0,
        unmasked_mode: int = -1,
    ) -> FileStatus:
        """An empty file, replacing another if ``overwrite``. Zeros mean the filesystem's default.

        With a ``holder`` the file is under construction: that client has its exclusive lease until
        ``complete``. Without one it is an ordinary empty file.
        """
        return self.call(
            "create", caller, path, mode, overwrite, parents, holder, replication, block_size, unmasked_mode
        )

    def write_file(
        self,
        caller: Caller,
        path: str,
        data: bytes,
        mode: int = 0o644,
        overwrite: bool = True,
        parents: bool = False,
    ) -> FileStatus:
        """A whole small file in one transaction: seen complete or not at all.

        Raises InlineLimitExceeded if ``data`` is larger than the filesystem's inline limit.
        """
        return self.call("write_file", caller, path, data, mode, overwrite, parents)

    def write_many(
        self, caller: Caller, requests: list[WriteRequest], parents: bool = False
    ) -> list[FileStatus | Fault]:
        """``write_file`` of each, in one durable transaction; those that fail give a Fault."""
        return self.call("write_many", caller, requests, parents)

    def write_inline(
        self,
        caller: Caller,
        path: str,
        patches: list[tuple[int, bytes]],
        length: int = -1,
        holder: str = "",
        release: bool = False,
    ) -> FileStatus:
        """Write byte ranges of a file whose content is inline; gaps become zeros.

        ``length`` (if not -1) becomes the file's length afterwards. Raises InlineLimitExceeded, with
        nothing changed, if it would not fit or the content is in blocks already. ``release`` ends the
        holder's lease, as ``complete``.
        """
        return self.call("write_inline", caller, path, patches, length, holder, release)

    def append(self, caller: Caller, path: str, holder: str) -> Opened:
        """Take the exclusive lease of an existing file, to write at its end.

        The answer holds the inline content or the last block (none if it is full).
        """
        return self.call("append", caller, path, holder)

    def add_block(
        self,
        caller: Caller,
        path: str,
        holder: str,
        offset: int,
        exclude: list[int] | None = None,
        local_host: str = "",
    ) -> LocatedBlock:
        """Allocate a block that starts at file ``offset``, with its target replicas.

        It becomes visible when it is committed. ``exclude`` lists datanode ids that failed the
        caller. An uncommitted block of this holder at the offset is replaced. A holder without the
        exclusive lease becomes a shared writer (many may write one file; each block update is fenced
        by its generation stamp). Raises LeaseConflict, NoDatanodes.
        """
        return self.call("add_block", caller, path, holder, offset, exclude, local_host)

    def update_block(
        self, caller: Caller, path: str, holder: str, offset: int, block_id: int
    ) -> LocatedBlock:
        """Begin writing into an existing block, in place or past its end.

        The answer's generation stamp is a new one: the writer opens its pipeline with it (data transfer stage
        PIPELINE_SETUP_APPEND), and later writers fence this one. Readers keep the committed one.
        Also used to recover a pipeline: call again, send again what was not committed, then commit with
        the storages that remain. Who gives such bytes up instead calls ``abandon_block``: replicas may
        differ in them. Another writer's unfinished update leaves one replica to go on with; the rest is
        made anew. Raises LeaseConflict, BlockNotFound (no live replica), StaleBlock (there is no such block).
        """
        return self.call("update_block", caller, path, holder, offset, block_id)

    def commit(
        self,
        caller: Caller,
        path: str,
        holder: str,
        commits: list[BlockCommit],
        length: int = -1,
    ) -> FileStatus:
        """Make written blocks visible, and the file's length (-1: as far as the blocks reach).

        A file that was inline is in blocks from now on. Fewer storages than replication are made up
        in the background. Raises StaleBlock if another writer began after, LeaseExpired.
        """
        return self.call("commit", caller, path, holder, commits, length)

    def complete(
        self,
        caller: Caller,
        path: str,
        holder: str,
        commits: list[BlockCommit],
        length: int = -1,
    ) -> FileStatus:
        """``commit``, then end the holder's lease on the file. Uncommitted blocks are dropped."""
        return self.call("complete", caller, path, holder, commits, length)

    def abandon_block(self, caller: Caller, path: str, holder: str, block_id: int) -> None:
        """Give up what was being written into a block: a new one goes, of others the committed part stays."""
        self.call("abandon_block", caller, path, holder, block_id)

    def truncate(self, caller: Caller, path: str, length: int) -> FileStatus:
        """Set the length, cutting off or adding zeros (a hole: no datanode is asked)."""
        return self.call("truncate", caller, path, length)

    def concat(self, caller: Caller, path: str, sources: list[str]) -> FileStatus:
        """Move the content of ``sources`` to the end of a file, and remove them. No byte is copied.

        All of them are in blocks, or all are inline and fit the inline limit together; else Unsupported.
        """
        return self.call("concat", caller, path, sources)

    def renew_lease(self, caller: Caller, holder: str) -> None:
        """Keep the holder's leases alive; due every 20 s."""
        self.call("renew_lease", caller, holder)

    def set_lock(
        self, caller: Caller, inode_id: int, holder: str, lock: FileLock, begin: bool = False
    ) -> FileStatus | None:
        """Lock, change or unlock a range of a file, as fcntl(2) has it; for mounts, whose kernel has checked.

        Raises LockHeld, with nothing changed, if another owner's lock of that kind stands against it. The
        answer is the file as it is once locked, None for unlocking. ``holder`` is a mount; ``begin``: it has
        no other locks. While it has any it calls ``renew_locks``; raises LocksLost if it did not.
        """
        return self.call("set_lock", caller, inode_id, holder, lock, begin)

    def get_lock(self, caller: Caller, inode_id: int, holder: str, lock: FileLock) -> FileLock | None:
        """A lock that stands against this one (F_GETLK), or None. Another holder's has 0 for its owner."""
        return self.call("get_lock", caller, inode_id, holder, lock)

    def renew_locks(self, caller: Caller, holder: str) -> None:
        """Keep a mount's locks alive; due every 15 s. Raises LocksLost if it is too late."""
        self.call("renew_locks", caller, holder)

    def release_locks(self, caller: Caller, holder: str) -> None:
        """End all of a mount's locks."""
        self.call("release_locks", caller, holder)

    def recover_lease(self, caller: Caller, path: str) -> bool:
        """End another writer's lease. True once the file is closed, False while blocks recover."""
        return self.call("recover_lease", caller, path)

    def report_bad_blocks(self, caller: Caller, blocks: list[tuple[int, int]]) -> None:
        """Tell of corrupt or lost replicas, as (block id, storage id)."""
        self.call("report_bad_blocks", caller, blocks)

    # --- people and machines --------------------------------------------------------------------

    def principal_names(
        self, caller: Caller, uids: list[int], gids: list[int]
    ) -> tuple[list[str], list[str]]:
        """Names of users and groups (decimal digits where none is known)."""
        return self.call("principal_names", caller, uids, gids)

    def principal_ids(
        self, caller: Caller, users: list[str], groups: list[str]
    ) -> tuple[list[int], list[int]]:
        """Ids of users and groups, given out at first sight of a name."""
        return self.call("principal_ids", caller, users, groups)

    def safe_mode(self, caller: Caller, action: str) -> bool:
        """``enter``, ``leave`` (both for the superuser) or ``get`` safe mode; whether it is on then.

        While it is on, every verb that changes something raises SafeMode, and jobs that delete or move
        data wait.
        """
        return self.call("safe_mode", caller, action)

    def namenodes(self, caller: Caller) -> list[NamenodeReport]:
        """The namenodes that serve the filesystem; those that fell silent stay for ten minutes."""
        return self.call("namenodes", caller)

    def datanodes(self, caller: Caller) -> list[DatanodeReport]:
        """Every datanode that ever registered."""
        return self.call("datanodes", caller)
