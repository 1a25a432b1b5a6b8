"""One replica as the datanode knows it in memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from oastfs.datanode import layout

if TYPE_CHECKING:
    from oastfs.datanode.held import Held
    from oastfs.datanode.volume import Volume
    from oastfs.datanode.writer import ReplicaWriter


class Replica:
    """Length, stamp and state of one replica.

    ``length`` bytes are stored with matching checksums; readers see ``visible_length`` of them, those
    that the whole pipeline has. ``lock`` keeps data and checksums of a write together; readers take it
    only while there is a ``writer``, and ``epoch`` tells them that one has come or gone meanwhile.
    """

    __slots__ = (
        "block_id",
        "corrupt",
        "epoch",
        "final",
        "generation_stamp",
        "held",
        "length",
        "lock",
        "removed",
        "temporary",
        "visible_length",
        "volume",
        "writer",
    )

    def __init__(
        self, volume: Volume, block_id: int, generation_stamp: int, length: int, *, final: bool
    ) -> None:
        self.volume = volume
        self.block_id = block_id
        self.generation_stamp = generation_stamp
        self.length = length
        self.visible_length = length
        self.final = final
        self.temporary = False
        """A copy that is not complete: unknown to namenodes and readers, removed at the next start."""
        self.corrupt = False
        self.removed = False
        self.held: Held | None = None
        """Its bytes, while they are in memory and not in files."""
        self.writer: ReplicaWriter | None = None
        self.epoch = 0
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        state = "final" if self.final else "being written"
        return f"<replica {self.block_id}_{self.generation_stamp}, {self.length} bytes, {state}>"

    @property
    def fields(self) -> dict[str, object]:
        """What a log line says of it."""
        return {
            "block_id": self.block_id,
            "generation_stamp": self.generation_stamp,
            "length": self.length,
            "final": self.final,
            "volume": str(self.volume.path),
        }

    @property
    def data_path(self) -> Path:
        return layout.data_path(self.volume.blocks, self.block_id)

    @property
    def meta_path(self) -> Path:
        return layout.meta_path(self.volume.blocks, self.block_id, self.generation_stamp)

    @property
    def journal_path(self) -> Path:
        return layout.journal_path(self.volume.blocks, self.block_id)
