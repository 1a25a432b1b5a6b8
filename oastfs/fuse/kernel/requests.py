"""From the kernel's request bodies to the mount's logic and back to bytes. No I/O, no threads.

A handler gets the node id, the body and who asks, and gives the body of the answer, or a generator
(``effects``) that ends with it. Node ids are inode ids, and an open file's handle is its inode id, so
there is nothing to keep in step with the kernel.
"""

from __future__ import annotations

import errno
import os
import stat as _stat
from collections.abc import Container
from typing import Any, Final

from oastfs.core.errors import InvalidArgument, NameTooLong
from oastfs.core.types import FileStatus
from oastfs.fuse.attributes import NOW, SetAttributes
from oastfs.fuse.directories import DOTS
from oastfs.fuse.effects import Operation
from oastfs.fuse.files import Opening
from oastfs.fuse.filesystem import InodeFilesystem
from oastfs.fuse.kernel import protocol as p
from oastfs.fuse.kernel.answers import AfterDropping, Answer, Body, Handler, Who
from oastfs.fuse.kernel.lock_requests import LockRequests
from oastfs.fuse.kernel.protocol import Opcode, Valid
from oastfs.fuse.status import BLOCK_BYTES, IO_SIZE_BYTES, NAME_BYTES_MAX, free_inodes

SECOND_NS: Final = 10**9
UNSIGNED: Final = (1 << 64) - 1
"""Seconds before 1970 travel as large unsigned numbers."""
_NO_ATTRIBUTES: Final = bytes(p.ENTRY_OUT.size)
_EMPTY: Final = b""

_DOTS: Final = (".", "..")


class Requests:
    """Handlers by opcode (``table``)."""

    def __init__(self, filesystem: InodeFilesystem) -> None:
        self._names = filesystem.names
        self._attributes = filesystem.attributes
        self._files = filesystem.files
        self._directories = filesystem.directories
        self._xattrs = filesystem.xattrs
        self._handles = filesystem.handles
        self._locks = None if filesystem.locks is None else LockRequests(filesystem.locks)
        self._locked: Container[int] = () if filesystem.locks is None else filesystem.locks.held
        self._caller = filesystem.callers.get
        self._told = filesystem.shared.told
        self._parents = filesystem.shared.parents
        self._note = filesystem.shared.entries.note
        config = filesystem.shared.config
        self._valid = (
            *_seconds_and_ns(config.entry_seconds),
            *_seconds_and_ns(config.attribute_seconds),
        )
        self.tells_kill = True
        """Whether the kernel says who may keep set-id bits as they write; if not, only root may."""
        self._negative = _negative_entry(config.negative_seconds)
        # Not FSYNCDIR: names are durable when they are made, and who is refused it once asks no more.
        self.table: dict[int, Handler] = {
            Opcode.LOOKUP: self.lookup,
            Opcode.FORGET: self.forget,
            Opcode.BATCH_FORGET: self.batch_forget,
            Opcode.GETATTR: self.getattr,
            Opcode.SETATTR: self.setattr,
            Opcode.READLINK: self.readlink,
            Opcode.SYMLINK: self.symlink,
            Opcode.MKNOD: self.mknod,
            Opcode.MKDIR: self.mkdir,
            Opcode.UNLINK: self.unlink,
            Opcode.RMDIR: self.rmdir,
            Opcode.RENAME: self.rename,
            Opcode.RENAME2: self.rename2,
            Opcode.LINK: self.link,
            Opcode.OPEN: self.open,
            Opcode.CREATE: self.create,
            Opcode.READ: self.read,
            Opcode.WRITE: self.write,
            Opcode.FLUSH: self.flush,
            Opcode.FSYNC: self.fsync,
            Opcode.RELEASE: self.release,
            Opcode.FALLOCATE: self.fallocate,
            Opcode.OPENDIR: self.opendir,
            Opcode.READDIR: self.readdir,
            Opcode.READDIRPLUS: self.readdirplus,
            Opcode.RELEASEDIR: self.releasedir,
            Opcode.STATFS: self.statfs,
            Opcode.GETXATTR: self.getxattr,
            Opcode.LISTXATTR: self.listxattr,
            Opcode.SETXATTR: self.setxattr,
            Opcode.REMOVEXATTR: self.removexattr,
            Opcode.ACCESS: self.access,
            Opcode.INTERRUPT: _no_answer,
            Opcode.NOTIFY_REPLY: _no_answer,
            Opcode.DESTROY: _nothing_to_do,
        }
        if self._locks is not None:
            self.table |= self._locks.table

    # --- names --------------------------------------------------------------------------------------

    def lookup(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        name = _name(body[:-1])
        if name in _DOTS:
            return self._entry_of(self._names.by_number(node, name))
        found = self._names.lookup(node, name)
        if found is None:
            return self._negative
        return self._entry(found) if isinstance(found, FileStatus) else self._found(found)

    def _found(self, operation: Operation[FileStatus | None]) -> Operation[Answer]:
        status = yield from operation
        return self._negative if status is None else self._entry(status)

    def forget(self, node: int, body: bytes, who: Who) -> Answer:
        self._handles.forget(node)
        return None

    def batch_forget(self, node: int, body: bytes, who: Who) -> Answer:
        for inode_id, _ in p.FORGET_ONE.iter_unpack(body[p.BATCH_FORGET_IN.size :]):
            self._handles.forget(inode_id)
        return None

    def symlink(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        name, target, _ = body.split(b"\0", 2)
        return self._entry_of(self._names.symlink(node, _name(name), target.decode(), self._caller(*who)))

    def readlink(self, node: int, body: bytes, who: Who) -> Answer:
        return self._names.readlink(node).encode()

    def mknod(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        mode, rdev, umask, _ = p.MKNOD_IN.unpack_from(body)
        name = _name(body[p.MKNOD_IN.size : -1])
        return self._entry_of(self._names.mknod(node, name, mode, umask, rdev, self._caller(*who)))

    def mkdir(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        mode, umask = p.MKDIR_IN.unpack_from(body)
        name = _name(body[p.MKDIR_IN.size : -1])
        return self._entry_of(self._names.mkdir(node, name, mode, umask, self._caller(*who)))

    def unlink(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        return _done(self._names.unlink(node, _name(body[:-1]), self._caller(*who)))

    def rmdir(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        return _done(self._names.rmdir(node, _name(body[:-1]), self._caller(*who)))

    def rename(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        (new_parent,) = p.RENAME_IN.unpack_from(body)
        return self._rename(node, new_parent, body[p.RENAME_IN.size :], 0, who)

    def rename2(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        new_parent, flags, _ = p.RENAME2_IN.unpack_from(body)
        return self._rename(node, new_parent, body[p.RENAME2_IN.size :], flags, who)

    def _rename(self, node: int, new_parent: int, names: bytes, flags: int, who: Who) -> Operation[Answer]:
        old, new, _ = names.split(b"\0", 2)
        caller = self._caller(*who)
        return _done(self._names.rename(node, _name(old), new_parent, _name(new), flags, caller))

    def link(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        (inode_id,) = p.LINK_IN.unpack_from(body)
        name = _name(body[p.LINK_IN.size : -1])
        return self._entry_of(self._names.link(inode_id, node, name, self._caller(*who)))

    # --- attributes -----------------------------------------------------------------------------------

    def getattr(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        if self._parents is not None and (known := self._parents.get(node)) is not None:
            return self._attr(known[0], *divmod(known[1], SECOND_NS))
        found = self._attributes.getattr(node)
        return self._attr(found) if isinstance(found, FileStatus) else self._attr_of(found)

    def setattr(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        status = yield from self._attributes.setattr(node, _wanted(body), self._caller(*who))
        opened = self._handles.open.get(node)
        # What is not sent yet has times that will be others: the kernel is to ask for them.
        return self._attr(status, 0, 0) if opened is not None and opened.dirty else self._attr(status)

    def access(self, node: int, body: bytes, who: Who) -> Answer:
        mask, _ = p.ACCESS_IN.unpack_from(body)
        self._attributes.access(node, mask, self._caller(*who))
        return _EMPTY

    def statfs(self, node: int, body: bytes, who: Who) -> Answer:
        space = self._attributes.statfs()
        free = space.remaining // BLOCK_BYTES
        files_free = free_inodes(space)
        return p.STATFS_OUT.pack(
            space.capacity // BLOCK_BYTES,
            free,
            free,
            space.inodes + files_free,
            files_free,
            BLOCK_BYTES,
            NAME_BYTES_MAX,
            BLOCK_BYTES,
            0,
        )

    # --- files -------------------------------------------------------------------------------------

    def open(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        flags, open_flags = p.OPEN_IN.unpack_from(body)
        opening = self._files.open(node, flags, bool(open_flags & p.OPEN_KILL_SUIDGID))
        if type(opening) is Opening:
            return self._opened(opening)
        return self._opened_of(opening)  # type: ignore[arg-type]  # mypy takes ``type() is`` for no proof

    def create(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        flags, mode, umask, _ = p.CREATE_IN.unpack_from(body)
        name = _name(body[p.CREATE_IN.size : -1])
        status, opening = yield from self._files.create(node, name, mode, umask, flags, self._caller(*who))
        return self._entry(status) + self._opened(opening)

    def read(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        _, offset, size, _, _, open_flags, _ = p.READ_IN.unpack_from(body)
        return self._files.read(node, offset, size, not open_flags & os.O_DIRECT)

    def write(self, node: int, body: Body, who: Who) -> Answer | Operation[Answer]:
        _, offset, size, flags, _, open_flags, _ = p.WRITE_IN.unpack_from(body)
        data = bytes(body[p.WRITE_IN.size : p.WRITE_IN.size + size])
        if who[0] and not self.tells_kill:
            flags |= p.WRITE_KILL_SUIDGID
        written = self._files.write(node, offset, data, bool(flags & p.WRITE_KILL_SUIDGID))
        if open_flags & os.O_DIRECT and not flags & p.WRITE_CACHE:
            return self._written_past_cache(node, offset, written)
        return p.WRITE_OUT.pack(written, 0) if type(written) is int else _written_of(written)  # type: ignore[arg-type]

    def _written_past_cache(self, node: int, offset: int, writing: int | Operation[int]) -> Operation[Answer]:
        written = writing if isinstance(writing, int) else (yield from writing)
        answer = p.WRITE_OUT.pack(written, 0)
        if not self._files.may_be_cached(node):
            return answer
        return AfterDropping(answer, node, offset, written)

    def flush(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        operation = self._files.flush(node)
        if node in self._locked:
            assert self._locks is not None
            return self._locks.close(node, body, operation)
        return _EMPTY if operation is None else _done(operation)

    def fsync(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        operation = self._files.fsync(node)
        return _EMPTY if operation is None else _done(operation)

    def release(self, node: int, body: bytes, who: Who) -> Answer | Operation[Answer]:
        if node in self._locked:
            assert self._locks is not None
            return self._locks.release(node, body, self._files.release)
        operation = self._files.release(node)
        return _EMPTY if operation is None else _done(operation)

    def fallocate(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        _, offset, length, mode, _ = p.FALLOCATE_IN.unpack_from(body)
        return _done(self._files.fallocate(node, offset, length, mode, self._caller(*who)))

    # --- directories ---------------------------------------------------------------------------------

    def opendir(self, node: int, body: bytes, who: Who) -> Answer:
        return p.OPEN_OUT.pack(self._directories.open(node), 0, 0)

    def releasedir(self, node: int, body: bytes, who: Who) -> Answer:
        self._directories.release(p.RELEASE_IN.unpack_from(body)[0])
        return _EMPTY

    def readdir(self, node: int, body: bytes, who: Who) -> Answer:
        handle, offset, size, _, _, _, _ = p.READ_IN.unpack_from(body)
        answer = bytearray()
        for position, status in self._entries(handle, offset):
            name = status.name.encode()
            length = p.DIRECTORY_NAME_BYTES + len(name) + 7 & ~7
            if len(answer) + length > size:
                break
            answer += p.DIRECTORY_ENTRY.pack(status.inode_id, position + 1, len(name), status.mode >> 12)
            answer += name.ljust(length - p.DIRECTORY_NAME_BYTES, b"\0")
        return bytes(answer)

    def readdirplus(self, node: int, body: bytes, who: Who) -> Answer:
        handle, offset, size, _, _, _, _ = p.READ_IN.unpack_from(body)
        answer = bytearray()
        is_open, pack_entry, told, note = self._handles.open, self._entry, self._told, self._note
        directory_id, remembering = self._directories.inode_of(handle), self._parents is not None
        for position, status in self._entries(handle, offset):
            name = status.name.encode()
            length = p.PLUS_NAME_BYTES + len(name) + 7 & ~7
            if len(answer) + length > size:
                break
            inode_id = status.inode_id
            # What is being written here has newer attributes: the kernel is to ask for them. So are the dots.
            if position < DOTS or inode_id in is_open:
                answer += _NO_ATTRIBUTES
            else:
                answer += pack_entry(told(status))
                if remembering:
                    note(directory_id, status.name, status)
            answer += p.DIRECTORY_ENTRY.pack(inode_id, position + 1, len(name), status.mode >> 12)
            answer += name.ljust(length - p.PLUS_NAME_BYTES, b"\0")
        return bytes(answer)

    def _entries(self, handle: int, offset: int) -> list[tuple[int, FileStatus]]:
        """(offset, entry) from an offset on; offsets 0 and 1 are the dots."""
        found: list[tuple[int, FileStatus]] = []
        if offset < DOTS:
            dots = ((".", self._directories.inode_of(handle)), ("..", self._directories.parent(handle)))
            for position in range(offset, DOTS):
                found.append((position, _dot(*dots[position])))
        first, entries = self._directories.read(handle, max(0, offset - DOTS))
        return found + list(enumerate(entries, first + DOTS))

    # --- extended attributes ---------------------------------------------------------------------------

    def getxattr(self, node: int, body: bytes, who: Who) -> Answer:
        size, _ = p.GETXATTR_IN.unpack_from(body)
        name = body[p.GETXATTR_IN.size : -1].decode()
        return _sized(self._xattrs.get(node, name, self._caller(*who)), size)

    def listxattr(self, node: int, body: bytes, who: Who) -> Answer:
        size, _ = p.GETXATTR_IN.unpack_from(body)
        names = self._xattrs.names(node, self._caller(*who))
        return _sized(b"".join(name.encode() + b"\0" for name in names), size)

    def setxattr(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        size, flags = p.SETXATTR_IN.unpack_from(body)
        end = body.index(b"\0", p.SETXATTR_IN.size)
        name = body[p.SETXATTR_IN.size : end].decode()
        value = body[end + 1 : end + 1 + size]
        return _done(self._xattrs.set(node, name, value, flags, self._caller(*who)))

    def removexattr(self, node: int, body: bytes, who: Who) -> Operation[Answer]:
        return _done(self._xattrs.remove(node, body[:-1].decode(), self._caller(*who)))

    # --- packing -------------------------------------------------------------------------------------

    def _opened(self, opening: Opening) -> bytes:
        flags = p.OPEN_KEEP_CACHE if opening.keep_cache else 0
        if opening.backing:
            flags = p.OPEN_PASSTHROUGH
        handle = opening.status.inode_id
        if opening.writable:
            if opening.uncached:
                flags |= p.OPEN_DIRECT_IO
        elif self._locks is None:
            flags |= p.OPEN_NOFLUSH
        elif (number := self._locks.handle_of(handle)) != 0:
            handle, flags = number, flags | p.OPEN_NOFLUSH
        return p.OPEN_OUT.pack(handle, flags, opening.backing)

    def _opened_of(self, operation: Operation[Opening]) -> Operation[Answer]:
        return self._opened((yield from operation))

    def _entry_of(self, operation: Operation[FileStatus]) -> Operation[Answer]:
        return self._entry((yield from operation))

    def _attr_of(self, operation: Operation[FileStatus]) -> Operation[Answer]:
        return self._attr((yield from operation))

    def _entry(self, status: FileStatus) -> bytes:
        entry_s, entry_ns, attr_s, attr_ns = self._valid
        atime_s, atime_ns = divmod(status.atime_ns, SECOND_NS)
        mtime_s, mtime_ns = divmod(status.mtime_ns, SECOND_NS)
        ctime_s, ctime_ns = divmod(status.ctime_ns, SECOND_NS)
        inode_id, length = status.inode_id, status.length
        return p.ENTRY_OUT.pack(
            inode_id, 0, entry_s, attr_s, entry_ns, attr_ns,
            inode_id, length, length + 511 >> 9,
            atime_s & UNSIGNED, mtime_s & UNSIGNED, ctime_s & UNSIGNED, atime_ns, mtime_ns, ctime_ns,
            status.mode, status.nlink, status.uid, status.gid, status.rdev, IO_SIZE_BYTES, 0,
        )  # fmt: skip

    def _attr(self, status: FileStatus, attr_s: int = -1, attr_ns: int = 0) -> bytes:
        if attr_s < 0:
            _, _, attr_s, attr_ns = self._valid
        atime_s, atime_ns = divmod(status.atime_ns, SECOND_NS)
        mtime_s, mtime_ns = divmod(status.mtime_ns, SECOND_NS)
        ctime_s, ctime_ns = divmod(status.ctime_ns, SECOND_NS)
        length = status.length
        return p.ATTR_OUT.pack(
            attr_s, attr_ns, 0,
            status.inode_id, length, length + 511 >> 9,
            atime_s & UNSIGNED, mtime_s & UNSIGNED, ctime_s & UNSIGNED, atime_ns, mtime_ns, ctime_ns,
            status.mode, status.nlink, status.uid, status.gid, status.rdev, IO_SIZE_BYTES, 0,
        )  # fmt: skip


def _name(raw: bytes) -> str:
    """A name as the namespace spells it. Raises NameTooLong, UnicodeDecodeError (answered as EILSEQ)."""
    if len(raw) > NAME_BYTES_MAX:
        raise NameTooLong(f"a name may not be longer than {NAME_BYTES_MAX} bytes")
    return raw.decode()


def _wanted(body: bytes) -> SetAttributes:
    (valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _) = (
        p.SETATTR_IN.unpack_from(body)
    )
    wanted = SetAttributes()
    if valid & Valid.MODE:
        wanted.mode = mode
    if valid & Valid.UID:
        wanted.uid = uid
    if valid & Valid.GID:
        wanted.gid = gid
    if valid & Valid.SIZE:
        wanted.size = size
        wanted.by_handle = bool(valid & Valid.FH)
        wanted.kill_set_id = bool(valid & Valid.KILL_SUIDGID)
    if valid & Valid.ATIME:
        wanted.atime_ns = NOW if valid & Valid.ATIME_NOW else _signed(atime) * SECOND_NS + atime_ns
    if valid & Valid.MTIME:
        wanted.mtime_ns = NOW if valid & Valid.MTIME_NOW else _signed(mtime) * SECOND_NS + mtime_ns
    return wanted


def _signed(seconds: int) -> int:
    """Seconds before 1970 travel as large unsigned numbers."""
    return seconds - (1 << 64) if seconds >> 63 else seconds


def _written_of(operation: Operation[int]) -> Operation[Answer]:
    return p.WRITE_OUT.pack((yield from operation), 0)


def _done(operation: Operation[Any]) -> Operation[Answer]:
    yield from operation
    return _EMPTY


def _sized(value: bytes, size: int) -> bytes:
    """An attribute's value, or only how long it is if the caller has no room (size 0)."""
    if size == 0:
        return p.XATTR_SIZE_OUT.pack(len(value), 0)
    if len(value) > size:
        raise ValueTooLong
    return value


class ValueTooLong(InvalidArgument):
    """The value does not fit the caller's buffer."""

    code = 34  # ERANGE


def _dot(name: str, inode_id: int) -> FileStatus:
    return FileStatus(inode_id, _stat.S_IFDIR, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, name)


def _negative_entry(seconds: float) -> Answer:
    """An entry that says for how long there is none; an error if the kernel is not to remember that."""
    if seconds <= 0:
        return errno.ENOENT
    whole, ns = _seconds_and_ns(seconds)
    return p.ENTRY_OUT.pack(0, 0, whole, 0, ns, 0, *[0] * 16)


def _seconds_and_ns(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return whole, int((seconds - whole) * SECOND_NS)


def _nothing_to_do(node: int, body: bytes, who: Who) -> Answer:
    return _EMPTY


def _no_answer(node: int, body: bytes, who: Who) -> Answer:
    return None
