"""One of Hadoop's Java clients, driven call by call: ClientProtocol as it is, FileSystem where data is moved.

What a call answers is told as text in which two filesystems that do the same agree: no times of now, no ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.harness.java import Jvm
from tests.harness.waiting import wait_until

EARLY_MS = 1_100_000_000_000
"""Who sets times sets earlier ones (it is in 2004)."""
_VARYING = (
    (re.compile(r"DFSClient_NONMAPREDUCE_-?\d+_\d+"), "CLIENT"),
    (re.compile(r"\(inode \d+\)"), "(inode N)"),
    # What an open file counts for differs until it is closed.
    (re.compile(r"diskspace consumed = .*"), "diskspace consumed = N"),
    # Whose lease it is, and what else that client writes.
    (re.compile(r" (\[Lease\..*\]|Holder CLIENT does not have any open files\.)"), ""),
    (re.compile(r"DatanodeInfoWithStorage\[[^\]]*\]"), "DATANODE"),
)
_DEFAULTS = {"dfs.replication": "1", "dfs.client.block.write.replace-datanode-on-failure.enable": "false"}


class JavaClient:
    """A user's client of one filesystem."""

    def __init__(self, jvm: Jvm, address: str, user: str) -> None:
        self._jvm, self._java = jvm, jvm.java
        jvm.login(user)
        configuration = jvm.configuration({**_DEFAULTS, "fs.defaultFS": f"hdfs://{address}"})
        hadoop = self._java.org.apache.hadoop
        uri = self._java.java.net.URI(f"hdfs://{address}")
        self.fs = hadoop.fs.FileSystem.newInstance(uri, configuration)
        self._path = hadoop.fs.Path
        self.namenode = self.fs.getClient().getNamenode()
        self._streams: dict[str, Any] = {}

    def close(self) -> None:
        """Let go of its connections."""
        self.fs.close()

    def do(self, verb: str, *arguments: Any) -> str:
        """What a call answers or raises, evened out."""
        return self.attempt(lambda: getattr(self, "do_" + verb)(*arguments))

    def attempt(self, function: Callable[[], Any]) -> str:
        """The answer of a function, or what it raises in Java."""
        from py4j.protocol import Py4JJavaError

        try:
            return str(function())
        except Py4JJavaError as error:
            return _describe(error.java_exception)

    # --- names --------------------------------------------------------------------------------------

    def do_mkdirs(self, path: str, mode: int, parents: bool) -> Any:
        return self.namenode.mkdirs(path, self._mode(mode), parents)

    def do_delete(self, path: str, recursive: bool) -> Any:
        return self.namenode.delete(path, recursive)

    def do_rename(self, source: str, target: str) -> Any:
        return self.namenode.rename(source, target)

    def do_rename2(self, source: str, target: str, overwrite: bool) -> Any:
        kinds = self._java.org.apache.hadoop.fs.Options.Rename
        option = kinds.OVERWRITE if overwrite else kinds.NONE
        return self.namenode.rename2(source, target, self._jvm.array(kinds, [option]))

    def do_concat(self, target: str, *sources: str) -> Any:
        return self.namenode.concat(target, self._jvm.array(self._java.java.lang.String, sources))

    # --- content ------------------------------------------------------------------------------------

    def do_create(self, path: str, content: bytes, overwrite: bool, parents: bool) -> Any:
        return self._write(self._begin(path, overwrite, parents), content)

    def do_open(self, path: str, content: bytes) -> Any:
        """Begin a file and let readers see what is written; it stays open."""
        out = self._begin(path, False, True)
        self._streams[path] = out
        return self._flush(out, content, "hflush")

    def do_reopen(self, path: str, content: bytes, new_block: bool) -> Any:
        """The same with a file that is there, in its last block or a new one."""
        flags = self._java.org.apache.hadoop.fs.CreateFlag
        chosen = [flags.APPEND, *([flags.NEW_BLOCK] if new_block else [])]
        out = self.fs.append(self._path(path), self._java.java.util.EnumSet.of(*chosen), 4096, None)
        self._streams[path] = out
        return self._flush(out, content, "hflush")

    def do_more(self, path: str, content: bytes, how: str) -> Any:
        """Go on with an open file; ``how`` what is written gets to readers and disks."""
        out = self._stream(path)
        return "not open" if out is None else self._flush(out, content, how)

    def do_close(self, path: str) -> Any:
        """End an open file."""
        out = self._stream(path)
        self._streams.pop(path, None)
        return "not open" if out is None else out.close()

    def _stream(self, path: str) -> Any:
        """The stream that writes the file of that path, if it is still the same file.

        The writer of a file that is gone learns it sooner or later, which differs.
        """
        out, status = self._streams.get(path), self.namenode.getFileInfo(path)
        if out is None or status is None:
            return None
        return out if out.getWrappedStream().getFileId() == status.getFileId() else None

    def do_recover_lease(self, path: str) -> Any:
        self.fs.recoverLease(self._path(path))
        # It is closed at once, or after the datanodes have agreed on its length.
        wait_until(lambda: self.namenode.isFileClosed(path), f"the recovery of {path}", 90)
        return ""

    def do_append(self, path: str, content: bytes) -> Any:
        return self._write(self.fs.append(self._path(path)), content)

    def do_truncate(self, path: str, length: int) -> Any:
        if not self.fs.truncate(self._path(path), length):
            # The datanodes are at it: nobody may change the file until they have done it.
            wait_until(lambda: self.namenode.isFileClosed(path), f"the truncation of {path}", 60)
        return ""

    def do_read(self, path: str) -> Any:
        return self._jvm.read_all(self.fs.open(self._path(path))).hex()

    def do_pread(self, path: str, offset: int, length: int) -> Any:
        """Bytes from the middle of a file."""
        stream = self.fs.open(self._path(path))
        try:
            stream.seek(offset)
            taken = self._java.java.io.ByteArrayOutputStream()
            self._java.org.apache.hadoop.io.IOUtils.copyBytes(stream, taken, length, False)
            return self._jvm.bytes_of(taken).hex()
        finally:
            stream.close()

    def do_checksum(self, path: str) -> Any:
        return self.fs.getFileChecksum(self._path(path))

    def _begin(self, path: str, overwrite: bool, parents: bool) -> Any:
        flags = self._java.org.apache.hadoop.fs.CreateFlag
        chosen = [flags.CREATE, *([flags.OVERWRITE] if overwrite else [])]
        enum_set = self._java.java.util.EnumSet
        args = (self._path(path), self._mode(0o644), enum_set.of(*chosen), 4096, 1, 1024 * 1024, None)
        return self.fs.create(*args) if parents else self.fs.createNonRecursive(*args)

    def _flush(self, out: Any, content: bytes, how: str) -> str:
        out.write(content)
        flags = self._java.org.apache.hadoop.hdfs.client.HdfsDataOutputStream.SyncFlag
        if how == "hflush":
            out.hflush()
        elif how == "hsync":
            out.hsync()
        else:
            out.hsync(self._java.java.util.EnumSet.of(getattr(flags, how)))
        return ""

    def _write(self, out: Any, content: bytes) -> str:
        out.write(content)
        out.close()
        return ""

    # --- attributes ---------------------------------------------------------------------------------

    def do_status(self, path: str) -> Any:
        return self._status(self.namenode.getFileInfo(path))

    def do_list(self, path: str) -> Any:
        listing = self.namenode.getListing(path, b"", False)
        if listing is None:
            return None
        return [self._status(one) for one in listing.getPartialListing()]

    def do_located(self, path: str) -> Any:
        """A listing with the blocks of files, as jobs ask for it."""
        found, entries = self.fs.listLocatedStatus(self._path(path)), []
        while found.hasNext():
            status = found.next()
            blocks: Any = status.getBlockLocations() or ()
            if status.isFile() and not self.namenode.isFileClosed(status.getPath().toUri().getPath()):
                blocks = ()  # an inline file that was taken up again has none until it is closed
            lengths = [(block.getOffset(), block.getLength()) for block in blocks]
            entries.append((status.getPath().getName(), status.getLen(), lengths))
        return entries

    def do_batched(self, *paths: str) -> Any:
        """Several listings in one call; those that fail say why."""
        found = self.fs.batchedListStatusIterator([self._path(path) for path in paths])
        entries = []
        while found.hasNext():
            listing = found.next()
            names = self.attempt(partial(_names_in, listing))
            entries.append((str(listing.getListedPath().toUri().getPath()), names))
        return entries

    def do_summary(self, path: str) -> Any:
        found = self.namenode.getContentSummary(path)
        return found.getLength(), found.getFileCount(), found.getDirectoryCount()

    def do_locations(self, path: str) -> Any:
        found = self.namenode.getBlockLocations(path, 0, 1 << 40)
        # An inline file that was taken up again has no block but the one that is being written.
        is_open = found.isUnderConstruction()
        lengths = [] if is_open else [block.getBlockSize() for block in found.getLocatedBlocks()]
        return found.getFileLength(), lengths, is_open, found.isLastBlockComplete()

    def do_chmod(self, path: str, mode: int) -> Any:
        return self.namenode.setPermission(path, self._mode(mode))

    def do_chown(self, path: str, owner: str | None, group: str | None) -> Any:
        return self.namenode.setOwner(path, owner, group)

    def do_times(self, path: str, mtime_ms: int, atime_ms: int) -> Any:
        return self.namenode.setTimes(path, mtime_ms, atime_ms)

    def do_replication(self, path: str, count: int) -> Any:
        return self.namenode.setReplication(path, count)

    def do_access(self, path: str, mask: int) -> Any:
        actions = self._java.org.apache.hadoop.fs.permission.FsAction.values()
        return self.namenode.checkAccess(path, actions[mask])

    def do_closed(self, path: str) -> Any:
        return self.namenode.isFileClosed(path)

    def do_block_size(self, path: str) -> Any:
        return self.namenode.getPreferredBlockSize(path)

    def do_set_xattr(self, path: str, name: str, value: bytes, create: bool, replace: bool) -> Any:
        flags = self._java.org.apache.hadoop.fs.XAttrSetFlag
        chosen = [*([flags.CREATE] if create else []), *([flags.REPLACE] if replace else [])]
        return self.fs.setXAttr(self._path(path), name, value, self._java.java.util.EnumSet.of(*chosen))

    def do_remove_xattr(self, path: str, name: str) -> Any:
        return self.fs.removeXAttr(self._path(path), name)

    def do_xattrs(self, path: str) -> Any:
        found = self.fs.getXAttrs(self._path(path))
        return sorted((key, bytes(found[key])) for key in found)

    def do_acl(self, path: str) -> Any:
        return self.fs.getAclStatus(self._path(path))

    def do_set_acl(self, path: str, spec: str) -> Any:
        return self.fs.setAcl(self._path(path), self._entries(spec, True))

    def do_modify_acl(self, path: str, spec: str) -> Any:
        return self.fs.modifyAclEntries(self._path(path), self._entries(spec, True))

    def do_remove_acl_entries(self, path: str, spec: str) -> Any:
        return self.fs.removeAclEntries(self._path(path), self._entries(spec, False))

    def do_remove_acl(self, path: str) -> Any:
        return self.fs.removeAcl(self._path(path))

    def do_remove_default_acl(self, path: str) -> Any:
        return self.fs.removeDefaultAcl(self._path(path))

    def do_policy(self, path: str) -> Any:
        return self.fs.getStoragePolicy(self._path(path)).getName()

    def do_set_policy(self, path: str, name: str) -> Any:
        return self.fs.setStoragePolicy(self._path(path), name)

    def do_quota(self, path: str, names: int, space: int) -> Any:
        return self.namenode.setQuota(path, names, space, None)

    def _entries(self, spec: str, permissions: bool) -> Any:
        return self._java.org.apache.hadoop.fs.permission.AclEntry.parseAclSpec(spec, permissions)

    def _mode(self, mode: int) -> Any:
        return self._java.org.apache.hadoop.fs.permission.FsPermission(oct(mode)[2:])

    def _status(self, status: Any) -> Any:
        if status is None:
            return None
        kind = "d" if status.isDirectory() else "-"
        time_ms = status.getModificationTime()
        # Times that a call set stay. Of files, HDFS changes them when they are closed, we when they are
        # written; access times are HDFS's to keep hourly, and ours to keep or not.
        time = str(time_ms) if time_ms < EARLY_MS and status.isDirectory() else "now"
        return (
            f"{kind}{status.getPermission().toString()} {status.getReplication()} {status.getOwner()}"
            f" {status.getGroup()} {status.getLen()} {status.getBlockSize()} {time}"
            f" {status.getLocalName()} acl={status.hasAcl()}"
        )


def _names_in(listing: Any) -> list[str]:
    """Of one of several listings, which may be an error instead."""
    return [str(status.getPath().getName()) for status in listing.get()]


def _describe(error: Any) -> str:
    name = error.getClass().getName()
    if name == "org.apache.hadoop.ipc.RemoteException":
        name = error.getClassName()
    message = (error.getMessage() or "").partition("\n")[0]
    for pattern, instead in _VARYING:
        message = pattern.sub(instead, message)
    return f"{name}: {message}"
