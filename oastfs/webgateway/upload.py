"""Writing one file whose lease is held exclusively, piece by piece, as HDFS's writers do.

What stays within the inline limit becomes the file's content in one transaction at the end; what does not
goes to blocks as it comes. Blocking, for one thread at a time.
"""

from __future__ import annotations

import threading

from oastfs.client.block_content import BlockContent
from oastfs.client.file_context import FileContext
from oastfs.client.session import Session
from oastfs.core.path import by_id
from oastfs.core.types import SUPERUSER


class Upload:
    """Appends to the file of an inode id, under a lease that its user has already got as ``holder``."""

    def __init__(self, session: Session, inode_id: int, holder: str, block_id: int = 0) -> None:
        """``block_id``: the block that the namenode offered to go on with, if it did."""
        self._session = session
        self._path = by_id(inode_id)
        self._holder = holder
        status = session.metadata.stat(SUPERUSER, self._path)
        self._context = FileContext(session, SUPERUSER, status, holder)
        self._start = self._end = status.length
        self._inline: list[bytes] | None = [] if status.is_inline else None
        self._blocks: BlockContent | None = None
        if block_id and status.is_inline:
            # It stands for inline content, for writers that know only blocks.
            session.metadata.abandon_block(SUPERUSER, self._path, holder, block_id)

    def write(self, data: bytes) -> None:
        """Add to the end."""
        self._end += len(data)
        if self._inline is None:
            self._to_blocks(self._end - len(data), [data], fresh=False)
            return
        self._inline.append(data)
        if self._end > self._session.info.inline_limit:
            pieces, self._inline = self._inline, None
            if self._start:
                opened = self._session.metadata.open(SUPERUSER, self._path)
                self._to_blocks(0, [opened.data or b""], fresh=True)
            self._to_blocks(self._start, pieces, fresh=True)

    def finish(self) -> None:
        """All of it is there: make it visible and durable, and end the lease."""
        metadata = self._session.metadata
        if self._blocks is not None:
            self._blocks.flush(sync=True, final=True)
            self._blocks.abort()
        elif self._inline is not None:
            patches = [(self._start, b"".join(self._inline))]
            metadata.write_inline(SUPERUSER, self._path, patches, -1, self._holder, True)
        else:
            metadata.complete(SUPERUSER, self._path, self._holder, [], -1)
        self._context.release_holder()

    def drop(self, remove: bool) -> None:
        """It came to an end too early: keep what there is, as HDFS does, or ``remove`` the file."""
        try:
            if not remove:
                self.finish()
                return
            if self._blocks is not None:
                self._blocks.abort()
            self._session.metadata.unlink(SUPERUSER, self._path)
        finally:
            self._context.release_holder()

    def _to_blocks(self, offset: int, pieces: list[bytes], fresh: bool) -> None:
        if self._blocks is None:
            self._blocks = BlockContent(self._context, threading.RLock(), None, fresh=fresh)
        self._blocks.write(offset, [memoryview(piece) for piece in pieces if piece])
        self._blocks.push()
