"""A whole datanode in this process, as tests run it."""

from __future__ import annotations

from oastfs.core.errors import OastError
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.datanode import Datanode
from oastfs.datanode.http import WebPart
from oastfs.wire.transfer import Target


class Running:
    """A datanode under test."""

    def __init__(self, config: DatanodeConfig, part: WebPart | None = None) -> None:
        self.faults: list[OastError] = []
        self.datanode = Datanode(config, self.faults.append, part)
        self.datanode.start()
        self.store = self.datanode.store

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.datanode.server.data_port, self.store.volumes[0].storage_uuid)
