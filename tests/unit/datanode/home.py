"""A block store on one volume, for tests of what is on disk."""

from __future__ import annotations

from pathlib import Path

from oastfs.datanode.block_store import BlockStore, Change
from oastfs.datanode.volume import Volume


class Home:
    """A store on one volume that can be opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changes: list[tuple[Change, int]] = []
        self.open()

    def open(self) -> None:
        volume = Volume.open(self.path / "v", "datanode", 0)
        self.store = BlockStore([volume], lambda change, one: self.changes.append((change, one.block_id)))
        self.store.load()

    def reopen(self) -> None:
        self.store.close()
        self.open()
