"""CREATE and APPEND: a lease by ClientProtocol, as the user; then the bytes. Blocking."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from oastfs.client.session import Session
from oastfs.client.url import Address
from oastfs.webgateway.calls import CREATE, OVERWRITE, UserCalls
from oastfs.webgateway.upload import Upload
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.webhdfs import WebRequest

log = structlog.get_logger(__name__)

EARLY_BYTES = 64 * 1024
FILE_PERMISSION_DEFAULT = 0o644


class Writing:
    """One file that is being uploaded.

    The namenode hears of it once more than EARLY_BYTES have come, or all of it. So a small upload that breaks
    off leaves everything as it was; of a larger one a file that it made is removed again, while what was
    appended stays, as in HDFS.
    """

    def __init__(
        self, session: Callable[[Address], Session], address: Address, asked: WebRequest, creates: bool
    ) -> None:
        self.path = asked.path
        self._open_session = session
        self._address = address
        self._asked = asked
        self._creates = creates
        self._request = _create_request(asked) if creates else None
        self._early: list[bytes] = []
        self._early_bytes = 0
        # An upload that is cut off is dropped while a piece may still be on its way.
        self._lock = threading.Lock()
        self._upload: Upload | None = None

    def begins_first(self, expected_bytes: int | None) -> bool:
        """Whether to ``begin`` before there is any content: then errors come before a large body is sent."""
        return expected_bytes is not None and expected_bytes > EARLY_BYTES

    def begin(self) -> None:
        """Make or take up the file. Raises what the namenode says if the user may not."""
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        session = self._open_session(self._address)
        holder = session.take_holder()
        try:
            with UserCalls(self._address, self._asked.user) as calls:
                if self._request is None:
                    inode_id, block_id = calls.append(self.path, holder)
                else:
                    block_id = 0
                    self._request.clientName = holder
                    self._request.replication = self._request.replication or session.info.replication
                    self._request.blockSize = self._request.blockSize or session.info.block_size
                    inode_id = calls.create(self._request)
            self._upload = Upload(session, inode_id, holder, block_id)
        except BaseException:
            session.give_holder(holder)
            raise
        for piece in self._early:
            self._upload.write(piece)
        self._early.clear()

    def write(self, piece: bytes) -> None:
        """Some more of the content."""
        with self._lock:
            if self._upload is not None:
                self._upload.write(piece)
                return
            self._early.append(piece)
            self._early_bytes += len(piece)
            if self._early_bytes > EARLY_BYTES:
                self._begin()

    def finish(self) -> None:
        """That was all: it is visible and durable afterwards."""
        with self._lock:
            if self._upload is None:
                self._begin()
            assert self._upload is not None
            self._upload.finish()

    def drop(self) -> None:
        """It broke off."""
        with self._lock:
            upload, self._upload = self._upload, None
            if upload is None:
                return
            try:
                upload.drop(remove=self._creates)
            except OSError as error:
                # Its lease runs out, and the namenode closes the file.
                log.warning("a broken upload could not be cleared away", path=self.path, error=str(error))


def _create_request(asked: WebRequest) -> pb.CreateRequest:
    wanted = CREATE
    if "OVERWRITE" in asked.names("createflag"):
        wanted |= OVERWRITE
    if asked.flag("overwrite", False):
        wanted |= OVERWRITE
    permission = asked.permission("permission")
    unmasked = asked.permission("unmaskedpermission")
    masked = FILE_PERMISSION_DEFAULT if permission is None else permission
    return pb.CreateRequest(
        src=asked.path,
        masked=types.FsPermission(perm=masked),
        clientName="",
        createFlag=wanted,
        createParent=asked.flag("createparent", True),
        replication=asked.number("replication", 0),
        blockSize=asked.number("blocksize", 0),
        unmasked=None if unmasked is None else types.FsPermission(perm=unmasked),
        storagePolicy=asked.text("storagepolicy") or None,
    )
