"""Every error that crosses a boundary of OastFS.

Each class knows its ``errno`` (for the mount and the Python client) and its Java class name (for
Hadoop RPC). Translation happens once at each boundary and nowhere else. Where Python has a built-in
class for the same thing (``FileNotFoundError`` and its like), ours is one of them too.
"""

from __future__ import annotations

import errno as _errno

_IO = "java.io.IOException"


class OastError(OSError):
    """Base of all errors; also an ``OSError``, so ordinary programs catch it as one.

    The message is one line that says what was wrong, and, where there is one, what to do.
    """

    code: int = _errno.EIO
    java_class: str = _IO

    def __init__(self, message: str = "", *, path: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n", 1)[0].rstrip(".")
        super().__init__(type(self).code, self.message, path)

    def __str__(self) -> str:
        return f"{self.message}: {self.filename}" if self.filename is not None else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.filename))


def _rebuild(kind: type[OastError], message: str, path: str | None) -> OastError:
    return kind(message, path=path)


# --- names and the tree -------------------------------------------------------------------------


class NotFound(OastError, FileNotFoundError):
    """No such file or directory."""

    code = _errno.ENOENT
    java_class = "java.io.FileNotFoundException"


class AlreadyExists(OastError, FileExistsError):
    """File exists."""

    code = _errno.EEXIST
    java_class = "org.apache.hadoop.fs.FileAlreadyExistsException"


class NotADirectory(OastError, NotADirectoryError):
    """Not a directory."""

    code = _errno.ENOTDIR
    java_class = "org.apache.hadoop.fs.ParentNotDirectoryException"


class IsADirectory(OastError, IsADirectoryError):
    """Is a directory."""

    code = _errno.EISDIR
    java_class = "org.apache.hadoop.fs.PathIsDirectoryException"


class NotEmpty(OastError):
    """Directory not empty."""

    code = _errno.ENOTEMPTY
    java_class = "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException"


class InvalidPath(OastError):
    """The path is not absolute and normalized."""

    code = _errno.EINVAL
    java_class = "org.apache.hadoop.fs.InvalidPathException"


class NameTooLong(OastError):
    """A name is longer than 255 bytes, or a path too long or too deep."""

    code = _errno.ENAMETOOLONG
    java_class = "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException"


class NotUtf8(OastError):
    """A name is not valid UTF-8."""

    code = _errno.EILSEQ
    java_class = "org.apache.hadoop.fs.InvalidPathException"


class SymlinkLoop(OastError):
    """Too many levels of symbolic links."""

    code = _errno.ELOOP
    java_class = _IO


class TooManyLinks(OastError):
    """Too many hard links."""

    code = _errno.EMLINK
    java_class = _IO


class StaleHandle(OastError):
    """The file that this handle refers to has been removed."""

    code = _errno.ESTALE
    java_class = "java.io.FileNotFoundException"


class EntryChanged(StaleHandle):
    """The name does not stand for what its caller expects there (any more)."""


# --- permissions and arguments ------------------------------------------------------------------


class PermissionDenied(OastError, PermissionError):
    """Permission denied."""

    code = _errno.EACCES
    java_class = "org.apache.hadoop.security.AccessControlException"
    denial: tuple[int, int] | None = None
    """Inode id and mask (4 read, 2 write, 1 execute) of the check that failed, for other wordings of it."""


class NotPermitted(OastError, PermissionError):
    """Operation not permitted: only the owner or the superuser may do this."""

    code = _errno.EPERM
    java_class = "org.apache.hadoop.security.AccessControlException"


class InvalidArgument(OastError):
    """Invalid argument."""

    code = _errno.EINVAL
    java_class = "org.apache.hadoop.HadoopIllegalArgumentException"


class BadAcl(InvalidArgument):
    """Invalid ACL."""

    java_class = "org.apache.hadoop.hdfs.protocol.AclException"


class Unsupported(OastError):
    """Operation not supported."""

    code = _errno.EOPNOTSUPP
    java_class = "java.lang.UnsupportedOperationException"


class XattrNotFound(OastError):
    """No such extended attribute."""

    code = _errno.ENODATA
    java_class = _IO


class XattrTooLarge(OastError):
    """The extended attribute is larger than the limit."""

    code = _errno.E2BIG
    java_class = "org.apache.hadoop.HadoopIllegalArgumentException"


class FileTooLarge(OastError):
    """The file would be larger than the limit."""

    code = _errno.EFBIG
    java_class = _IO


class InlineLimitExceeded(OastError):
    """The content is larger than the inline limit; it has to go to blocks."""

    code = _errno.EFBIG
    java_class = _IO


class QuotaExceeded(OastError):
    """Quota exceeded."""

    code = _errno.EDQUOT
    java_class = "org.apache.hadoop.hdfs.protocol.QuotaExceededException"


class NameQuotaExceeded(QuotaExceeded):
    """The quota of names of a directory is exceeded."""

    java_class = "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException"


class SpaceQuotaExceeded(QuotaExceeded):
    """The quota of space of a directory is exceeded."""

    java_class = "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException"


class SafeMode(OastError):
    """The filesystem is in safe mode: nothing is changed until an administrator ends it."""

    code = _errno.EROFS
    java_class = "org.apache.hadoop.hdfs.server.namenode.SafeModeException"


# --- writers, blocks and datanodes --------------------------------------------------------------


class LeaseConflict(OastError):
    """The file is being written by another client."""

    code = _errno.EBUSY
    java_class = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException"


class LeaseExpired(OastError):
    """The writer no longer holds the lease of the file."""

    code = _errno.ESTALE
    java_class = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException"


class LockHeld(OastError, BlockingIOError):
    """Somebody else has a lock that stands against it."""

    code = _errno.EAGAIN
    java_class = _IO


class LocksLost(OastError):
    """The mount was not heard of for so long that others may have what it had locked."""

    code = _errno.EIO
    java_class = _IO


class TooManyLocks(OastError):
    """So many separate ranges of one file may not be locked."""

    code = _errno.ENOLCK
    java_class = _IO


class NoDatanodes(OastError):
    """No live datanode has room for the block: start one with ``oastfs datanode``."""

    code = _errno.ENOSPC
    java_class = _IO


class BlockNotFound(OastError):
    """The block or its replica is not known."""

    code = _errno.EIO
    java_class = "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException"


class StaleBlock(OastError):
    """The generation stamp is older than the replica's."""

    code = _errno.ESTALE
    java_class = _IO


class CorruptBlock(OastError):
    """A checksum does not match the data."""

    code = _errno.EIO
    java_class = "org.apache.hadoop.fs.ChecksumException"


class ForeignDatanode(OastError):
    """The datanode belongs to another filesystem."""

    code = _errno.EPERM
    java_class = "org.apache.hadoop.hdfs.server.protocol.DisallowedDatanodeException"


# --- the store ----------------------------------------------------------------------------------


class StoreError(OastError):
    """The metadata store failed."""

    code = _errno.EIO
    java_class = _IO


class StoreFull(StoreError):
    """The metadata store's disk is full: nothing was changed, and reads go on."""

    code = _errno.ENOSPC
    java_class = _IO


class StoreUnavailable(StoreError):
    """The store could not be reached, or got nowhere: nothing was changed, and it may be tried elsewhere.

    Hadoop's clients are told what makes them turn to another namenode.
    """

    java_class = "org.apache.hadoop.ipc.StandbyException"


class OutcomeUnknown(StoreError):
    """The store was lost in the middle of committing: it is not known whether the change was made.

    Who asks again under the same call id is answered rightly, by any namenode; Hadoop's clients do on this.
    """

    java_class = "org.apache.hadoop.ipc.RetriableException"


class WrongStore(StoreError):
    """This is not an OastFS store, or one of another version or filesystem."""

    code = _errno.EINVAL


class TransactionMisuse(StoreError):
    """A transaction was used outside its bounds (a bug in the caller)."""

    code = _errno.EINVAL


# --- the wire -----------------------------------------------------------------------------------


class ProtocolError(OastError):
    """The peer sent bytes that are not of the protocol."""

    code = _errno.EPROTO
    java_class = "org.apache.hadoop.ipc.RpcServerException"


class NoSuchVerb(OastError):
    """The server does not know this call."""

    code = _errno.ENOSYS
    java_class = "org.apache.hadoop.ipc.RpcNoSuchMethodException"


class ConnectionLost(OastError, ConnectionError):
    """The connection was lost before the answer came."""

    code = _errno.ECONNRESET
    java_class = "java.net.ConnectException"


class Unreachable(ConnectionLost):
    """No server answers at this address."""

    code = _errno.ECONNREFUSED


class DeadlineExceeded(OastError, TimeoutError):
    """The deadline passed before the answer came."""

    code = _errno.ETIMEDOUT
    java_class = "java.net.SocketTimeoutException"


class AddressInUse(OastError):
    """Another server listens on this port."""

    code = _errno.EADDRINUSE
    java_class = "java.net.BindException"


class ServerStopping(OastError):
    """The server is stopping; another may answer."""

    code = _errno.EAGAIN
    java_class = "org.apache.hadoop.ipc.StandbyException"


def all_errors() -> dict[str, type[OastError]]:
    """Every class of this module by its name, as the native protocol spells it."""
    found: dict[str, type[OastError]] = {}
    pending = [OastError]
    while pending:
        kind = pending.pop()
        if kind.__module__ == __name__:  # others keep errors of their own, which cross no boundary
            found[kind.__name__] = kind
        pending.extend(kind.__subclasses__())
    return found
