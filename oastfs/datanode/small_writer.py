"""Writing a replica that may end in the metadata: in memory for as long as nothing needs its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from oastfs.datanode import layout
from oastfs.datanode.held import Held
from oastfs.datanode.journal import Journal
from oastfs.datanode.replica import Replica
from oastfs.datanode.writer import ReplicaWriter
from oastfs.wire.transfer.checksum import Buffer

log = structlog.get_logger(__name__)


class SmallWriter(ReplicaWriter):
    """The writer of a new replica that begins in memory.

    It goes into files when it outgrows what may be held, when it is synced, at the writer's wish
    (``to_files``), and if the writer goes before it is final.
    """

    def __init__(
        self,
        replica: Replica,
        held: Held,
        on_corrupt: Callable[[Replica], None],
        on_lost: Callable[[Replica], None],
    ) -> None:
        super().__init__(replica, None, on_corrupt, new=True)
        self._on_lost = on_lost
        replica.held = held

    @property
    def in_memory(self) -> bool:
        return self.replica.held is not None

    def to_files(self) -> None:
        replica = self.replica
        held = replica.held
        if held is None:
            return
        with replica.lock, replica.volume.guard():
            layout.make_directory(replica.volume.blocks, replica.block_id)
            if not self._has_files:
                self._open(Journal.create(replica.journal_path, 0))
            held.write(self._data_fd, self._meta_fd)
            replica.held = None
        held.release()

    def write(self, offset: int, pieces: Sequence[Buffer], checksums: Sequence[Buffer] | None) -> None:
        held = self.replica.held
        if held is not None:
            with self.replica.lock:
                self._check()
                if held.add(offset, pieces, checksums):
                    self._grow(offset + sum(map(len, pieces)))
                    return
            self.to_files()
        super().write(offset, pieces, checksums)

    def content(self) -> bytes:
        self._check()
        held = self.replica.held
        return super().content() if held is None else bytes(held.data)

    def sync(self) -> None:
        self._check()
        self.to_files()
        super().sync()

    def keep(self, *, sync: bool = True) -> None:
        self.to_files()
        super().keep(sync=sync)

    def abort(self) -> None:
        """As any writer's: what has come stays, for a later writer or a recovery to settle."""
        if self.closed.is_set():
            return
        try:
            self.to_files()
        except OSError as error:
            log.error("a replica that nobody was told of is lost", error=str(error), **self.replica.fields)
            self._on_lost(self.replica)
        super().abort()
